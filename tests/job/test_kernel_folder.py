"""Compiled kernels: where they are kept, and that an image's own are found where nothing else can be written."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from selection_job.numeric import compiling

NUMERIC = Path(compiling.__file__).parent
EVERY_SELECTION = Path(__file__).with_name("every_selection.py")


@pytest.fixture
def find_folder(monkeypatch, tmp_path):
    """Return a function (**environment) -> folder, as a fresh process would find it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    def find(**environment):
        for key, value in environment.items():
            monkeypatch.setenv(key, str(value))
        return compiling.kernel_folder.__wrapped__()

    return find


def test_kernels_are_kept_in_numba_cache_dir_and_otherwise_in_the_users_cache(find_folder, tmp_path):
    assert find_folder().parent == tmp_path / "home/selection-operator"
    assert find_folder(NUMBA_CACHE_DIR=tmp_path / "numba").parent == tmp_path / "numba"


def test_a_folder_that_cannot_be_written_is_passed_over(find_folder, tmp_path):
    (tmp_path / "file").write_text("")
    assert find_folder(NUMBA_CACHE_DIR=tmp_path / "file/below").parent == tmp_path / "home/selection-operator"


def test_kernels_that_an_image_ships_are_there_from_the_start(find_folder, tmp_path):
    shipped = find_folder(NUMBA_CACHE_DIR=tmp_path / "shipped")
    (shipped / "kernel.nbi").write_bytes(b"compiled")
    found = find_folder(NUMBA_CACHE_DIR=tmp_path / "empty", SELECTION_KERNELS=tmp_path / "shipped")
    assert found.parent == tmp_path / "empty"
    assert (found / "kernel.nbi").read_bytes() == b"compiled"


FIRST_SELECTIONS = """
import numpy as np
from selection_job.numeric.farthest_first import farthest_first
from selection_job.numeric.trees.lazy_tree import refresh
from selection_job.numeric.greedy.mix_search import fill
from selection_job.numeric.greedy.objectives import Diversity, Weights
from selection_job.numeric.strategies import select
rows = np.random.default_rng(0).random((8000, 8), dtype=np.float32)
farthest_first(rows, 10)
select(8000, [Diversity(rows), Weights(np.arange(8000.0))], 10)
print(len(refresh.stats.cache_misses), len(fill.stats.cache_misses))
"""


@pytest.mark.slow
def test_warming_and_its_helpers_compile_every_kernel_that_selecting_needs(tmp_path):
    """On a machine without kernels helpers compile two that take long; then warming compiles all that is missing.

    The files of compiled kernels are the same before and after all kinds of selections in another process.
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = subprocess.run(
        [sys.executable, "-c", FIRST_SELECTIONS], env=environment, check=True, capture_output=True, text=True
    )
    compiled_here = "0 0" if len(os.sched_getaffinity(0)) > 1 else "1 1"
    assert first.stdout.split("\n")[0] == compiled_here
    subprocess.run(
        [sys.executable, "-m", "selection_job.numeric.compile_kernels", str(tmp_path)], env=environment, check=True
    )
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, EVERY_SELECTION], env=environment, check=True)
    assert len(before) > 20
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def _calls_by_function(path):
    """Yield of each function of a module its decorators, its name and the names that it calls."""
    for node in ast.parse(path.read_text()).body:
        calls = (inside.func for inside in ast.walk(node) if isinstance(inside, ast.Call))
        used = {name.id for name in calls if isinstance(name, ast.Name)}
        if isinstance(node, ast.FunctionDef):
            decorators = {name.id for name in node.decorator_list if isinstance(name, ast.Name)}
            yield decorators, node.name, used
        else:
            yield set(), "", used


def test_inner_kernels_are_called_by_kernels_alone():
    """Python may not call them: that crashes."""
    kinds = {"compiled", "compiled_fastmath", "inner", "inner_freely"}
    for path in NUMERIC.rglob("*.py"):
        imported = re.findall(r"^from selection_job\.numeric\.([\w.]+) import", path.read_text(), re.MULTILINE)
        sources = [path, *(NUMERIC / f"{name.replace('.', '/')}.py" for name in imported)]
        inner = {
            name
            for source in sources
            for kind, name, _ in _calls_by_function(source)
            if kind & {"inner", "inner_freely"}
        }
        own = {name for kind, name, _ in _calls_by_function(path) if not kind & kinds}
        for kind, name, used in _calls_by_function(path):
            assert kind & kinds or not (used & inner - own), f"{path.name}: {name} calls {used & inner}"


def test_kernels_of_other_sources_are_not_taken(find_folder, tmp_path, monkeypatch):
    before = find_folder()
    monkeypatch.setattr(compiling, "_hash_sources", lambda: "0" * 64)
    assert find_folder() != before
    assert Path(find_folder()).name == "kernels-" + "0" * 16


def test_a_changed_kernel_in_a_folder_below_is_compiled_anew(tmp_path, monkeypatch):
    shutil.copytree(NUMERIC, tmp_path / "numeric")
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "numeric/compiling.py"))
    before = compiling._hash_sources.__wrapped__()
    with (tmp_path / "numeric/trees/lazy_tree.py").open("a") as file:
        file.write("# changed\n")
    assert compiling._hash_sources.__wrapped__() != before


def test_no_two_kernel_files_have_one_name():
    """Kernels are kept by the name of their file and their line."""
    stems = [path.stem for path in NUMERIC.rglob("*.py") if path.stem != "__init__"]
    assert len(set(stems)) == len(stems)

"""Compiled kernels: where they are kept, and that an image's own are found where nothing else can be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selection_job.numeric import compiling

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


@pytest.mark.slow
def test_warming_compiles_every_kernel_that_selecting_needs(tmp_path):
    """The files of compiled kernels are the same before and after all kinds of selections in another process."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "selection_job.numeric.warming", str(tmp_path)], env=environment, check=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, EVERY_SELECTION], env=environment, check=True)
    assert len(before) > 20
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_kernels_of_other_sources_are_not_taken(find_folder, tmp_path, monkeypatch):
    before = find_folder()
    monkeypatch.setattr(compiling, "_hash_sources", lambda: "0" * 64)
    assert find_folder() != before
    assert Path(find_folder()).name == "kernels-" + "0" * 16

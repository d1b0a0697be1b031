"""The house keeps its own rules: sizes, docstrings, imports, names that must not appear."""

import ast
import functools
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("crds", "job_image", "operator") for path in (ROOT / folder).rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def list_files():
    """Files that are or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def body_lines(function):
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@functools.cache
def trees():
    """Return the syntax tree of each module by its path."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def all_functions():
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                yield path, node


def test_no_module_is_longer_than_300_lines():
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > 300} == {}


def test_functions_are_short():
    lengths = sorted((body_lines(node), f"{path.relative_to(ROOT)}:{node.name}") for path, node in all_functions())
    assert lengths[int(0.9 * len(lengths))][0] <= 30
    assert [name for length, name in lengths if length > 50] == []


@pytest.mark.parametrize("package", ["selection_api", "selection_job", "selection_operator"])
def test_no_imports_go_round_in_a_circle(package):
    graph = grimp.build_graph(package, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert sum(map(len, imports.values())) > len(imports)
    graphlib.TopologicalSorter(imports).prepare()  # a CycleError names the modules


def test_each_module_and_public_function_says_what_it_does():
    silent = [str(path.relative_to(ROOT)) for path, tree in trees().items() if not ast.get_docstring(tree)]
    for path, tree in trees().items():
        public = [n for n in tree.body if isinstance(n, (*FUNCTIONS, ast.ClassDef)) and not n.name.startswith("_")]
        silent += [f"{path.relative_to(ROOT)}:{node.name}" for node in public if not ast.get_docstring(node)]
    assert silent == []


@pytest.mark.parametrize("folder", ["operator", "tests"])
def test_no_init_file_shadows_the_standard_library(folder):
    assert not [path for path in (ROOT / folder).rglob("__init__.py") if path.parent.name in ("operator", "tests")]
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("selection_api", ["yaml", "numpy", "torch", "lightly", "selection_job"]),
        ("selection_job.__main__", ["torch", "lightly", "numba", "matplotlib", "numpy", "tqdm", "re2"]),
        ("selection_job.pipeline", ["kopf", "kubernetes", "umap"]),
    ],
)
def test_a_cold_import_brings_only_what_it_needs(module, absent):
    program = f"import sys, {module}; print(*[name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_every_dependency_has_a_lower_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    groups += project["dependency-groups"].values()
    assert [line for group in groups for line in group if ">=" not in line] == []


def test_constraints_hold_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 30
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line)] == []


def test_no_file_names_a_package_registry_or_a_path_of_one_machine():
    hosts = [
        "pypi" + ".org",
        "python" + "hosted",
        "npm" + "js",
        "proxy." + "golang",
        "crates" + ".io",
        "deb" + "ian.org",
    ]
    paths = ["/wor" + "k/", "/ro" + "ot/"]
    found = []
    for path in list_files():
        text = path.read_bytes().decode("utf-8", "replace")
        text = text.replace("/ro" + "ot/.cache/uv", "")  # of the images, whoever builds them
        found += [f"{path.relative_to(ROOT)}: {word}" for word in [*hosts, *paths] if word in text]
    assert found == []


def test_no_lock_file_with_addresses_is_there():
    assert not {path.name for path in list_files()} & {"uv.lock", "package-lock.json", "poetry.lock"}


LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]), ids=lambda path: path.name
)
def test_links_between_pages_lead_somewhere(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {word for page in pages for word in re.findall(r"`make ([a-z-]+)`", page.read_text(encoding="utf-8"))}
    assert {"demo", "test", "test-fast", "generate", "check", "bench"} <= targets
    assert named - targets == set()


def test_every_file_of_the_output_tree_is_documented():
    text = (ROOT / "docs/outputs.md").read_text(encoding="utf-8")
    written = ["clean.csv", "embeddings_all.csv", "normalized_embeddings.csv", "selected_embeddings.csv", "hydra.yaml"]
    written += ["overrides.yaml", "corrupt_filenames.txt", "duplicate_filenames.txt", "removed_filenames.txt"]
    written += ["sampled_filenames_excluding_datapool.txt", "last.ckpt", "lightly_epoch_", "report.json", "report.pdf"]
    written += ["distance_distr_before.png", "filter_decision_0.png", "scatter_pca.png", "scatter_umap_k_5.png"]
    assert [name for name in written if name not in text] == []

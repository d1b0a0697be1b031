"""The rooms of the house: floors as they are drawn, one purpose each, and words that only their own module may know."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOB = ROOT / "job_image" / "selection_job"
OPERATOR = ROOT / "operator" / "selection_operator"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def read_contract(package):
    """The floors of the package's contract, top to bottom, each the rooms that stand on it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers" and c["containers"] == [package])
    return [layer.replace(" : ", " | ") for layer in layers]


def read_drawing(column):
    """The floors that ARCHITECTURE.md draws, top to bottom."""
    drawn = ARCHITECTURE.split("## The floors")[1].split("```")[1].strip("\n").splitlines()
    start = drawn[0].index(column)
    end = next((i for i in [drawn[0].find("selection_operator")] if i > start), None)
    floors = [line[start:end].strip() for line in drawn[1:]]
    return [floor for floor in floors if floor]


@pytest.mark.parametrize("package", ["selection_job", "selection_operator"])
def test_the_drawn_floors_are_those_of_the_contract(package):
    assert read_drawing(package) == read_contract(package)


@pytest.mark.parametrize("package", [JOB, OPERATOR], ids=lambda path: path.name)
def test_each_room_has_a_row(package):
    rows = ARCHITECTURE.split("## The rooms")[1].split("## Glossary")[0]
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert {room for room in rooms if f"/{room}`" not in rows} == set()


def test_architecture_is_read_in_one_sitting():
    assert len(ARCHITECTURE.splitlines()) <= 110
    long = [page.name for page in (ROOT / "docs/decisions").glob("*.md") if len(page.read_text().splitlines()) > 16]
    assert long == []


def test_the_top_of_the_job_holds_six_files():
    names = {"__init__.py", "__main__.py", "running.py", "checking.py", "pipeline.py", "errors.py"}
    assert {path.name for path in JOB.glob("*.py")} == names


def imports_of(path):
    """Names of our own modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("selection_job", "selection_operator")):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(parts, package):
    """The room of an import: its folder, but a module that lies beside folders is a room of its own."""
    while parts and not (package.joinpath(*parts).is_dir() or package.joinpath(*parts).with_suffix(".py").exists()):
        parts = parts[:-1]  # a name in a module
    path = package.joinpath(*parts)
    is_plain = path.with_suffix(".py").exists() and not list(path.parent.glob("*/__init__.py"))
    return ".".join(parts[:-1] if is_plain else parts)


@pytest.mark.parametrize("package", [JOB, OPERATOR], ids=lambda path: path.name)
def test_no_two_folders_import_each_other_in_a_circle(package):
    below = {}
    for path in package.rglob("*.py"):
        own = room_of(list(path.relative_to(package).with_suffix("").parts), package)
        imported = {room_of(name.split(".")[1:], package) for name in imports_of(path)}
        below.setdefault(own, set()).update(imported - {own, ""})
    reached = {room: set(rooms) for room, rooms in below.items()}
    for _ in reached:
        for rooms in reached.values():
            rooms.update(*(below.get(other, set()) for other in list(rooms)))
    assert sorted(room for room, rooms in reached.items() if room in rooms) == []


def test_the_runs_context_is_seen_by_the_stages_and_by_what_publishes_only():
    seen = {path.relative_to(JOB).parts[0] for path in JOB.rglob("*.py") if re.search("RunContext", path.read_text())}
    assert seen <= {"stages", "run", "publishing", "pipeline.py", "running.py"}


NOUNS = {word + plural for word in ("image", "frame", "sequence", "object") for plural in ("", "s")}
"""What a run's items are called. Code that steers by them would have to be found at each new medium."""

ELSEWHERE = {
    "metadata/metadata_files.py": {"image", "frame"},  # a key's value in users' files
    "process/progress.py": {"images"},  # the unit that a bar shows
    "report/sections/appendix.py": {"images"},  # a key of report.json
    "results/exports/fiftyone_dataset.py": {"frames", "image", "objects"},  # words of their formats
    "results/exports/label_studio.py": {"image"},
    "results/tables/selection_table.py": {"sequence"},  # a column
    "selection/selection.py": {"objects"},  # a method in report.json
}
"""Words of formats and of output that happen to be nouns."""


def test_nouns_are_named_in_their_own_module_and_in_formats_alone():
    found = {}
    for path in JOB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NOUNS:
                found.setdefault(path.relative_to(JOB).as_posix(), set()).add(node.value)
    del found["manifest/noun.py"]
    assert found == ELSEWHERE


def test_no_code_tells_media_apart_by_what_is_missing():
    """The medium says what differs; images have no frames, which is no None."""
    pattern = re.compile(r"\bframes is (not )?None")
    assert [path.name for path in JOB.rglob("*.py") if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_no_finished_sentence_is_edited():
    """A text is made with its noun."""
    pattern = re.compile(r"\bretell\b|\.replace\(\s*[\"'](?:an )?(?:image|frame|object|sequence)s?[\"']")
    assert [path.name for path in JOB.rglob("*.py") if pattern.search(path.read_text(encoding="utf-8"))] == []

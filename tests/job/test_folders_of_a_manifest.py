"""Folders that a manifest names: `check` warns of those of no use here, `run` ends before torch is imported."""

import json
import os
from pathlib import Path

import pytest

from selection_api import RunSummary
from selection_job import __main__ as command_line
from selection_job.errors import StorageRefused


@pytest.fixture
def place(tmp_path):
    """Return a function (kind of folder) -> its path."""

    def make(kind):
        path = tmp_path / kind
        if kind in ("empty", "hidden", "other", "good"):
            path.mkdir()
        names = {"hidden": ".lightly/a.jpg", "other": "a.heic", "good": "below/A.JPG", "file": ""}
        if kind in names:
            file = path / names[kind] if names[kind] else path
            file.parent.mkdir(exist_ok=True)
            file.touch()
        return tmp_path / ("x" * 300) if kind == "long" else path

    return make


@pytest.fixture
def write(tmp_path):
    """Return a function (input folder, lightly folder, changes) -> the path of a manifest."""

    def make(input_folder, lightly_folder, **claims):
        folders = {"input": input_folder, "lightly": lightly_folder}
        datasources = {
            name: {"type": "LOCAL", "resourcePath": f"{folder}/", **claims} for name, folder in folders.items()
        }
        spec = {"datasources": datasources, "workerConfig": {"stopping_condition": {"n_samples": 0.5}}}
        manifest = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
        path = tmp_path / "run.json"
        path.write_text(json.dumps({**manifest, "spec": spec}))
        return path

    return make


MISSING = "does not exist. Correct it; the job needs LIST and READ there."
FAULTS = {
    "missing": MISSING,
    "long": "File name too long",
    "file": "is not a folder",
    "good": "",
}


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Return a function (manifest) -> (exit code, standard error, last word) of a run that may import nothing slow."""

    def refuse():
        raise AssertionError("torch would be imported")

    monkeypatch.setattr(command_line, "_import_run_manifest", refuse)
    message = tmp_path / "termination-log"

    def start(path):
        message.touch()
        code = command_line.main(["run", str(path)], termination_message=message)
        return code, capsys.readouterr().err, RunSummary.from_bytes(message.read_bytes())

    return start


@pytest.mark.parametrize("kind", [kind for kind, fault in FAULTS.items() if fault])
def test_a_run_over_no_folder_ends_before_torch_is_imported(run, write, place, kind):
    code, said, word = run(write(place(kind), place("good")))
    assert (code, word.exit_code, word.reason) == (4, 4, "StorageRefused")
    assert said.startswith("selection-job: spec.datasources.input.resourcePath: ") and FAULTS[kind] in said
    assert len(said.splitlines()) == 1


def test_the_folder_of_results_may_be_created(run, write, place):
    code, said, _ = run(write(place("good"), place("missing")))
    assert code == 4
    assert "spec.datasources.lightly.resourcePath: " in said and "Create it or correct it" in said


def test_both_folders_are_told_at_once(run, write, place):
    code, said, _ = run(write(place("missing"), place("missing")))
    assert code == 4 and len(said.splitlines()) == 2


def test_with_both_folders_the_run_goes_on(run, write, place, tmp_path):
    with pytest.raises(AssertionError, match="torch would be imported"):
        run(write(place("good"), tmp_path))


@pytest.mark.parametrize(
    ("kind", "warning"),
    [*FAULTS.items(), ("empty", "no file in"), ("hidden", "no file in"), ("other", "ends in .jpg")],
)
def test_check_warns_of_an_input_that_is_of_no_use_here(write, place, tmp_path, capsys, kind, warning):
    path = write(place(kind), tmp_path)
    assert command_line.main(["check", str(path)]) == 0
    said, warned = capsys.readouterr()
    assert f"{path} is a valid SelectionRun: a" in said and "sanity_check" in said
    if not warning:
        assert warned == ""
        return
    (line,) = warned.splitlines()
    assert line.startswith(f"selection-job: warning: {path}: spec.datasources.input.resourcePath: ")
    assert warning in line and "another machine" in line


def test_check_warns_of_results_that_nobody_may_write(write, place, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    path = write(place("good"), place("empty"))
    assert command_line.main(["check", str(path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "spec.datasources.lightly.resourcePath: No permission on the folder" in line


def test_check_looks_for_no_folder_that_lies_in_a_claim(write, place, capsys):
    path = write(place("missing"), place("missing"), persistentVolumeClaim={"claimName": "c"})
    assert command_line.main(["check", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_check_looks_at_the_beginning_of_a_large_folder_only(write, place, tmp_path, capsys, monkeypatch):
    folder = place("other")
    monkeypatch.setattr("selection_job.stores.local.folders._MOST_LOOKED_AT", 1)
    assert command_line.main(["check", str(write(folder, tmp_path))]) == 0
    assert capsys.readouterr().err == ""


def test_a_store_that_cant_be_opened_names_the_field(tmp_path):
    from selection_api.datasource import Datasource
    from selection_job.stores.opening import open_store

    for folder in (Path("/nowhere"), tmp_path / ("x" * 300)):
        with pytest.raises(StorageRefused, match=r"^spec\.datasources\.input\.resourcePath: "):
            open_store(Datasource(type="LOCAL", resource_path=str(folder)), field="spec.datasources.input")

"""Folders that may not be read, with the system's own rights: passed over and told, unless it is the input itself."""

import json
import os
import shutil
import subprocess
import sys

import pytest

LIST = """
import json, sys
from pathlib import Path
from selection_job.catalog.listing import list_images
from selection_job.errors import JobError
from selection_job.stores.local.store import LocalStore
folder, prefix = Path(sys.argv[1]), sys.argv[2]
try:
    if prefix:
        print(json.dumps([info.key for info in LocalStore(folder).list(prefix)]))
    else:
        listing = list_images(LocalStore(folder), LocalStore(folder))
        print(json.dumps([listing.names, listing.notes]))
except JobError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
NO_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads everything, and nothing takes that away here"
)


def list_without_privilege(folder, prefix=""):
    """List in a process that the system's rights hold for, root's too."""
    command = [*(NO_PRIVILEGE if os.geteuid() == 0 else []), sys.executable, "-c", LIST, str(folder), prefix]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.fixture
def closed(tmp_path):
    """Make files, take rights away from folders, and give them back at the end."""
    changed = []

    def close(*folders, mode=0):
        for name in ("a.jpg", "sub/b.jpg", "closed/c.jpg", "sub/lost+found/d.jpg", ".Trash-1000/e.jpg"):
            path = tmp_path / "input" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        for folder in folders:
            (tmp_path / "input" / folder).chmod(mode)
            changed.append(tmp_path / "input" / folder)
        return tmp_path / "input"

    yield close
    for path in reversed(changed):
        path.chmod(0o755)


ALL = ["a.jpg", "closed/c.jpg", "sub/b.jpg", "sub/lost+found/d.jpg"]


@pytest.mark.parametrize(
    ("mode", "folders", "left_out"),
    [
        (0, ["closed"], ["closed/c.jpg"]),
        (0o400, ["closed"], ["closed/c.jpg"]),
        (0o100, ["closed"], ["closed/c.jpg"]),
        (0, [".Trash-1000", "sub/lost+found"], ["sub/lost+found/d.jpg"]),
        (0, ["closed", "sub"], ["closed/c.jpg", "sub/b.jpg", "sub/lost+found/d.jpg"]),
    ],
)
def test_folders_that_may_not_be_read_are_passed_over_and_named(closed, mode, folders, left_out):
    names, notes = list_without_privilege(closed(*folders, mode=mode))
    assert names == [name for name in ALL if name not in left_out]
    subject = "1 folder of the input may not be read and was" if len(folders) == 1 else "2 folders of the input"
    (note,) = notes
    assert note.startswith(subject)
    assert f"passed over: {', '.join(repr(f'{folder}/') for folder in folders)}. " in note
    assert f"let user {os.geteuid()} read" in note


def test_without_such_folders_there_is_no_note(closed):
    assert list_without_privilege(closed()) == [ALL, []]


def test_an_input_that_may_not_be_read_ends_the_run(closed):
    kind, said = list_without_privilege(closed("."))
    assert kind == "StorageRefused"
    assert "No permission" in said


def test_nothing_left_is_explained_by_what_was_passed_over(closed):
    folder = closed("closed", "sub")
    (folder / "a.jpg").unlink()
    kind, said = list_without_privilege(folder)
    assert kind == "UnusableData"
    assert "2 folders of the input may not be read and were passed over: 'closed/', 'sub/'." in said


def test_files_that_are_asked_for_by_prefix_are_never_silently_fewer(closed):
    kind, said = list_without_privilege(closed("sub/lost+found"), "sub/")
    assert kind == "ObjectRefused"
    assert "lost+found" in said

"""Stages: finished work is found again, unfinished work is not, hostile entries are refused."""

import json
from functools import partial

import numpy as np
import pytest

from selection_job.run.kept_stages import KeptStage, KeptStages, Noted, make_fingerprint
from selection_job.stores.local.store import LocalStore

KEY = ".lightly/runs/a-12345678/"


@pytest.fixture
def store(tmp_path):
    (tmp_path / "bucket").mkdir()
    return LocalStore(tmp_path / "bucket")


def write_two_files(folder):
    (folder / "sub").mkdir()
    (folder / "a.bin").write_bytes(b"a")
    (folder / "sub" / "b.bin").write_bytes(b"b")


def read_both(folder):
    content = (folder / "a.bin").read_bytes() + (folder / "sub" / "b.bin").read_bytes()
    if content != b"ab":
        raise ValueError("garbage")
    return content


def refuse(folder):
    raise AssertionError("the stage was made again")


def reuse_or_make(stages, make, read, fingerprint="f" * 16):
    return stages.reuse_or_make(KeptStage("embedding", fingerprint, make, read)).value


def test_a_finished_stage_is_fetched_and_not_made_again(store, tmp_path):
    made = reuse_or_make(KeptStages(store, KEY, tmp_path / "one"), write_two_files, read_both)
    fetched = reuse_or_make(KeptStages(store, KEY, tmp_path / "two"), refuse, read_both)
    assert made == fetched == b"ab"


def test_a_kept_stage_that_cant_be_read_is_made_again(store, tmp_path):
    reuse_or_make(KeptStages(store, KEY, tmp_path / "one"), write_two_files, read_both)
    store.write(f"{KEY}.stages/embedding-{'f' * 16}/sub/b.bin", b"garbage")
    again = reuse_or_make(KeptStages(store, KEY, tmp_path / "two"), write_two_files, read_both)
    assert again == b"ab"
    assert store.read(f"{KEY}.stages/embedding-{'f' * 16}/sub/b.bin") == b"b"


def test_another_fingerprint_is_another_stage(store, tmp_path):
    stages = KeptStages(store, KEY, tmp_path / "one")
    reuse_or_make(stages, write_two_files, read_both, fingerprint="0" * 16)
    with pytest.raises(AssertionError, match="made again"):
        reuse_or_make(stages, refuse, read_both, fingerprint="1" * 16)


def test_a_stage_cut_off_while_it_was_kept_counts_as_absent(store, tmp_path):
    reuse_or_make(KeptStages(store, KEY, tmp_path / "one"), write_two_files, read_both)
    store.delete(f"{KEY}.stages/embedding-{'f' * 16}/complete.json")
    with pytest.raises(AssertionError, match="made again"):
        reuse_or_make(KeptStages(store, KEY, tmp_path / "two"), refuse, read_both)


def test_a_stage_with_a_lost_file_counts_as_absent(store, tmp_path):
    reuse_or_make(KeptStages(store, KEY, tmp_path / "one"), write_two_files, read_both)
    store.delete(f"{KEY}.stages/embedding-{'f' * 16}/sub/b.bin")
    with pytest.raises(AssertionError, match="made again"):
        reuse_or_make(KeptStages(store, KEY, tmp_path / "two"), refuse, read_both)


@pytest.mark.parametrize(
    "name", ["../../escaped", "/tmp/escaped", "a/../../../escaped", 7, "nul\0", "a//b", "./a", "a/", "."]
)
def test_a_kept_stage_that_names_files_outside_its_folder_counts_as_absent(store, tmp_path, name):
    store.write(f"{KEY}.stages/embedding-{'f' * 16}/complete.json", json.dumps({"files": [name]}).encode())
    with pytest.raises(AssertionError, match="made again"):
        reuse_or_make(KeptStages(store, KEY, tmp_path / "one"), refuse, read_both)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"[]", b'{"files": 1}', b"\xff", b'{"files": ["a.bin", "a.bin/b"]}']
)
def test_a_kept_stage_whose_list_is_damaged_counts_as_absent(store, tmp_path, content):
    reuse_or_make(KeptStages(store, KEY, tmp_path / "one"), write_two_files, read_both)
    store.write(f"{KEY}.stages/embedding-{'f' * 16}/complete.json", content)
    again = reuse_or_make(KeptStages(store, KEY, tmp_path / "two"), write_two_files, read_both)
    assert again == b"ab"


def test_a_kept_array_that_claims_more_than_there_is_memory_for_is_made_again(store, tmp_path):
    def write(folder):
        np.save(folder / "a.npy", np.arange(3))

    def read(folder):
        return np.load(folder / "a.npy", allow_pickle=False)

    reuse_or_make(KeptStages(store, KEY, tmp_path / "one"), write, read)
    key = f"{KEY}.stages/embedding-{'f' * 16}/a.npy"
    store.write(key, store.read(key).replace(b"(3,)", b"(300000000000000,)"))
    again = reuse_or_make(KeptStages(store, KEY, tmp_path / "two"), write, read)
    assert again.tolist() == [0, 1, 2]


NOTES = ["10 of 90 frames were trained on.", "caf\udce9.jpg is no name"]


def write_and_tell(folder):
    write_two_files(folder)
    return iter(NOTES)


def test_the_notes_of_a_stage_are_kept_with_it(store, tmp_path):
    made, fetched = (
        KeptStages(store, KEY, tmp_path / name).reuse_or_make(KeptStage("training", "f" * 16, make, read_both))
        for name, make in (("one", write_and_tell), ("two", refuse))
    )
    assert made == fetched == Noted(b"ab", tuple(NOTES))


def test_a_stage_that_an_older_version_kept_has_no_notes(store, tmp_path):
    KeptStages(store, KEY, tmp_path / "one").reuse_or_make(KeptStage("a", "f" * 16, write_two_files, read_both))
    assert {info.key.rpartition("/")[2] for info in store.list(KEY)} == {"a.bin", "b.bin", "complete.json"}
    again = KeptStages(store, KEY, tmp_path / "two").reuse_or_make(KeptStage("a", "f" * 16, refuse, read_both))
    assert again == Noted(b"ab", ())


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[1]", b"{}", b"\xff", b"null"])
def test_a_stage_whose_notes_are_damaged_is_made_again(store, tmp_path, content):
    stage = KeptStage("a", "f" * 16, write_and_tell, read_both)
    KeptStages(store, KEY, tmp_path / "one").reuse_or_make(stage)
    store.write(f"{KEY}.stages/a-{'f' * 16}/notes.json", content)
    assert KeptStages(store, KEY, tmp_path / "two").reuse_or_make(stage) == Noted(b"ab", tuple(NOTES))


def test_a_stage_of_parts_makes_the_parts_that_are_missing_and_joins_all_in_their_order(store, tmp_path):
    made = []

    def make(number, folder):
        made.append(number)
        (folder / "number").write_text(str(number))
        return [f"note {number}"]

    parts = [
        KeptStage(f"a-{i}", "f" * 16, partial(make, i), lambda folder: int((folder / "number").read_text()))
        for i in range(4)
    ]
    KeptStages(store, KEY, tmp_path / "one").reuse_or_make(parts[2])
    joined = KeptStages(store, KEY, tmp_path / "two").join(parts, tuple)
    assert joined == Noted((0, 1, 2, 3), ("note 0", "note 1", "note 2", "note 3"))
    assert made == [2, 0, 1, 3]


def test_one_file_of_an_unfinished_stage_is_kept(store, tmp_path):
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(b"weights")
    KeptStages(store, KEY, tmp_path / "one").keep_file("training", "f" * 16, checkpoint)
    later = KeptStages(store, KEY, tmp_path / "two")
    fetched = later.fetch_file("training", "f" * 16, "last.ckpt")
    assert fetched is not None
    assert fetched.read_bytes() == b"weights"
    assert later.fetch_file("training", "e" * 16, "last.ckpt") is None


def test_forget_leaves_the_results_and_removes_the_stages(store, tmp_path):
    store.write(f"{KEY}report.json", b"{}")
    stages = KeptStages(store, KEY, tmp_path / "one")
    reuse_or_make(stages, write_two_files, read_both)
    stages.forget()
    assert [info.key for info in store.list(KEY)] == [f"{KEY}report.json"]


def test_a_fingerprint_depends_on_each_part_and_not_on_their_order():
    assert make_fingerprint(a=1, b="x") == make_fingerprint(b="x", a=1)
    assert make_fingerprint(a=1, b="x") != make_fingerprint(a=1, b="y")

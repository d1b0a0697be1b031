"""Stages: finished work is found again, unfinished work is not, hostile entries are refused."""

import json

import numpy as np
import pytest

from selection_job.run.kept_stages import KeptStages, make_fingerprint
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


def test_a_finished_stage_is_fetched_and_not_made_again(store, tmp_path):
    made = KeptStages(store, KEY, tmp_path / "one").reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    fetched = KeptStages(store, KEY, tmp_path / "two").reuse_or_make("embedding", "f" * 16, refuse, read_both)
    assert made == fetched == b"ab"


def test_a_kept_stage_that_cant_be_read_is_made_again(store, tmp_path):
    KeptStages(store, KEY, tmp_path / "one").reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    store.write(f"{KEY}.stages/embedding-{'f' * 16}/sub/b.bin", b"garbage")
    again = KeptStages(store, KEY, tmp_path / "two").reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    assert again == b"ab"
    assert store.read(f"{KEY}.stages/embedding-{'f' * 16}/sub/b.bin") == b"b"


def test_another_fingerprint_is_another_stage(store, tmp_path):
    stages = KeptStages(store, KEY, tmp_path / "one")
    stages.reuse_or_make("embedding", "0" * 16, write_two_files, read_both)
    with pytest.raises(AssertionError, match="made again"):
        stages.reuse_or_make("embedding", "1" * 16, refuse, read_both)


def test_a_stage_cut_off_while_it_was_kept_counts_as_absent(store, tmp_path):
    KeptStages(store, KEY, tmp_path / "one").reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    store.delete(f"{KEY}.stages/embedding-{'f' * 16}/complete.json")
    with pytest.raises(AssertionError, match="made again"):
        KeptStages(store, KEY, tmp_path / "two").reuse_or_make("embedding", "f" * 16, refuse, read_both)


def test_a_stage_with_a_lost_file_counts_as_absent(store, tmp_path):
    KeptStages(store, KEY, tmp_path / "one").reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    store.delete(f"{KEY}.stages/embedding-{'f' * 16}/sub/b.bin")
    with pytest.raises(AssertionError, match="made again"):
        KeptStages(store, KEY, tmp_path / "two").reuse_or_make("embedding", "f" * 16, refuse, read_both)


@pytest.mark.parametrize(
    "name", ["../../escaped", "/tmp/escaped", "a/../../../escaped", 7, "nul\0", "a//b", "./a", "a/", "."]
)
def test_a_kept_stage_that_names_files_outside_its_folder_counts_as_absent(store, tmp_path, name):
    store.write(f"{KEY}.stages/embedding-{'f' * 16}/complete.json", json.dumps({"files": [name]}).encode())
    with pytest.raises(AssertionError, match="made again"):
        KeptStages(store, KEY, tmp_path / "one").reuse_or_make("embedding", "f" * 16, refuse, read_both)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"[]", b'{"files": 1}', b"\xff", b'{"files": ["a.bin", "a.bin/b"]}']
)
def test_a_kept_stage_whose_list_is_damaged_counts_as_absent(store, tmp_path, content):
    KeptStages(store, KEY, tmp_path / "one").reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    store.write(f"{KEY}.stages/embedding-{'f' * 16}/complete.json", content)
    again = KeptStages(store, KEY, tmp_path / "two").reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    assert again == b"ab"


def test_a_kept_array_that_claims_more_than_there_is_memory_for_is_made_again(store, tmp_path):
    def write(folder):
        np.save(folder / "a.npy", np.arange(3))

    def read(folder):
        return np.load(folder / "a.npy", allow_pickle=False)

    KeptStages(store, KEY, tmp_path / "one").reuse_or_make("embedding", "f" * 16, write, read)
    key = f"{KEY}.stages/embedding-{'f' * 16}/a.npy"
    store.write(key, store.read(key).replace(b"(3,)", b"(300000000000000,)"))
    again = KeptStages(store, KEY, tmp_path / "two").reuse_or_make("embedding", "f" * 16, write, read)
    assert again.tolist() == [0, 1, 2]


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
    stages.reuse_or_make("embedding", "f" * 16, write_two_files, read_both)
    stages.forget()
    assert [info.key for info in store.list(KEY)] == [f"{KEY}report.json"]


def test_a_fingerprint_depends_on_each_part_and_not_on_their_order():
    assert make_fingerprint(a=1, b="x") == make_fingerprint(b="x", a=1)
    assert make_fingerprint(a=1, b="x") != make_fingerprint(a=1, b="y")

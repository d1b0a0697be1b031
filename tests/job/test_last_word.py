"""The last word: whatever ends a process, the termination message says how, where and with which counts."""

import errno
import json
import os
import subprocess
import sys

import pytest
from testbed.waiting import wait_until

from selection_api import ExitCode, RunSummary, Stage
from selection_api.names import LONGEST_SUMMARY_BYTES
from selection_job.__main__ import main
from selection_job.errors import StorageUnavailable
from selection_job.process.progress import Progress
from selection_job.process.termination_message import TerminationMessage, describe_error


@pytest.fixture
def message(tmp_path):
    """The file that the kubelet puts into a container."""
    path = tmp_path / "termination-log"
    path.touch()
    return path


@pytest.fixture
def word(message):
    return TerminationMessage(message, Progress(quiet=True), run_id="test-12345678")


@pytest.fixture
def run(message, tmp_path, make_manifest, photos):
    """Run the command line over the photos; return (exit code, last word)."""

    def start(**spec):
        path = tmp_path / "run.json"
        path.write_text(json.dumps(make_manifest(photos.folder, **spec)))
        code = main(["run", str(path)], termination_message=message)
        return code, RunSummary.from_bytes(message.read_bytes())

    return start


def test_each_stage_begins_with_a_word_that_names_it_and_the_counts_so_far(message, word):
    progress = word.progress
    progress.on_stage = word.leave_preliminary
    progress.count(input=7)
    with progress.stage(Stage.TRAINING):
        left = RunSummary.from_bytes(message.read_bytes())
    assert (left.exit_code, left.reason, left.stage, left.run_id) == (1, "Unexpected", "TRAINING", "test-12345678")
    assert left.counts.input == 7
    assert "ended without a last word" in left.message


def test_a_shorter_word_replaces_a_longer_one_as_a_whole(message, word):
    word.leave(word.summarize(ExitCode.UNUSABLE_DATA, "x" * 3000))
    word.leave(word.summarize(ExitCode.UNUSABLE_DATA, "short"))
    assert json.loads(message.read_bytes())["message"] == "short"
    assert not message.read_bytes().endswith(b" ")


def test_outside_a_pod_nothing_is_written(word, message):
    message.unlink()
    word.leave_preliminary()
    assert not message.exists()


@pytest.mark.parametrize("verb", ["open", "pwrite", "ftruncate"])
def test_a_word_that_cant_be_written_is_no_fault_of_the_run(word, monkeypatch, verb):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, verb, refuse)
    word.leave_preliminary()


def test_a_word_cut_off_before_it_is_shortened_is_json_all_the_same(message, word, monkeypatch):
    word.leave(word.summarize(ExitCode.UNUSABLE_DATA, "x" * 3000))

    def be_killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "ftruncate", be_killed)
        word.leave_preliminary()
    assert "ended without" in RunSummary.from_bytes(message.read_bytes()).message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("bad value"), "ValueError: bad value"),
        (MemoryError(), "MemoryError."),
        (RuntimeError("long " * 5000), "RuntimeError: long long"),
        (OSError(errno.EIO, "I/O", "caf\udce9.jpg"), "caf\\udce9.jpg"),
        (StorageUnavailable("Reading caf\udce9.jpg failed."), "Reading caf\\udce9.jpg failed."),
    ],
    ids=["with message", "without", "long", "name that is no text", "understood"],
)
def test_any_exception_fits_in_a_word(message, word, error, said):
    word.leave_error(error)
    assert len(message.read_bytes()) <= LONGEST_SUMMARY_BYTES
    assert said in RunSummary.from_bytes(message.read_bytes()).message


def test_a_long_message_is_cut_so_that_a_log_reader_sees_the_advice():
    said = describe_error(RuntimeError("x" * 10_000))
    assert len(said) < 2000 and said.endswith("The traceback is in the pod's log.")


def test_a_run_that_ends_well_leaves_its_summary(run):
    code, left = run(workerConfig={"sanity_check": True})
    assert (code, left.exit_code, left.reason) == (0, 0, "Complete")


def test_a_wrong_manifest_leaves_its_problems(run):
    code, left = run(workerConfig={"n_example_images": 3})
    assert (code, left.exit_code, left.reason, left.stage) == (2, 2, "InvalidManifest", "INITIALIZING")
    assert "even" in left.message


def test_a_failed_run_leaves_stage_and_counts(run):
    code, left = run(workerConfig={"checkpoint": ".lightly/nowhere.ckpt"})
    assert (code, left.reason, left.stage) == (3, "UnusableData", "LOADING_DATASET")
    assert left.counts.input > 0


def test_an_unexpected_exception_leaves_its_class_and_message_and_passes(run, message, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("the impossible")

    monkeypatch.setattr("selection_job.stages.medium.embed_images", fail)
    with pytest.raises(ZeroDivisionError):
        run()
    left = RunSummary.from_bytes(message.read_bytes())
    assert (left.exit_code, left.reason, left.stage) == (1, "Unexpected", "EMBEDDING")
    assert "ZeroDivisionError: the impossible" in left.message


STARTED = "import sys; from pathlib import Path; from selection_job.__main__ import main; "


@pytest.mark.slow
def test_a_killed_run_leaves_the_stage_it_was_in(message, make_manifest, photos, tmp_path):
    manifest = make_manifest(
        photos.folder,
        workerConfig={"enable_training": True, "checkpoint": None},
        lightlyConfig={"pre_trained": False, "trainer": {"max_epochs": 100_000}},
    )
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    arguments = f"main(['run', {str(tmp_path / 'run.json')!r}], termination_message=Path({str(message)!r}))"
    process = subprocess.Popen([sys.executable, "-c", f"{STARTED}{arguments}"], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: b"TRAINING" in message.read_bytes(), timeout=120)
    finally:
        process.kill()
        process.wait()
    left = RunSummary.from_bytes(message.read_bytes())
    assert (left.exit_code, left.stage, left.counts.input, left.counts.corrupt) == (1, "TRAINING", photos.total, 4)
    assert left.run_id.startswith("test-")

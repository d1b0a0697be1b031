"""Bad input: each has a clear end, the right exit code, and leaves the lightly folder consistent."""

import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
import yaml
from PIL import Image

from selection_job import __main__ as command_line
from selection_job.stores.cloud.retrying import RetryPolicy


@pytest.fixture
def end(tmp_path, capfd):
    """Run the command line on a manifest; return (exit code, what it said)."""

    def run(manifest, command="run"):
        path = tmp_path / "run.yaml"
        path.write_text(manifest if isinstance(manifest, str) else yaml.safe_dump(manifest))
        code = command_line.main([command, str(path)])
        out, err = capfd.readouterr()
        return code, out + err

    return run


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"workerConfig": {"n_example_images": "six"}}, "spec.workerConfig.n_example_images"),
        ({"workerConfig": {"stoping_condition": {}}}, "Did you mean 'stopping_condition'?"),
        ({"lightlyConfig": {"loader": {"batchsize": 3}}}, "Did you mean 'batch_size'?"),
        ({"workerConfig": {"stopping_condition": {"n_samples": 0}}}, "n_samples"),
        ({"workerConfig": {"stopping_condition": {"n_samples": 1}}}, "100%"),
        ({"workerConfig": {"stopping_condition": {"n_samples": 2.5}}}, "n_samples"),
        ({"workerConfig": {"n_example_images": 3}}, "even"),
        ({"dataset": {"type": "VIDEOS"}, "workerConfig": {"pretagging": True}}, "not supported by this version"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_manifest_ends_with_2_and_says_where(end, make_manifest, photos, changes, sentence):
    code, said = end(make_manifest(photos.folder, **changes))
    assert code == 2
    assert sentence in said


def test_check_says_the_same_as_run_and_touches_nothing(end, make_manifest, photos, tmp_path):
    manifest = make_manifest(photos.folder, workerConfig={"n_example_images": 3})
    assert end(manifest, "check") == end(manifest, "run")
    assert end(make_manifest(photos.folder), "check")[0] == 0
    assert not (tmp_path / "output/.lightly/runs").exists()


@pytest.mark.parametrize("text", ["", "just words", "a: [1", "\t", "kind: Pod\napiVersion: v1\n"])
def test_a_file_that_is_no_selection_run_ends_with_2(end, text):
    assert end(text)[0] == 2


def test_a_missing_manifest_ends_with_2(tmp_path, capfd):
    assert command_line.main(["run", str(tmp_path / "nowhere.yaml")]) == 2
    assert "nowhere.yaml" in capfd.readouterr().err


def test_a_missing_input_folder_ends_with_4_and_names_it(end, make_manifest, tmp_path):
    code, said = end(make_manifest(tmp_path / "nowhere"))
    assert code == 4
    assert str(tmp_path / "nowhere") in said


def test_a_folder_without_images_ends_with_3_and_says_what_was_looked_for(end, make_manifest, tmp_path):
    (tmp_path / "input").mkdir()
    (tmp_path / "input/notes.txt").write_text("no image")
    code, said = end(make_manifest(tmp_path / "input"))
    assert code == 3
    assert ".jpg" in said


def test_only_corrupt_images_end_with_3(end, make_manifest, tmp_path):
    (tmp_path / "input").mkdir()
    for i in range(3):
        (tmp_path / f"input/{i}.jpg").write_bytes(b"no image")
    code, said = end(make_manifest(tmp_path / "input"))
    assert code == 3
    assert "All 3 images are corrupt" in said


@pytest.mark.parametrize("key", ["checkpoint", "relevant_filenames_file"])
def test_a_named_file_that_is_missing_ends_with_3(end, make_manifest, photos, key):
    code, said = end(make_manifest(photos.folder, workerConfig={key: ".lightly/nowhere.x"}))
    assert code == 3
    assert ".lightly/nowhere.x" in said


def test_without_training_checkpoint_or_a_reachable_zoo_the_ways_out_are_named(end, make_manifest, photos, monkeypatch):
    import selection_job.encoder.zoo as zoo

    monkeypatch.setattr(zoo, "ZOO", dict.fromkeys(zoo.ZOO, "http://127.0.0.1:9/x-00000000.pth"))
    manifest = make_manifest(
        photos.folder,
        workerConfig={"checkpoint": None},
        lightlyConfig={"model": {"name": "resnet-18", "width": 1, "num_ftrs": 32}},
    )
    monkeypatch.setattr(zoo, "RetryPolicy", lambda attempts: RetryPolicy(attempts=1))
    code, said = end(manifest)
    assert code == 75  # in a cluster tried again: nobody was reached, and that may pass
    ways = ["encoder: BUILT_IN", "workerConfig.checkpoint", ".lightly/runs/", "enable_training"]
    assert [way for way in ways if way in said] == ways
    assert sorted(ways, key=said.index) == ways, "the one that needs nothing comes first"


def test_an_unreadable_lightly_folder_ends_with_4(end, make_manifest, photos, tmp_path):
    manifest = make_manifest(photos.folder)
    shutil.rmtree(tmp_path / "output")
    assert end(manifest)[0] == 4


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 4], ids=["one image", "four copies of one image"])
def test_a_single_image_is_kept_and_reported(end, make_manifest, photos, tmp_path, copies):
    (tmp_path / "input").mkdir()
    for i in range(copies):
        shutil.copy(photos.folder / "UPPER.JPEG", tmp_path / f"input/{i}.jpg")
    code, _ = end(make_manifest(tmp_path / "input"))
    assert code == 0
    lists = list((tmp_path / "output/.lightly/runs").glob("*/filenames/sampled_*.txt"))
    assert lists[0].read_text() == "0.jpg\n"


@pytest.mark.slow
def test_odd_images_are_used_and_a_decompression_bomb_is_corrupt(run_manifest, make_manifest, tmp_path):
    folder = tmp_path / "input"
    folder.mkdir()
    Image.new("RGB", (1, 1), "red").save(folder / "1x1.png")
    Image.new("CMYK", (40, 30), (0, 99, 9, 9)).save(folder / "cmyk.jpg")
    Image.new("P", (40, 30), 3).save(folder / "palette.png")
    Image.new("L", (40, 30), 70).save(folder / "grey.jpg")
    Image.new("I;16", (40, 30), 30000).save(folder / "deep.png")
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("blue", "green")]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:])
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    manifest = make_manifest(folder, workerConfig={"stopping_condition": {"n_samples": "100%"}})
    done = run_manifest(manifest, drawn=True)
    assert done.lines("corrupt_filenames.txt") == ["bomb.png"]
    assert len(done.selected) == 6
    assert "too large" in (done.folder / "report.json").read_text()


@pytest.mark.slow
def test_a_full_disk_ends_with_75_leaves_no_report_and_the_next_try_completes(
    end, make_manifest, photos, tmp_path, monkeypatch
):
    manifest = make_manifest(photos.folder)
    original, calls = os.fsync, 0

    def fill_up(descriptor):
        nonlocal calls
        calls += 1
        if calls > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        code, said = end(manifest)
    runs = tmp_path / "output/.lightly/runs"
    assert (code, "no space left" in said.lower()) == (75, True)
    assert not list(runs.rglob("report.json"))
    assert not list(runs.rglob(".selection-job-partial-*"))
    assert end(manifest)[0] == 0
    assert list(runs.glob("*/report.json"))


def test_a_full_scratch_disk_ends_with_75_and_names_the_folder(end, make_manifest, photos, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "/scratch/x")

    monkeypatch.setattr("selection_job.running.run_pipeline", refuse)
    code, said = end(make_manifest(photos.folder))
    assert code == 75
    assert "No space left for /scratch/x" in said


def test_sanity_check_asks_both_datasources_and_selects_nothing(end, make_manifest, photos, tmp_path):
    code, said = end(make_manifest(photos.folder, workerConfig={"sanity_check": True}))
    assert code == 0
    assert "sanity check passed" in said
    assert sorted(path.name for path in (tmp_path / "output/.lightly").iterdir()) == ["start.ckpt"]


def test_num_processes_bounds_the_cores_of_the_network(end, make_manifest, photos):
    before = torch.get_num_threads()
    try:
        for n in (1, 2):
            end(make_manifest(photos.folder, workerConfig={"sanity_check": True, "num_processes": n}))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)


def start(path):
    return subprocess.Popen(
        [sys.executable, "-m", "selection_job", "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_stopped_run_ends_with_75_keeps_its_stages_and_goes_on_later(make_manifest, photos, tmp_path, number):
    manifest = make_manifest(
        photos.folder,
        workerConfig={"enable_training": True, "checkpoint": None},
        lightlyConfig={"pre_trained": False, "trainer": {"max_epochs": 100_000}},
    )
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(manifest))
    process = start(path)
    kept = tmp_path / "output/.lightly/runs"
    try:
        assert any("Training: epoch 1 of" in line for line in process.stdout)
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 75, said
    assert "same command goes on" in said
    assert list(kept.glob("*/.stages/checking-*/complete.json"))
    assert list(kept.glob("*/.stages/training-*/last.ckpt"))
    assert not list(kept.glob("*/report.json"))

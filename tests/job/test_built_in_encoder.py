"""The built-in encoder: the real file, on pictures of the demo; where nothing else is said it embeds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from testbed.merging import merge

from selection_api import parse_manifest
from selection_job.errors import UnusableData
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.run.context import set_up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def few_photos(photos, tmp_path):
    """Two pictures of each of six scenes."""
    folder = tmp_path / "few"
    for path in photos.folder.glob("walk */frame_[01].jpg"):
        target = folder / path.relative_to(photos.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


@pytest.fixture
def without_network(make_manifest):
    """Return a function (folder, **spec) -> manifest that says nothing of an encoder."""

    def make(folder, **spec):
        worker = {"checkpoint": None, **spec.pop("workerConfig", {})}
        silent = {"model": None, "collate": None, **spec.pop("lightlyConfig", {})}
        return make_manifest(folder, workerConfig=worker, lightlyConfig=silent, **spec)

    return make


def test_a_manifest_that_says_nothing_embeds_with_it_and_its_config_yaml_gives_the_same_bytes(
    run_manifest, without_network, few_photos
):
    first = run_manifest(without_network(few_photos))
    config = yaml.safe_load((first.folder / "config/config.yaml").read_text(encoding="utf-8"))
    assert config["spec"]["workerConfig"]["encoder"] == "BUILT_IN"
    assert "model" not in config["spec"]["lightlyConfig"]
    assert "input_size" not in config["spec"]["lightlyConfig"]["collate"]
    again = run_manifest(config)
    assert again.folder != first.folder
    kept = [path for path in sorted(first.folder.rglob("*")) if path.suffix in {".csv", ".txt"}]
    assert len(kept) >= 10
    for path in [*kept, first.folder / "config/config.yaml"]:
        assert (again.folder / path.relative_to(first.folder)).read_bytes() == path.read_bytes(), path.name
    aloud = run_manifest(without_network(few_photos, workerConfig={"encoder": "BUILT_IN"}))
    table = "data/embeddings.csv"
    assert (aloud.folder / table).read_bytes() == (first.folder / table).read_bytes()


def test_the_report_names_it_with_its_licence_and_what_it_sees(run_manifest, without_network, few_photos):
    encoder = run_manifest(without_network(few_photos)).report["generalInformation"]["runInformation"]["encoder"]
    assert (encoder["source"], encoder["name"], encoder["licence"]) == ("built in", "EfficientNet-Lite0", "Apache-2.0")
    assert encoder["inputSize"] == 128
    assert encoder["preprocessing"].startswith("the whole image, resized to 128 x 128 pixels")


def test_a_pool_of_another_encoder_is_refused_with_the_way_to_go_on(tmp_path, without_network, checkpoint, few_photos):
    def run(name, **worker):
        pooled = {"use_datapool": True, "stopping_condition": {"n_samples": 2}, **worker}
        spec = {"dataset": {"name": "cats"}, "workerConfig": pooled}
        if "checkpoint" in worker:
            spec["lightlyConfig"] = NETWORK
        manifest = merge(without_network(few_photos, **spec), {"metadata": {"name": name}})
        (tmp_path / "scratch" / name).mkdir(parents=True)
        run_pipeline(set_up(parse_manifest(manifest), tmp_path / "scratch" / name, Progress(quiet=True)))

    run("monday", checkpoint=".lightly/start.ckpt")
    shutil.copy(few_photos / "walk 0/frame_0.jpg", few_photos / "new.jpg")
    with pytest.raises(UnusableData, match=r"embeds by built in .* set spec.workerConfig.checkpoint: .lightly/start"):
        run("tuesday")


NETWORK = {"model": {"name": "resnet-9", "width": 0.25, "num_ftrs": 16}, "collate": {"input_size": 32}}


@pytest.mark.slow
@pytest.mark.root
def test_the_first_example_completes_without_a_way_out_and_picks_every_scene_of_the_demo(tmp_path):
    folders = {"input": tmp_path / "input", "output": tmp_path / "output"}
    make = [sys.executable, str(ROOT / "examples/make_demo_dataset.py")]
    arguments = [f"--{name}={folder}" for name, folder in folders.items()]
    subprocess.run([*make, *arguments], check=True, capture_output=True)
    text = (ROOT / "examples/simple.yaml").read_text(encoding="utf-8")
    path = tmp_path / "simple.yaml"
    path.write_text(text.replace("/tmp/selection-demo", str(tmp_path)), encoding="utf-8")
    command = ["unshare", "--net", sys.executable, "-m", "selection_job", "run", str(path)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (list_of_picks,) = folders["output"].glob(".lightly/runs/*/filenames/sampled_filenames_excluding_datapool.txt")
    picks = list_of_picks.read_text(encoding="utf-8").splitlines()
    assert len(picks) == 40
    listed = {path.relative_to(folders["input"]) for path in folders["input"].rglob("*.*")}
    assert {find_scene(name) for name in map(str, listed)} - {None} == {find_scene(name) for name in picks} - {None}


def find_scene(name):
    """Return what a picture of the demo shows, by its name; None where the name does not say it."""
    parts = Path(name).parts
    if parts[0] in {"photos", "walks"}:
        return parts[1]
    return parts[1].partition("_")[0] if parts[0] == "scans" else None

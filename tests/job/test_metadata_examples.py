"""examples/metadata: every manifest runs over its tree, and the page shows what lies in it."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from selection_api import parse_manifest
from selection_job.images.image_measures import MEASURES
from selection_job.manifest.reading import load_manifest, read_manifest
from selection_job.metadata.metadata_schema import DATA_TYPES

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/metadata"
PAGE = (ROOT / "docs/metadata.md").read_text(encoding="utf-8")


@pytest.fixture
def run_example(tmp_path, checkpoint, run_manifest):
    """Return a function name -> Done that runs a manifest over a copy of the tree, with an encoder that is here."""
    for name in ("input", "lightly"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    shutil.copy(checkpoint, tmp_path / "lightly/.lightly/start.ckpt")

    def run(name):
        manifest = load_manifest((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
        for purpose in ("input", "lightly"):
            manifest["spec"]["datasources"][purpose]["resourcePath"] = str(tmp_path / purpose)
        if "workerConfig" not in manifest["spec"]:
            manifest["spec"]["workerConfig"] = {"checkpoint": ".lightly/start.ckpt"}
            model = {"name": "resnet-9", "width": 0.25, "num_ftrs": 16}
            manifest["spec"]["lightlyConfig"] = {"model": model, "collate": {"input_size": 32}}
        manifest["spec"].setdefault("lightlyConfig", {}).setdefault("trainer", {})["gpus"] = 0
        return run_manifest(manifest)

    return run


def read_table(done):
    with (done.folder / "data/metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_weather_filters_weighs_and_balances(run_example):
    done = run_example("weather")
    chosen = [row for row in read_table(done) if row["selected"] == "true"]
    assert len(chosen) == 4
    assert min(float(row["lightly.sharpness"]) for row in chosen) > 20
    assert min(float(row["weather.temperature"]) for row in chosen) >= 0
    assert any("7 files for 8 images" in note for note in done.report_notes)


@pytest.mark.slow
def test_cameras_and_days_come_from_the_names(run_example):
    done = run_example("cameras")
    chosen = [row for row in read_table(done) if row["selected"] == "true"]
    assert sorted((row["camera"], row["day"]) for row in chosen) == [("01", "01")] * 2 + [("02", "01")] * 2


def test_every_manifest_and_file_of_the_tree_is_valid():
    assert sorted(path.stem for path in EXAMPLES.glob("*.yaml")) == ["cameras", "weather"]
    for path in EXAMPLES.glob("*.yaml"):
        assert parse_manifest(load_manifest(path.read_text())) == read_manifest(path)


def test_the_page_shows_the_example_and_names_everything_there_is():
    for name in ("schema.json", "camera_01/2026-05-01/frame_0.json"):
        shown = json.loads((EXAMPLES / "lightly/.lightly/metadata" / name).read_text())
        blocks = [block.split("```")[0] for block in PAGE.split("```json\n")[1:]]
        assert shown in [json.loads(block) for block in blocks]
    for word in (*DATA_TYPES, *(f"lightly.{name}" for name in MEASURES), "lightly.width", "lightly.sizeInBytes"):
        assert f"`{word}`" in PAGE

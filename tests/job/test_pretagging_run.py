"""A run with pretagging from its manifest to its results."""

import csv
import io
import json

import numpy as np
import pytest
import street_scenes
from PIL import Image

from selection_api import parse_manifest
from selection_job import pipeline
from selection_job.errors import UnusableData
from selection_job.process.progress import Progress
from selection_job.run.context import set_up

# slow: where the cache has no detector yet, one is trained
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

TASK = "lightly_pretagging"
CHECKPOINT = ".lightly/streets.pth"
PRETAGGING = {
    "pretagging": True,
    "pretagging_config": {"checkpoint": CHECKPOINT, "input_size": street_scenes.INPUT_SIZE},
}


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """24 scenes, of which every third has two cars; a copy and a corrupt file."""
    folder = tmp_path_factory.mktemp("streets")
    random = np.random.default_rng(4)
    for i in range(24):
        categories = ["car", "car"] if i % 3 == 0 else ["person"]
        street_scenes.make_scene(random, categories)[0].save(folder / f"{i:02}.jpg", quality=95)
    (folder / "copy.jpg").write_bytes((folder / "00.jpg").read_bytes())
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture
def make_run(make_manifest, streets, tmp_path):
    """A factory of manifests over the scenes from keys of workerConfig and of the spec; config: pretagging_config."""

    def make(worker=None, config=None, **spec):
        path = tmp_path / "output" / CHECKPOINT
        if not path.exists():
            path.symlink_to(street_scenes.find_detector())
        settings = {**PRETAGGING, "pretagging_config": {**PRETAGGING["pretagging_config"], **(config or {})}}
        return make_manifest(streets, workerConfig={**settings, **(worker or {})}, **spec)

    return make


@pytest.fixture
def choose(make_run, tmp_path, monkeypatch):
    """Run up to the selection and return the findings, without the results' cost."""
    monkeypatch.setattr(pipeline, "write_results", lambda place, findings: findings)

    def choose(*args, **options):
        (tmp_path / "scratch").mkdir()
        place = set_up(parse_manifest(make_run(*args, **options)), tmp_path / "scratch", Progress(quiet=True))
        return pipeline.run_pipeline(place)

    return choose


def names_of(findings):
    return [findings.catalog.names[row] for row in findings.selection.selected]


def two_cars():
    return {f"{i:02}.jpg" for i in range(0, 24, 3)}


COUNT_CARS = {
    "input": {"type": "PREDICTIONS", "task": TASK, "name": "CATEGORY_COUNT", "categories": ["car"]},
    "strategy": {"type": "THRESHOLD", "threshold": 1, "operation": "BIGGER_EQUAL"},
}
STRATEGIES = [
    {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}},
    {"input": {"type": "SCORES", "task": TASK, "score": "object_frequency"}, "strategy": {"type": "WEIGHTS"}},
    COUNT_CARS,
]


def test_the_results_of_a_run_show_what_was_found(make_run, run_manifest, streets):
    worker = {"stopping_condition": None, "pretagging_debug": True, "pretagging_upload": True}
    selection = {"n_samples": 3, "strategies": STRATEGIES}
    done = run_manifest(make_run(worker, {"min_counts": {"car": 2}}, selectionConfig=selection), drawn=True)
    assert len(done.selected) == 3
    assert set(done.selected) <= two_cars()
    rows = list(csv.DictReader(io.StringIO((done.folder / "data/selection.csv").read_text(encoding="utf-8"))))
    filtered = {row["filename"] for row in rows if row["decision"] == "filtered"}
    assert {f"{i:02}.jpg" for i in range(24) if i % 3} <= filtered
    assert "at least 2 car by pretagging" in json.dumps(done.report)

    size_bytes = sum(path.stat().st_size for path in streets.glob("*.jpg"))
    assert done.report["generalInformation"]["runInformation"]["bytesReread"] >= size_bytes

    pictures = sorted((done.folder / "data/bounding_boxes_examples").iterdir())
    assert len(pictures) == 20
    assert pictures[0].name == "00_00.jpg"
    with Image.open(pictures[0]) as drawn, Image.open(streets / "00.jpg") as original:
        assert drawn.size == original.size
        assert np.abs(np.asarray(drawn, int) - np.asarray(original, int)).max() > 100
    uploaded = json.loads(done.place.target.read(f".lightly/predictions/{TASK}/00.json"))
    assert {each["category_id"] for each in uploaded["predictions"]} == {2}


def test_only_images_with_enough_objects_are_selected(choose):
    findings = choose(config={"min_counts": {"car": 2}}, worker={"stopping_condition": {"n_samples": 4}})
    assert len(findings.selection.selected) == 4
    assert set(names_of(findings)) <= two_cars()


def test_a_count_that_no_image_reaches_is_named_with_its_field(choose):
    with pytest.raises(UnusableData, match=r"spec\.workerConfig\.pretagging_config\.min_counts\.bus .*lets 0 pass"):
        choose(config={"min_counts": {"bus": 3}})


def test_counts_hold_for_a_random_selection_with_a_distance_too(choose):
    worker = {"method": "random", "stopping_condition": {"n_samples": 4, "min_distance": 0.001}}
    findings = choose(worker, config={"min_counts": {"car": 2}})
    assert len(findings.selection.selected) == 4
    assert set(names_of(findings)) <= two_cars()


def test_coral_takes_the_scores_of_pretagging(choose):
    findings = choose({"method": "coral", "stopping_condition": {"n_samples": 3}})
    assert list(findings.sources.known_scores) == [(TASK, "object_frequency")]
    assert len(findings.selection.selected) == 3

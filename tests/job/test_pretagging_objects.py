"""Rare objects: a detector's crops of 2,000 street scenes, selected by how they look, and by chance."""

import numpy as np
import pytest
import street_scenes
from choosing import choose_objects

from selection_api import parse_manifest
from selection_job import pipeline
from selection_job.process.progress import Progress
from selection_job.run.context import set_up

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

N_SCENES, N_SELECTED = 2000, 100
SHARES = {"car": 0.5, "person": 0.48, "train": 0.02}
LEAST_OVERLAP = 0.5
WORKER = {
    "pretagging": True,
    "pretagging_config": {"checkpoint": ".lightly/streets.pth", "input_size": street_scenes.INPUT_SIZE},
    "object_level": {"task_name": "lightly_pretagging"},
    "stopping_condition": {"n_samples": N_SELECTED},
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A folder of scenes, and by name the categories and the boxes x0, y0, x1, y1 that were drawn."""
    folder, truth = tmp_path_factory.mktemp("scenes"), {}
    random = np.random.default_rng(11)
    for i in range(N_SCENES):
        categories = random.choice(list(SHARES), random.integers(1, 4), p=list(SHARES.values())).tolist()
        picture, boxes = street_scenes.make_scene(random, categories)
        picture.save(folder / f"{i:04}.jpg", quality=90)
        truth[f"{i:04}.jpg"] = (categories, boxes)
    return folder, truth


@pytest.fixture
def findings(scenes, make_manifest, tmp_path, monkeypatch):
    """What a run over the scenes finds and selects; its results are not written."""
    monkeypatch.setattr(pipeline, "write_results", lambda place, findings: findings)
    (tmp_path / "output/.lightly/streets.pth").symlink_to(street_scenes.find_detector())
    (tmp_path / "scratch").mkdir()
    run = parse_manifest(make_manifest(scenes[0], workerConfig=WORKER))
    return run, pipeline.run_pipeline(set_up(run, tmp_path / "scratch", Progress(quiet=True)))


def what_was_drawn(crops, catalog, truth):
    """Return for each crop the category of the shape that it overlaps most, 'nothing' below LEAST_OVERLAP."""
    found = []
    for owner, box in zip(crops.image_rows, crops.boxes_px.astype(float), strict=True):
        categories, boxes = truth[catalog.names[owner]]
        low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
        common = np.clip(high - low, 0, None).prod(axis=1)
        shares = common / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - common)
        found.append(categories[shares.argmax()] if shares.max() >= LEAST_OVERLAP else "nothing")
    return np.array(found)


def test_diverse_crops_have_three_times_the_rare_objects_of_a_random_choice(findings, scenes):
    run, found = findings
    objects = found.objects
    drawn = what_was_drawn(objects.crops, found.catalog, scenes[1])
    n_drawn = sum(len(categories) for categories, _ in scenes[1].values())
    assert np.count_nonzero(drawn != "nothing") > 0.8 * n_drawn
    assert np.count_nonzero(drawn == "train") > 0.8 * sum(c.count("train") for c, _ in scenes[1].values())
    assert len(objects.selection.selected) == N_SELECTED
    chosen = np.mean(drawn[objects.selection.selected] == "train")

    worker = run.spec.worker_config.model_copy(update={"method": "random"})
    by_chance = run.spec.model_copy(update={"worker_config": worker})
    random = choose_objects(found.catalog, found.crops[0], by_chance, found.sources)
    assert len(random.selection.selected) == N_SELECTED
    share = np.mean(what_was_drawn(random.crops, found.catalog, scenes[1])[random.selection.selected] == "train")
    assert chosen >= 3 * max(share, np.mean(drawn == "train"))

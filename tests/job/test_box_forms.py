"""Boxes in another form than x, y, width and height in pixels: told by a guess, and right ones never."""

import json

import numpy as np
import pytest
from PIL import Image

from selection_job.catalog.catalog import Catalog
from selection_job.predictions import box_forms
from selection_job.predictions.box_forms import note_form
from selection_job.predictions.task_predictions import SHOWN, STORED, Category, TaskPredictions

SIZES = [(640, 480), (300, 400), (1920, 1080), (37, 200)]
ORIENTATIONS = [1, 6, 3, 8]


def catalog_of(sizes=SIZES, orientations=None):
    n = len(sizes)
    widths, heights = np.array(sizes, dtype=np.int32).T
    turned = None if orientations is None else np.array(orientations, np.uint8)
    return Catalog(
        [f"{i}.jpg" for i in range(n)], np.zeros((n, 32), np.uint8), np.ones(n, np.int64), widths, heights,
        np.arange(n), {}, orientations=turned,
    )  # fmt: skip


def task_of(owners, boxes, coordinates=SHOWN):
    m = len(owners)
    return TaskPredictions(
        "cars", "object-detection", (Category(0, "car"),), np.ones(len(SIZES), bool), np.array(owners),
        np.zeros(m, np.int32), np.ones(m, np.float32), boxes_px=np.array(boxes, np.float32).reshape(-1, 4),
        coordinates=coordinates,
    )  # fmt: skip


def draw_boxes(seed, m=60, sizes=SIZES, largest=0.5):
    """Owners and boxes in fractions of their pictures, anywhere on these, as corners."""
    random = np.random.default_rng(seed)
    owners = np.sort(random.integers(0, len(sizes), m))
    low = random.uniform(0, 0.95, (m, 2))
    high = np.minimum(low + random.uniform(0.02, largest, (m, 2)), 1)
    return owners, np.concatenate([low, high], axis=1), np.array(sizes, float)[owners]


def as_sizes(corners):
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


SEEDS = range(40)


@pytest.mark.parametrize("coordinates", [SHOWN, STORED])
@pytest.mark.parametrize("largest", [0.1, 0.5, 1.0])
def test_right_boxes_are_never_taken_for_others(largest, coordinates):
    """Nor where each sticks out by a hundredth on all sides, one is drawn far outside, and one has no area."""
    for seed in SEEDS:
        for m in (1, 4, 60):
            owners, corners, edges = draw_boxes(seed, m, largest=largest)
            if coordinates == STORED:
                edges = np.where(np.isin(owners, [1, 3])[:, None], edges[:, ::-1], edges)
            boxes = as_sizes(corners + np.array([-0.01, -0.01, 0.01, 0.01])) * np.tile(edges, 2)
            odd = np.concatenate([boxes, [[9000, 9000, 5, 5], [3, 3, 0, 9], [np.nan] * 4]])
            task = task_of([*owners, 3, 3, 3], odd, coordinates)
            assert note_form(task, catalog_of(orientations=ORIENTATIONS)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_corners_are_told_from_sizes(seed, monkeypatch):
    monkeypatch.setattr(box_forms, "BLOCK", 17)
    owners, corners, edges = draw_boxes(seed)
    (note,) = note_form(task_of(owners, corners * np.tile(edges, 2)), catalog_of())
    assert "of 60 boxes reach beyond their pictures, and nearly all would lie on them if" in note
    assert "probably corners (x0, y0, x1, y1)" in note


@pytest.mark.parametrize("sizes", [SIZES, [(0, 0)] * 4], ids=["opened", "not opened"])
@pytest.mark.parametrize("form", ["sizes", "corners", "middles"])
def test_fractions_are_told_from_pixels(form, sizes):
    owners, corners, _ = draw_boxes(1)
    boxes = corners if form == "corners" else as_sizes(corners)
    if form == "middles":
        boxes[:, :2] += boxes[:, 2:] / 2
    (note,) = note_form(task_of(owners, boxes), catalog_of(sizes))
    assert note.startswith("The task cars: all of its boxes (60) lie within one pixel. They are probably fractions")
    boxes[7] *= 100
    assert not any("fractions" in note for note in note_form(task_of(owners, boxes), catalog_of(sizes)))


@pytest.mark.parametrize(("said", "meant"), [(SHOWN, STORED), (STORED, SHOWN)])
def test_boxes_of_the_other_picture_are_told_by_those_on_their_side(said, meant):
    owners, corners, edges = draw_boxes(2, 80)
    turned = np.isin(owners, [1, 3])[:, None]
    own = np.where(turned, edges[:, ::-1], edges) if meant == STORED else edges
    boxes = as_sizes(corners) * np.tile(own, 2)
    (note,) = note_form(task_of(owners, boxes, said), catalog_of(orientations=ORIENTATIONS))
    assert f'say "coordinates": "{meant}" in .lightly/predictions/cars/schema.json.' in note
    assert note_form(task_of(owners, boxes, meant), catalog_of(orientations=ORIENTATIONS)) == []


def test_boxes_of_larger_pictures_are_told_too():
    owners, corners, edges = draw_boxes(3)
    (note,) = note_form(task_of(owners, as_sizes(corners) * np.tile(edges, 2) * 4), catalog_of())
    assert "probably made on pictures of another size" in note


def test_a_pixel_is_no_fraction_where_pictures_are_small():
    task = task_of([0, 1], [[0, 0, 1, 1], [0, 0, 1, 1]])
    assert note_form(task, catalog_of([(1, 1), (2, 1)])) == []


def test_a_task_without_boxes_has_none_in_another_form():
    task = task_of([], [])
    assert note_form(task, catalog_of()) == []


def test_a_run_tells_its_guess_beside_what_it_cut_off(tmp_path, make_manifest, run_manifest):
    folder, predictions = tmp_path / "pictures", tmp_path / "output/.lightly/predictions"
    (predictions / "cars").mkdir(parents=True)
    folder.mkdir()
    for shade in range(4):
        Image.new("RGB", (64, 48), (60 * shade, 0, 0)).save(folder / f"{shade}.png")
        found = [{"category_id": 0, "bbox": [30, 20 + shade, 60, 40], "score": 0.8}]
        (predictions / f"cars/{shade}.json").write_text(json.dumps({"predictions": found}))
    schema = {"task_type": "object-detection", "categories": [{"id": 0, "name": "car"}]}
    (predictions / "cars/schema.json").write_text(json.dumps(schema))
    (predictions / "tasks.json").write_text('["cars"]')
    strategy = {
        "input": {"type": "SCORES", "task": "cars", "score": "object_frequency"},
        "strategy": {"type": "WEIGHTS"},
    }
    worker = {"stopping_condition": None, "exports": []}
    done = run_manifest(
        make_manifest(folder, workerConfig=worker, selectionConfig={"n_samples": 2, "strategies": [strategy]})
    )
    cut, guess = (note for note in done.report_notes if note.startswith("The task cars"))
    assert "4 boxes reach beyond the picture and are cut off at its edge" in cut
    assert "4 of 4 boxes reach beyond their pictures" in guess
    assert "probably corners" in guess

"""Boxes that reach beyond their pictures: what of each is in exports and crops, and what counts in scores."""

import csv
import io
import json

import numpy as np
import pytest
from label_tools import ask_tools
from PIL import Image

from selection_job.catalog.catalog import Catalog
from selection_job.images.crop_pixels import cut_objects
from selection_job.images.preprocessing import Preprocessing
from selection_job.predictions import clipped_boxes
from selection_job.predictions.clipped_boxes import clip_boxes
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.results.pictures.pretagging_examples import write_examples

RANDOM = np.random.default_rng(5)


def catalog_of(sizes):
    n = len(sizes)
    widths, heights = np.array(sizes, dtype=np.int32).reshape(-1, 2).T
    return Catalog(
        [f"{i}.jpg" for i in range(n)], np.zeros((n, 32), np.uint8), np.ones(n, np.int64), widths, heights,
        np.arange(n), {},
    )  # fmt: skip


def task_of(owners, boxes, n):
    m = len(owners)
    return TaskPredictions(
        "cars", "object-detection", (Category(0, "car"),), np.ones(n, bool), np.array(owners), np.zeros(m, np.int32),
        np.ones(m, np.float32), boxes_px=np.array(boxes, np.float32).reshape(-1, 4),
    )  # fmt: skip


def paint(box, size):
    """Return (height, width) bool: the pixels that a box of whole numbers covers."""
    x, y, width, height = box
    covered = np.zeros((size[1], size[0]), dtype=bool)
    covered[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    return covered


def test_what_is_left_of_a_box_is_what_it_covers_of_its_picture(monkeypatch):
    """Brute force: every box is painted on its picture, pixel by pixel."""
    monkeypatch.setattr(clipped_boxes, "BLOCK", 70)
    sizes = [(11, 7), (5, 13), (9, 9)]
    owners = np.sort(RANDOM.integers(0, 3, 400))
    boxes = np.concatenate([RANDOM.integers(-12, 16, (400, 2)), RANDOM.integers(0, 25, (400, 2))], axis=1)
    before = task_of(owners, boxes, 3)
    found = clip_boxes(before, catalog_of(sizes))
    n_lost = n_cut = 0
    for owner, box, left in zip(owners, boxes.tolist(), found.task.boxes_px, strict=True):
        covered = paint(box, sizes[owner])
        if not covered.any():
            assert np.isnan(left).all()
            n_lost += 1
            continue
        np.testing.assert_array_equal(paint(left.astype(int).tolist(), sizes[owner]), covered)
        assert left[:2].min() >= 0
        assert (left[:2] + left[2:] <= sizes[owner]).all()
        n_cut += left.tolist() != box
    assert (found.n_lost, found.n_cut) == (n_lost, n_cut)
    np.testing.assert_array_equal(before.boxes_px, boxes.astype(np.float32))
    (note,) = found.notes
    assert note == (
        f"The task cars: {n_lost} boxes have no area on the picture and are left out of exports and crops; {n_cut} "
        "boxes reach beyond the picture and are cut off at its edge. Scores count every object."
    )


def test_boxes_that_lie_on_their_pictures_stay_as_they_are():
    task = task_of([0, 0], [[0.1, 0.7, 9.9, 6.3], [np.nan] * 4], 1)
    found = clip_boxes(task, catalog_of([(10, 7)]))
    np.testing.assert_allclose(found.task.boxes_px, task.boxes_px, atol=1e-5)
    assert found.notes == ()


def test_of_a_picture_of_unknown_size_the_upper_and_left_edge_are_known():
    found = clip_boxes(task_of([0, 0, 0], [[-3, 2, 10, 1e6], [5, 5, 20, 0], [-9, 0, 9, 5]], 1), catalog_of([(0, 0)]))
    np.testing.assert_array_equal(found.task.boxes_px, [[0, 2, 7, 1e6], [np.nan] * 4, [np.nan] * 4])
    assert (found.n_cut, found.n_lost) == (1, 2)


def test_objects_that_lost_their_box_are_not_drawn(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (40, 30)).save(picture, "JPEG")

    class Files:
        def read(self, _):
            return picture.getvalue()

    catalog = catalog_of([(40, 30)])
    clipped = clip_boxes(task_of([0, 0], [[3, 3, 20, 0], [3, 9, 20, 9]], 1), catalog).task
    write_examples(tmp_path, Files(), catalog, clipped)
    assert [path.name for path in tmp_path.iterdir()] == ["00_0.jpg"]


def test_a_crop_grows_around_what_lies_on_the_picture_and_one_beside_it_is_none():
    image = Image.new("RGB", (40, 30))
    corners = np.array([[30, 10, 90, 20], [-60, 10, 20, 20], [45, 5, 50, 9], [3, 3, 3, 9]], np.float32)
    found = cut_objects(image, corners, is_relative=False, preprocessing=Preprocessing(8), padding=1.0)
    assert found.places.tolist() == [0, 1]
    assert found.boxes_px.tolist() == [[25, 5, 40, 25], [0, 5, 30, 25]]


GOOD = [5, 5, 20, 10]
STICKING_OUT = {
    "left": ([-0.7, 5, 20, 10], [0, 5, 19.3, 10]),
    "far left": ([-13, 5, 20, 10], [0, 5, 7, 10]),
    "top": ([5, -12, 20, 22], [5, 0, 20, 10]),
    "right": ([50, 5, 30, 10], [50, 5, 14, 10]),
    "bottom": ([5, 40, 20, 30], [5, 40, 20, 8]),
    "all sides": ([-9, -9, 200, 200], [0, 0, 64, 48]),
    "no height": ([5, 5, 20, 0], None),
    "beside": ([500, 500, 10, 10], None),
    "above": ([5, -20, 10, 10], None),
    "within": ([0, 0, 64, 48], [0, 0, 64, 48]),
}
ASK = """
import contextlib, json, sys
from pycocotools.coco import COCO
with contextlib.redirect_stdout(sys.stderr):
    coco = COCO(sys.argv[1])
print(json.dumps({image["file_name"]: [each["bbox"] for each in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))]
                  for image in coco.loadImgs(coco.getImgIds())}))
"""


@pytest.fixture
def detected(tmp_path, make_manifest):
    """A folder of pictures; on each are a good box and one that sticks out."""
    folder, predictions = tmp_path / "pictures", tmp_path / "output/.lightly/predictions"
    folder.mkdir()
    (predictions / "cars").mkdir(parents=True)
    for number, (name, (box, _)) in enumerate(STICKING_OUT.items()):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        found = [{"category_id": 0, "bbox": each, "score": 0.8} for each in (GOOD, box)]
        (predictions / f"cars/{name}.json").write_text(json.dumps({"predictions": found}))
    schema = {"task_type": "object-detection", "categories": [{"id": 0, "name": "car"}]}
    (predictions / "cars/schema.json").write_text(json.dumps(schema))
    (predictions / "tasks.json").write_text('["cars"]')
    return folder


STRATEGIES = [
    {"input": {"type": "EMBEDDINGS", "task": "cars"}, "strategy": {"type": "DIVERSITY"}},
    {"input": {"type": "SCORES", "task": "cars", "score": "object_frequency"}, "strategy": {"type": "WEIGHTS"}},
]


def test_exports_and_crops_have_what_lies_on_the_picture_and_scores_count_all(detected, make_manifest, run_manifest):
    manifest = make_manifest(
        detected,
        workerConfig={"stopping_condition": None},
        selectionConfig={"n_samples": 10, "strategies": STRATEGIES},
    )
    done = run_manifest(manifest)
    expected = {f"{name}.png": [GOOD, *([box] if box else [])] for name, (_, box) in STICKING_OUT.items()}
    coco = ask_tools(ASK, done.folder / "exports/coco.json")
    assert {name: np.round(boxes, 4).tolist() for name, boxes in coco.items()} == expected
    for each in json.loads((done.folder / "exports/fiftyone/samples.json").read_text())["samples"]:
        boxes = np.array([found["bounding_box"] for found in each["cars"]["detections"]])
        np.testing.assert_allclose(boxes * [64, 48, 64, 48], expected[each["filename"]], atol=1e-4)
    for task in json.loads((done.folder / "exports/label-studio-tasks.json").read_text()):
        results = [result["value"] for result in task["predictions"][0]["result"]]
        boxes = [[result[key] for key in ("x", "y", "width", "height")] for result in results]
        np.testing.assert_allclose(
            np.array(boxes) * [0.64, 0.48, 0.64, 0.48], expected[task["data"]["filename"]], atol=1e-4
        )
    crops = {}
    for row in csv.DictReader(io.StringIO((done.folder / "data/crops.csv").read_text())):
        x0, y0, x1, y1 = (int(row[key]) for key in ("x0", "y0", "x1", "y1"))
        crops.setdefault(row["filename"], []).append([x0, y0, x1 - x0, y1 - y0])
    assert crops == {name: np.ceil(boxes).astype(int).tolist() for name, boxes in expected.items()}
    (note,) = (note for note in done.report_notes if "Scores count" in note)
    assert "3 boxes have no area on the picture and are left out" in note
    assert "6 boxes reach beyond the picture and are cut off" in note
    assert len((done.folder / "data/prediction_problems.csv").read_text().splitlines()) == 1 + 3
    scores = {
        row["al_score"]
        for row in csv.DictReader(io.StringIO((done.folder / "data/al_score_embeddings.csv").read_text()))
    }
    assert len(scores) == 1, "every picture has two objects"

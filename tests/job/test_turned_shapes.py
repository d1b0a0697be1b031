"""Keypoints and masks of stored pictures, which are exported on the pictures as they are shown, as their boxes are."""

import json

import numpy as np
import pytest
from PIL import Image
from turned_pictures import ORIENTATIONS, lay_down

from selection_job.catalog.catalog import Catalog
from selection_job.predictions.loading import load_predictions
from selection_job.predictions.shapes import Shape, ShapeFiles, fill_mask, list_runs
from selection_job.predictions.task_schema import load_schemas
from selection_job.predictions.turned_boxes import turn_boxes
from selection_job.predictions.turned_shapes import turn_shape
from selection_job.results.exports.chosen_images import ChosenImages
from selection_job.results.exports.coco_file import write_coco
from selection_job.results.exports.label_studio import write_label_studio
from selection_job.results.exports.media_place import MediaPlace
from selection_job.selection.selection import Selection

WIDTH, HEIGHT = 12, 8
MASK = np.zeros((HEIGHT, WIDTH), dtype=bool)
MASK[2:5, 3:9] = True
MASK[5:7, 3:5] = True
POINTS = [(3, 2), (10, 6)]  # pixels; the keypoints are in their middle
NAMES = [f"{orientation}.png" for orientation in ORIENTATIONS]
CATEGORY = {"id": 0, "name": "thing"}


def lay_mask(mask, orientation):
    return np.asarray(lay_down(Image.fromarray(mask.astype(np.uint8)), orientation)) != 0


def lay_point(point, orientation):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[point[1], point[0]] = True
    y, x = np.argwhere(lay_mask(mask, orientation))[0]
    return [float(x) + 0.5, float(y) + 0.5, 0.75]


@pytest.fixture
def make_chosen(prediction_place):
    """A factory of the eight pictures, chosen, with what files of these coordinates say of them."""

    def make(coordinates, size=(WIDTH, HEIGHT)):
        files = {"tasks.json": ["pose", "part"]}
        named = {**CATEGORY, "keypoint_names": ["head", "hand", "foot"]}
        files["pose/schema.json"] = {
            "task_type": "keypoint-detection", "categories": [named], "coordinates": coordinates
        }  # fmt: skip
        files["part/schema.json"] = {
            "task_type": "instance-segmentation", "categories": [CATEGORY], "coordinates": coordinates
        }  # fmt: skip
        for orientation in ORIENTATIONS:
            laid = orientation if coordinates == "STORED" else 1
            mask, points = lay_mask(MASK, laid), [lay_point(point, laid) for point in POINTS]
            pose = {"category_id": 0, "keypoints": [*points[0], *points[1], 0, 0, 0], "score": 0.5}
            rows, columns = np.nonzero(mask)
            x, y = int(columns.min()), int(rows.min())
            box = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]
            part = {"category_id": 0, "bbox": box, "segmentation": list_runs(mask.ravel()), "score": 0.5}
            files[f"pose/{orientation}.json"] = {"predictions": [pose]}
            files[f"part/{orientation}.json"] = {"predictions": [part]}
        place, n = prediction_place(files), len(NAMES)
        catalog = Catalog(
            NAMES, np.zeros((n, 32), np.uint8), np.ones(n, np.int64), np.full(n, size[0], np.int32),
            np.full(n, size[1], np.int32), np.arange(n), {}, orientations=np.array(ORIENTATIONS, np.uint8),
        )  # fmt: skip
        found = load_predictions(
            place.target, ["pose", "part"], NAMES, stages=place.stages, scratch=place.scratch, progress=place.progress
        ).value
        none = np.empty(0, np.int64)
        selection = Selection(
            candidates=np.arange(n), selected=np.arange(n)[::-1], radii=np.zeros(n, np.float32), removed=none,
            nearest_selected=none, nearest_distance=np.empty(0, np.float32), method="coreset", stopped_by="n_samples",
            distances=np.ones(n), contributions=np.empty((n, 0)), filtered_by=none,
        )  # fmt: skip
        shapes = {
            schema.task: ShapeFiles(place.target, schema, NAMES) for schema in load_schemas(place.target, list(found))
        }
        tasks = {name: turn_boxes(task, catalog) for name, task in found.items()}
        media = MediaPlace("LOCAL", "", "/data/", "/data/")
        return ChosenImages(catalog, selection, media, NAMES[::-1], {}, tasks, shapes)

    return make


@pytest.mark.parametrize("coordinates", ["STORED", "SHOWN"])
def test_exports_show_keypoints_and_masks_on_the_picture_that_is_shown(make_chosen, tmp_path, coordinates):
    chosen = make_chosen(coordinates)
    write_coco(tmp_path, chosen)
    annotations = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))["annotations"]
    assert len(annotations) == 16
    for one in annotations:
        if "keypoints" in one:
            assert one["keypoints"] == [3.5, 2.5, 2, 10.5, 6.5, 2, 0, 0, 0]
        else:
            runs = one["segmentation"]
            assert runs["size"] == [HEIGHT, WIDTH]
            assert (fill_mask(runs["counts"], HEIGHT, WIDTH).T == MASK).all()
            assert one["bbox"] == [3, 2, 6, 5]
    write_label_studio(tmp_path, chosen)
    for task in json.loads((tmp_path / "label-studio-tasks.json").read_text(encoding="utf-8")):
        results = task["predictions"][0]["result"]
        values = [result["value"] for result in results]
        places = [(value["x"], value["y"]) for value in values if "keypointlabels" in value]
        expected = [((x + 0.5) * 100 / WIDTH, (y + 0.5) * 100 / HEIGHT) for x, y in POINTS]
        np.testing.assert_allclose(places, expected)
        (points,) = [value["points"] for value in values if "points" in value]
        corners = np.array(points) * [WIDTH / 100, HEIGHT / 100]
        assert np.round(corners).tolist() == [[3, 2], [9, 2], [9, 5], [5, 5], [5, 7], [3, 7]]


def test_stored_shapes_on_pictures_that_were_not_opened_are_left_out_as_their_boxes_are(make_chosen, tmp_path):
    chosen = make_chosen("STORED", size=(0, 0))
    assert all(found == {"pose": [Shape()], "part": [Shape()]} for _, found in chosen.with_shapes())
    write_coco(tmp_path, chosen)
    assert json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))["annotations"] == []


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_mask_of_another_size_than_the_stored_picture_is_none(orientation):
    shape = Shape(runs=(5, WIDTH * HEIGHT - 4))
    turned = turn_shape(shape, orientation, WIDTH, HEIGHT)
    assert fill_mask(turned.runs, WIDTH, HEIGHT) is None

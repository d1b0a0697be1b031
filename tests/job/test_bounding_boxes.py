"""data/bounding_boxes.json, pictures with boxes, and data/crops.csv: what they hold, and names of any kind in them."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.results.pictures.crop_images import make_filename
from selection_job.results.tables import bounding_boxes, crops_table
from selection_job.results.tables.bounding_boxes import draw_boxes, relative_corners, write_bounding_boxes
from selection_job.results.tables.crops_table import write_crops_table
from selection_job.selection.object_selection import ObjectSelection
from selection_job.selection.selection import PASSED, Selection, StrategyRecord

ODD = 'a "quoted", name\n.jpg'
NAMES = ["0.jpg", ODD, "写真.png", "byte\udcff.jpg"]


def make_catalog(n_pool=0, widths=(100, 200, 0, 50)):
    n = len(NAMES)
    return Catalog(
        NAMES, np.zeros((n, 32), np.uint8), np.ones(n, np.int64), np.array(widths, np.int32),
        np.full(n, 50, np.int32), np.arange(n), {}, n_pool=n_pool,
    )  # fmt: skip


def make_task(owners, boxes, name="cars"):
    m = len(owners)
    return TaskPredictions(
        name=name, kind="object-detection", categories=(Category(3, "car"), Category(7, "Bus, rot")),
        has_file=np.ones(len(NAMES), bool), owners=np.array(owners, np.int64),
        category_index=np.arange(m, dtype=np.int32) % 2, scores=np.full(m, 0.9, np.float32),
        boxes_px=None if boxes is None else np.array(boxes, np.float32).reshape(-1, 4),
    )  # fmt: skip


BOXES = [[10, 5, 20, 10], [90, 0, 50, 50], [0, 0, 200, 25], [0, 0, 9, 9], [np.nan] * 4, [5, 5, 5, 5]]
OWNERS = [0, 0, 1, 2, 3, 3]


def test_boxes_are_corners_relative_to_the_image_in_the_workers_form(tmp_path):
    path = tmp_path / "data/bounding_boxes.json"
    assert write_bounding_boxes(path, make_catalog(), [make_task(OWNERS, BOXES), make_task([1], [[0, 0, 1, 1]], "b")])
    assert json.loads(path.read_bytes()) == [
        {
            "filename": "0.jpg", "task": "cars", "boxes": [[0.1, 0.1, 0.3, 0.3], [0.9, 0, 1, 1]],
            "labels": ["car", "Bus, rot"], "scores": [0.9, 0.9],
        },
        {"filename": ODD, "task": "cars", "boxes": [[0, 0, 1, 0.5]], "labels": ["car"], "scores": [0.9]},
        {
            "filename": "byte\udcff.jpg", "task": "cars", "boxes": [[0.1, 0.1, 0.2, 0.2]], "labels": ["Bus, rot"],
            "scores": [0.9],
        },
        {"filename": ODD, "task": "b", "boxes": [[0, 0, 0.005, 0.02]], "labels": ["car"], "scores": [0.9]},
    ]  # fmt: skip


@pytest.mark.parametrize("block", [1, 2, 3])
def test_boxes_are_the_same_whatever_is_written_at_a_time(tmp_path, monkeypatch, block):
    write_bounding_boxes(tmp_path / "whole.json", make_catalog(), [make_task(OWNERS, BOXES)])
    monkeypatch.setattr(bounding_boxes, "_BLOCK", block)
    write_bounding_boxes(tmp_path / "parts.json", make_catalog(), [make_task(OWNERS, BOXES)])
    assert (tmp_path / "parts.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


@pytest.mark.parametrize(
    ("task", "catalog"),
    [
        (make_task([], []), make_catalog()),
        (make_task([0], None), make_catalog()),
        (make_task([0, 1], BOXES[:2]), make_catalog(widths=(0, 0, 0, 0))),
        (make_task([3], BOXES[:1]), make_catalog(n_pool=1)),
    ],
    ids=["no objects", "no boxes", "sizes unknown", "of the datapool"],
)
def test_without_a_box_on_an_image_of_known_size_no_file_is_written(tmp_path, task, catalog):
    assert not write_bounding_boxes(tmp_path / "boxes.json", catalog, [task])
    assert list(tmp_path.iterdir()) == []


def test_boxes_are_drawn_where_they_are():
    catalog = make_catalog()
    corners = relative_corners(np.array([[20, 10, 40, 20]], np.float32), catalog, 0)
    content = draw_boxes(Image.new("RGB", (100, 50), "white"), corners, ["car"], [4])
    picture = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    blue = np.array([0, 0x72, 0xB2])
    is_blue = np.abs(picture - blue).max(axis=2) < 60
    rows, columns = np.flatnonzero(is_blue[:, 40:].any(axis=1)), np.flatnonzero(is_blue[15:].any(axis=0))
    assert (columns.min(), columns.max()) == pytest.approx((20, 59), abs=2)
    assert rows.max() == pytest.approx(29, abs=2)
    assert not is_blue[17:26, 25:55].any()


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000), (1, 1), (3000, 2000)])
def test_boxes_on_images_of_any_shape_and_with_labels_of_any_letters_are_drawn(size):
    corners = np.array([[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]])
    content = draw_boxes(Image.new("RGB", size), corners, ["写真\n" * 99, "\u0000"], [0, 9])
    assert max(Image.open(io.BytesIO(content)).size) <= 1024


@pytest.mark.parametrize(
    ("category", "expected"),
    [("Bus, rot", "Bus__rot"), ("../../etc", "______etc"), ("写真", "写真"), ("", ""), ("a" * 300, "a" * 50)],
)
def test_a_category_in_a_filename_has_no_path_and_an_end(category, expected):
    assert make_filename(category) == expected


def make_crops(owners=(0, 0, 1, 3), task="cars, all"):
    m = len(owners)
    return Crops(
        task, ("car", "Bus, rot"), np.array(owners, np.int64), np.arange(m, dtype=np.int32) + 5,
        np.arange(4 * m, dtype=np.int32).reshape(m, 4), np.arange(m, dtype=np.int32) % 2,
        np.linspace(0.5, 1, m, dtype=np.float32), np.ones((m, 2), np.float32),
    )  # fmt: skip


def read(path):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8", "surrogateescape"), newline="")))


def test_every_object_has_a_line_with_its_image_number_class_and_box(tmp_path, monkeypatch):
    monkeypatch.setattr(crops_table, "_BLOCK", 3)
    names = ["0.jpg", ODD, "写真.png", "last.jpg"]
    catalog = Catalog(**{**vars(make_catalog()), "names": names})
    write_crops_table(tmp_path / "crops.csv", catalog, [make_crops(), make_crops([2], "tiles")], None)
    table = read(tmp_path / "crops.csv")
    assert [row["filename"] for row in table] == ["0.jpg", "0.jpg", ODD, "last.jpg", "写真.png"]
    assert table[2] == {
        "task": "cars, all", "filename": ODD, "number": "7", "category": "car", "score": "0.833333",
        "x0": "8", "y0": "9", "x1": "10", "y1": "11",
    }  # fmt: skip
    assert table[-1]["task"] == "tiles"


def test_without_embedded_objects_there_is_no_table(tmp_path):
    write_crops_table(tmp_path / "crops.csv", make_catalog(), [], None)
    assert list(tmp_path.iterdir()) == []


def test_what_was_decided_about_each_object_is_told(tmp_path):
    """Of six, 0 and 2 are chosen, 1 not, 3 filtered; 4 lies on an exact copy, 5 on what min_counts left out."""
    crops = make_crops([0, 0, 1, 1, 2, 3])
    limit = StrategyRecord("limit", "THRESHOLD", None, np.array([3.0, 2, 1, 0]), np.array([True, True, True, False]))
    diverse = StrategyRecord("diverse", "DIVERSITY", 1.0)
    selection = Selection(
        candidates=np.array([0, 1, 2, 3]), selected=np.array([2, 0]), radii=np.full(2, np.nan, np.float32),
        removed=np.array([1, 3]), nearest_selected=np.array([0, 2]), nearest_distance=np.array([0.25, 0.5], np.float32),
        method="strategies", stopped_by="n_samples", distances=np.array([np.inf, 0.75]),
        contributions=np.array([[0.5], [1.5]]), filtered_by=np.array([PASSED, 0]), rankings=(diverse,),
        thresholds=(limit,),
    )  # fmt: skip
    filters = tuple(StrategyRecord(name, "THRESHOLD", None) for name in ("at least 1", "2 persons"))
    objects = ObjectSelection(crops, selection, np.array([0, 1, 3]), filters, np.array([PASSED, PASSED, 1]))
    catalog = Catalog(**{**vars(make_catalog()), "names": ["0.jpg", ODD, "2.jpg", "3.jpg"]})
    write_crops_table(tmp_path / "crops.csv", catalog, [crops], objects)
    keys = (
        "decision", "rank", "taken_at_distance", "nearest_selected", "nearest_number", "distance_to_it", "filtered_by",
        "value of limit", "contribution of diverse",
    )  # fmt: skip
    assert [tuple(row[key] for key in keys) for row in read(tmp_path / "crops.csv")] == [
        ("selected", "2", "0.75", "", "", "", "", "3", "1.5"),
        ("removed", "", "", "0.jpg", "5", "0.25", "", "2", ""),
        ("selected", "1", "", "", "", "", "", "1", "0.5"),
        ("filtered", "", "", ODD, "7", "0.5", "limit", "0", ""),
        ("duplicate", "", "", "", "", "", "", "", ""),
        ("filtered", "", "", "", "", "", "2 persons", "", ""),
    ]

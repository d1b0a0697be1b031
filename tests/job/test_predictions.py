"""Prediction files: what of each kind of task arrives in the columns, and how files and images belong together."""

import json
import shutil

import numpy as np
import pytest

from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData
from selection_job.predictions.image_sizes import find_misfits, note_misfits
from selection_job.predictions.task_predictions import add_images, take_images

NAN = float("nan")


def one(*objects, **more):
    return {"predictions": list(objects), **more}


def test_boxes_arrive_sorted_by_image_in_pixels(task_place, load_task):
    box = {"category_id": 7, "bbox": [1, 2.5, 30, 40], "score": 0.25}
    sure = {"category_id": 3, "bbox": [0, 0, 5, 5], "score": 1, "probabilities": [0.75, 0.25]}
    place = task_place("object-detection", {"b.json": one(box, sure), "sub/a.json": one(), "a.json": one(box)})
    found = load_task(place, ["a.jpg", "b.png", "c.jpg", "sub/a.jpg"])
    assert [category.name for category in found.categories] == ["car", "bus"], "by ascending id"
    assert found.has_file.tolist() == [True, True, False, True]
    assert found.owners.tolist() == [0, 1, 1]
    assert found.category_index.tolist() == [1, 1, 0]
    assert found.scores.tolist() == [0.25, 0.25, 1]
    np.testing.assert_array_equal(found.probabilities, [[NAN, NAN], [NAN, NAN], [0.75, 0.25]])
    assert found.boxes_px.tolist() == [[1, 2.5, 30, 40], [1, 2.5, 30, 40], [0, 0, 5, 5]]


def test_no_column_is_made_of_probabilities_that_nobody_gives(task_place, load_task):
    label = {"category_id": 7}
    found = load_task(task_place("classification", {"a.json": one(label)}), ["a.jpg"])
    assert (found.probabilities, found.boxes_px, found.scores.tolist()) == (None, None, [1])


def test_a_label_is_certain_and_a_classification_without_a_score_has_its_categorys_probability(task_place, load_task):
    likely = {"category_id": 7, "probabilities": [0.4, 0.6]}
    files = {"a.json": one({"category_id": 7}), "b.json": one(likely), "c.json": one({**likely, "score": 0.5})}
    found = load_task(task_place("classification", files), ["a.jpg", "b.jpg", "c.jpg"])
    assert found.scores.tolist() == pytest.approx([1, 0.6, 0.5])


def test_the_area_of_a_segment_is_the_sum_of_its_runs_of_ones(task_place, load_task):
    segment = {"category_id": 7, "segmentation": [2, 2, 1, 3, 3, 1], "score": 0.5}
    from_the_start = {"category_id": 3, "segmentation": [0, 12], "score": 0.5}
    found = load_task(task_place("semantic-segmentation", {"a.json": one(segment, from_the_start)}), ["a.jpg", "b.jpg"])
    assert found.areas_px.tolist() == [6, 12]
    assert found.mask_pixels.tolist() == [12, 0]
    assert found.boxes_px is None


def test_an_instance_has_a_box_and_a_mask(task_place, load_task):
    instance = {"category_id": 7, "segmentation": [1, 3], "bbox": [1, 0, 1, 2], "score": 0.5}
    found = load_task(task_place("instance-segmentation", {"a.json": one(instance)}), ["a.jpg"])
    assert (found.areas_px.tolist(), found.boxes_px.tolist()) == ([3], [[1, 0, 1, 2]])


def test_a_pose_without_a_box_lies_where_its_keypoints_were_seen(task_place, load_task):
    pose = {"category_id": 7, "keypoints": [10, 20, 0.5, 30, 25, 1, 99, 99, 0], "score": 0.5}
    unseen = {"category_id": 7, "keypoints": [10, 20, 0, 30, 20, 1], "score": 0.5}  # a point has no area
    boxed = {**pose, "bbox": [1, 2, 3, 4]}
    found = load_task(task_place("keypoint-detection", {"a.json": one(pose, unseen, boxed)}), ["a.jpg"])
    assert found.keypoint_confidences.tolist() == [0.5, 0.5, 0.5]
    np.testing.assert_array_equal(found.boxes_px, [[10, 20, 20, 5], [NAN] * 4, [1, 2, 3, 4]])


def test_a_box_that_begins_outside_of_its_image_is_no_mistake(task_place, load_task):
    boxes = [[-0.5, -1, 10, 10], [-30, 2, 3, 4], [-3e5, -3e5, 6e5, 6e5]]
    found = [{"category_id": 7, "bbox": box, "score": 0.5} for box in boxes]
    assert load_task(task_place("object-detection", {"a.json": one(*found)}), ["a.jpg"]).boxes_px.tolist() == boxes


LABEL = one({"category_id": 3})


def test_images_that_differ_only_by_their_extensions_share_a_file_unless_it_names_one(task_place, load_task):
    files = {"a.json": LABEL, "b.json": {**LABEL, "file_name": "b.png"}}
    found = load_task(task_place("classification", files), ["a.JPG", "a.png", "b.jpg", "b.png"])
    assert found.owners.tolist() == [0, 1, 3]
    assert found.has_file.tolist() == [True, True, False, True]


ODD = [
    "100%.jpg",
    'a b/c,d"e.png',
    "dots.and.more.jpeg",
    "schema.json.png",
    "tasks.jpg",
    "ümlaut/日本.webp",
    "x\ny.jpg",
]


def test_odd_names_find_their_files(task_place, load_task):
    names = sorted(ODD)
    files = {name.rpartition(".")[0] + ".json": {**LABEL, "file_name": name} for name in names}
    assert load_task(task_place("classification", files), names).has_file.all()


def test_the_schema_is_not_the_file_of_an_image_called_schema(task_place, load_task):
    place = task_place("classification", {"a.json": LABEL})
    assert load_task(place, ["a.jpg", "schema.jpg"]).has_file.tolist() == [True, False]


def test_files_of_images_outside_of_the_input_are_counted_and_not_read(task_place, load_task, load_notes):
    place = task_place("classification", {"a.json": LABEL, "b.json": b"no JSON", "c.txt": b"", "d/a.json": LABEL})
    assert load_task(place, ["a.jpg"]).has_file.tolist() == [True]
    (note,) = load_notes(place, ["a.jpg"])
    assert note.startswith("The task t: 3 files belong to no image that takes part and are not read, such as '.lightly")


def test_the_byte_order_mark_of_windows_is_no_mistake(task_place, load_task):
    place = task_place("classification", {"a.json": b"\xef\xbb\xbf" + json.dumps(LABEL).encode()})
    assert load_task(place, ["a.jpg"]).has_file.tolist() == [True]


def test_of_a_key_given_twice_the_last_counts_and_unknown_keys_do_not(task_place, load_task):
    text = b'{"predictions": [], "more": {"x": [null]}, "predictions": [{"category_id": 9, "category_id": 3, "x": 1}]}'
    assert load_task(task_place("classification", {"a.json": text}), ["a.jpg"]).category_index.tolist() == [0]


def test_a_task_is_read_again_only_where_a_file_has_changed(
    task_place, prediction_place, load_task, load_notes, monkeypatch
):
    place = task_place("classification", {"a.json": LABEL, "b.json": b"no JSON"})
    before, notes = load_task(place, ["a.jpg", "b.jpg"]), load_notes(place, ["a.jpg", "b.jpg"])
    reads = []
    read = place.target.read
    monkeypatch.setattr(place.target, "read", lambda key: reads.append(key) or read(key))
    again = load_task(place, ["a.jpg", "b.jpg"])
    assert [key for key in reads if key.endswith(("/a.json", "/b.json"))] == []
    assert again.owners.tolist() == before.owners.tolist()
    assert load_notes(place, ["a.jpg", "b.jpg"]) == notes
    assert (place.scratch / "prediction_problems").read_text().count("b.json") == 1
    prediction_place({"t/b.json": {**LABEL, "file_name": "b.jpg"}})
    assert load_task(place, ["a.jpg", "b.jpg"]).has_file.tolist() == [True, True]
    assert load_task(place, ["a.jpg", "b.jpg", "c.jpg"]).has_file.tolist() == [True, True, False]


def test_what_does_not_fit_an_image_is_named_once_its_size_is_known(task_place, load_task):
    inside, outside = ({"category_id": 3, "score": 0.5, "bbox": [x, 2, 30, 40]} for x in (9, 10))
    files = {"a.json": one(inside, outside, outside), "b.json": one(inside), "c.json": one(outside)}
    place = task_place("object-detection", files)
    found = load_task(place, ["a.jpg", "b.jpg", "c.jpg"])
    assert list(find_misfits(found, catalog_of([10, 10, 11]))) == [
        (0, "predictions[1].bbox: lies outside of the image; the image has 10 x 8 pixels")
    ]
    assert list(find_misfits(found, catalog_of([0, 0, 0]))) == [], "embeddings were given, and no image was opened"
    flat = {"a.json": one({"category_id": 3, "score": 0.5, "bbox": [1, 2, 20, 0]})}
    assert list(find_misfits(load_task(task_place("object-detection", flat), ["a.jpg"]), catalog_of([0]))) == [
        (0, "predictions[0]: its box has no area, 20 x 0 pixels")
    ]
    (note,) = note_misfits(found, catalog_of([10, 10, 11]), scratch=place.scratch)
    assert note.startswith("The task t: the predictions of 1 image do not fit the picture, and count in scores as ")
    assert (place.scratch / "prediction_problems").read_text().startswith("t,.lightly/predictions/t/a.json,counts as")


def test_masks_of_another_size_than_the_image_are_named(task_place, load_task):
    segments = {f"{name}.json": one({"category_id": 3, "score": 1, "segmentation": [0, 80]}) for name in "ab"}
    found = load_task(task_place("semantic-segmentation", segments), ["a.jpg", "b.jpg", "c.jpg"])
    assert list(find_misfits(found, catalog_of([10, 9, 9]))) == [
        (1, "segmentation: the runs of a mask add up to 80 pixels; the image has 9 x 8 pixels")
    ]


def catalog_of(widths):
    n = len(widths)
    zeros = np.zeros(n, np.int64)
    heights = np.where(np.array(widths) > 0, 8, 0).astype(np.int32)
    return Catalog(
        [f"{name}.jpg" for name in "abc"[:n]], np.zeros((n, 32), np.uint8), zeros, np.array(widths, np.int32), heights,
        np.arange(n), {},
    )  # fmt: skip


def test_more_images_have_no_predictions(task_place, load_task):
    segment = {"category_id": 3, "score": 1, "segmentation": [0, 80]}
    found = add_images(load_task(task_place("semantic-segmentation", {"a.json": one(segment)}), ["a.jpg"]), 2)
    assert found.has_file.tolist() == [True, False, False]
    assert found.mask_pixels.tolist() == [80, 0, 0]
    taken = take_images(found, np.array([0, 2]))
    assert (taken.has_file.tolist(), taken.mask_pixels.tolist(), taken.owners.tolist()) == ([True, False], [80, 0], [0])


def test_more_objects_than_memory_is_meant_for_end_the_run(task_place, load_task, monkeypatch):
    monkeypatch.setattr("selection_job.predictions.columns.MOST_OBJECTS", 2)
    box = {"category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}
    place = task_place("object-detection", {"a.json": one(box, box), "b.json": one(box)})
    with pytest.raises(UnusableData, match=r"task t has more than 2 objects with 0 prob.* takes 2 objects .* Leave"):
        load_task(place, ["a.jpg", "b.jpg"])


def damage(path, **columns):
    with np.load(path) as kept:
        np.savez(path, **{**kept, **columns})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: damage(path, owners=np.array([7])),
        lambda path: damage(path, owners=np.array([0.0])),
        lambda path: damage(path, category_index=np.array([9], np.int32)),
        lambda path: damage(path, boxes_px=np.zeros((2, 4), np.float32)),
        lambda path: damage(path, scores=np.array(["x"], dtype=object)),
        lambda path: damage(path, more=np.zeros(1)),
        lambda path: np.savez(path, has_file=np.ones(1, bool)),
        lambda path: (path.parent / "counts.json").write_text('{"n_invalid": "many"}'),
        lambda path: (path.parent / "complete.json").write_text('{"files": ["predictions.npz", "counts.json"]}'),
    ],
)
def test_damaged_leftovers_of_an_earlier_try_are_made_again(task_place, load_task, spoil, caplog):
    box = {"category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}
    place = task_place("object-detection", {"a.json": one(box)})
    load_task(place, ["a.jpg"])
    (path,) = place.scratch.parent.glob("lightly/.lightly/runs/*/.stages/predictions-*/predictions.npz")
    spoil(path)
    shutil.rmtree(place.scratch / "stages")
    assert load_task(place, ["a.jpg"]).boxes_px.tolist() == [[1, 2, 3, 4]]
    assert "can't be used and is made again" in caplog.text

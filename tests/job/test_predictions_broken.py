"""Prediction files that can't be used: each is skipped with a reason, and where none is left the run ends with one."""

import contextlib
import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.errors import UnusableData
from selection_job.formats.json_reading import InvalidFile
from selection_job.predictions.columns import ColumnsBuilder
from selection_job.predictions.json_decoding import MOST_BYTES
from selection_job.predictions.prediction_file import ROUNDING, parse_file
from selection_job.predictions.problems import publish_problems
from selection_job.predictions.scores import available_scores, compute_score
from selection_job.predictions.task_predictions import Category
from selection_job.predictions.task_schema import KINDS, TaskSchema

KEYPOINTS = [{"id": 3, "name": "person", "keypoint_names": ["nose", "tail"], "keypoint_skeleton": [[0, 1]]}]
BOX = {"category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}
MASK = {"category_id": 3, "segmentation": [0, 12], "score": 0.5}
POSE = {"category_id": 3, "keypoints": [1, 2, 0.5], "score": 0.5}


def but(found, **changes):
    """Return the object with these values; None takes a key away."""
    merged = {**found, **changes}
    return {"predictions": [{key: value for key, value in merged.items() if value is not None}]}


def raw(text):
    """Return a file of one detection whose score is this text."""
    return f'{{"predictions": [{{"category_id": 3, "bbox": [1, 2, 3, 4], "score": {text}}}]}}'.encode()


DEEP = b'{"predictions": [], "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
LARGE = json.dumps({"predictions": [BOX] * 170_000}).encode()
DETECTIONS = {
    "wrong category": (but(BOX, category_id=4), "predictions[0].category_id: 4 is not one of the schema's categories"),
    "no category": (but(BOX, category_id=None), "predictions[0]: object missing required field category_id"),
    "category as a word": (but(BOX, category_id="car"), "predictions[0].category_id: expected int, got str"),
    "category of 30 digits": (but(BOX, category_id=10**30), f"predictions[0].category_id: {10**30} is not one of"),
    "score above 1": (but(BOX, score=87), "predictions[0].score: expected float <= 1.0"),
    "score below 0": (but(BOX, score=-0.1), "predictions[0].score: expected float >= 0.0"),
    "score as text": (but(BOX, score="0.5"), "predictions[0].score: expected float or null, got str"),
    "score true": (but(BOX, score=True), "predictions[0].score: expected float or null, got bool"),
    "NaN": (raw("NaN"), "; NaN and Infinity are no numbers in JSON"),
    "Infinity": (raw("Infinity"), "; NaN and Infinity are no numbers in JSON"),
    "1e999": (raw("1e999"), "predictions[0].score: number out of range"),
    "5000 digits": (raw("1" * 5000), "predictions[0].score: number out of range"),
    "no box": (but(BOX, bbox=None), "predictions[0]: object missing required field bbox"),
    "three numbers": (but(BOX, bbox=[1, 2, 3]), "predictions[0].bbox: expected array of length >= 4"),
    "five numbers": (but(BOX, bbox=[1, 2, 3, 4, 5]), "predictions[0].bbox: expected array of length <= 4"),
    "words in a box": (but(BOX, bbox=[1, 2, 3, "4"]), "predictions[0].bbox[3]: expected float, got str"),
    "negative width": (but(BOX, bbox=[1, 2, -3, 4]), "bbox: expected x, y, width, height with a size of 0 or"),
    "box of 1e300": (but(BOX, bbox=[1, 2, 1e300, 4]), "predictions[0].bbox[2]: expected float <= 16777216.0"),
    "too few probabilities": (
        but(BOX, probabilities=[1]), "probabilities: expected 2, one a category by ascending id; found 1",
    ),
    "probabilities that add up to 1.5": (
        but(BOX, probabilities=[0.5, 1]), "probabilities: expected a sum of 1 (± 0.01); found 1.5",
    ),
    "probabilities that add up to 0": (but(BOX, probabilities=[0, 0]), "expected a sum of 1 (± 0.01); found 0"),
    "negative probability": (
        but(BOX, probabilities=[-0.5, 1.5]), "predictions[0].probabilities[0]: expected float >= 0.0",
    ),
    "predictions missing": ({}, "object missing required field predictions"),
    "predictions as an object": ({"predictions": {"0": BOX}}, "predictions: expected array, got object"),
    "a list at the top": ([BOX], "expected object, got array"),
    "a number for an object": ({"predictions": [1]}, "predictions[0]: expected object, got int"),
    "another image": ({"predictions": [], "file_name": "z.jpg"}, "file_name: expected 'bad.jpg', as the file is"),
    "file_name as a number": ({"predictions": [], "file_name": 1}, "file_name: expected str or null, got int"),
    "empty": (b"", "empty"),
    "blanks": (b"  \n", "no JSON: input data was truncated"),
    "a cut file": (b'{"predictions": [', "no JSON: input data was truncated"),
    "two documents": (b'{"predictions": []}{}', "no JSON: malformed: trailing characters (byte"),
    "no UTF-8": (b'{"predictions": [], "file_name": "\xff"}', "not UTF-8: "),
    "UTF-16": ('{"predictions": []}'.encode("utf-16"), "no JSON: malformed: invalid character (byte 0)"),
    "NUL bytes": (bytes(100), "no JSON: malformed: invalid character (byte 0)"),
    "deep nesting": (DEEP, "nested too deeply"),
    "10 MB": (LARGE, f"too large: {len(LARGE)} bytes, the limit is {MOST_BYTES}"),
}  # fmt: skip
OTHERS = {
    "two classes": ("classification", {"predictions": [{"category_id": 3}] * 2}, "a classification has one"),
    "no runs": ("semantic-segmentation", but(MASK, segmentation=[]), "segmentation: expected array of length >= 1"),
    "half a run": ("semantic-segmentation", but(MASK, segmentation=[1, 2.5]), "segmentation[1]: expected int, got fl"),
    "negative run": ("semantic-segmentation", but(MASK, segmentation=[1, -2]), "segmentation[1]: expected int >= 0"),
    "endless run": ("semantic-segmentation", but(MASK, segmentation=[10**15]), "segmentation[0]: expected int <= 109"),
    "masks of two sizes": (
        "semantic-segmentation", {"predictions": [MASK, {**MASK, "segmentation": [0, 13]}]},
        "predictions[1].segmentation: its runs add up to 13 pixels, those of predictions[0] to 12; all masks of an im",
    ),
    "instance without a mask": ("instance-segmentation", but(BOX), "object missing required field segm"),
    "four numbers": (
        "keypoint-detection", but(POSE, keypoints=[1, 2, 0.5, 3]),
        "keypoints: expected x, y, confidence of each in turn; found 4 numbers, no multiple of 3",
    ),
    "two numbers": ("keypoint-detection", but(POSE, keypoints=[1, 2]), "keypoints: expected array of length >= 3"),
    "visibility of COCO": (
        "keypoint-detection", but(POSE, keypoints=[1, 2, 2]),
        "keypoints: expected confidences of 0 to 1; found 2 (COCO's visibility 0, 1, 2 is none)",
    ),
}  # fmt: skip
VARIANTS = [(name, "object-detection", *rest) for name, rest in DETECTIONS.items()]
VARIANTS += [(name, *rest) for name, rest in OTHERS.items()]


def read_problems(place):
    publish_problems(place.scratch, place.scratch / "data")
    with (place.scratch / "data/prediction_problems.csv").open(encoding="utf-8", newline="") as file:
        return [(row["task"], row["file"], row["reason"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(("kind", "content", "reason"), [rest for _, *rest in VARIANTS], ids=[v[0] for v in VARIANTS])
def test_a_broken_file_is_skipped_with_its_reason(task_place, load_task, load_notes, kind, content, reason):
    place = task_place(kind, {"bad.json": content, "good.json": {"predictions": []}})
    assert load_task(place, ["bad.jpg", "good.jpg"]).has_file.tolist() == [False, True]
    ((task, file, found),) = read_problems(place)
    assert (task, file) == ("t", ".lightly/predictions/t/bad.json")
    assert reason in found
    (note,) = load_notes(place, ["bad.jpg", "good.jpg"])
    assert note.startswith("The task t: 1 of 2 prediction files can't be used and count as missing; data/prediction_pr")
    assert found[:60] in note


def test_keypoints_are_as_many_as_the_schema_names(task_place, load_task):
    files = {"bad.json": but(POSE), "good.json": but(POSE, keypoints=[1, 2, 0.5] * 2)}
    place = task_place("keypoint-detection", files, categories=KEYPOINTS)
    assert load_task(place, ["bad.jpg", "good.jpg"]).has_file.tolist() == [False, True]
    assert read_problems(place)[0][2] == (
        "predictions[0].keypoints: expected 2, as the schema's keypoint_names; found 1"
    )


def test_missing_files_are_counted_and_named_too(task_place, load_notes):
    place = task_place("classification", {"a.json": {"predictions": []}})
    notes = load_notes(place, ["a.jpg", "b, c.jpg", "d.jpg"])
    assert notes == ["The task t: 2 images have no prediction file; data/prediction_problems.csv names them."]
    assert read_problems(place) == [
        ("t", f".lightly/predictions/t/{name}.json", f"missing: no file is about the image '{name}.jpg'")
        for name in ("b, c", "d")
    ]


def test_without_problems_there_is_no_table_of_them(task_place, load_notes):
    place = task_place("classification", {"a.json": {"predictions": []}})
    assert load_notes(place, ["a.jpg"]) == []
    publish_problems(place.scratch, place.scratch / "data")
    assert not (place.scratch / "data").exists()


def test_a_file_that_may_not_be_read_or_is_gone_by_then_is_skipped(task_place, load_task, monkeypatch):
    place = task_place("classification", {f"images/{name}.json": {"predictions": []} for name in "abc"})
    path = place.scratch.parent / "lightly/.lightly/predictions/t"
    opened = os.open

    def refuse(name, *arguments, **named):
        if str(name).endswith("images/a.json"):
            raise PermissionError(13, "Permission denied", str(name))
        if str(name).endswith("images/b.json"):
            (path / "images/b.json").unlink(missing_ok=True)
        return opened(name, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)
    assert load_task(place, [f"images/{name}.jpg" for name in "abc"]).has_file.tolist() == [False, False, True]
    reasons = [reason for _, _, reason in read_problems(place)]
    assert reasons[0].startswith("not readable: ")
    assert reasons[1] == "gone: it was listed but is not there any more"


def test_a_name_that_is_no_utf8_is_escaped(task_place, load_task):
    place = task_place("classification", {"a.json": {"predictions": []}, "caf\udce9.json": b"no JSON"})
    load_task(place, ["a.jpg", "caf\udce9.jpg"])
    assert read_problems(place)[0][1] == ".lightly/predictions/t/caf\\xe9.json"


WRONG_SCHEMAS = [
    (b"", "schema.json can't be used: empty. Expected {"),
    ({"categories": [{"id": 0, "name": "a"}]}, "object missing required field task_type"),
    ({"task_type": "detection", "categories": [{"id": 0, "name": "a"}]}, "task_type: expected one of classification,"),
    ({"task_type": "classification", "categories": []}, "categories: expected array of length >= 1"),
    (
        {"task_type": "classification", "categories": [{"id": -1, "name": "a"}]},
        r"categories\[0\].id: expected int >= 0",
    ),
    ({"task_type": "classification", "categories": [{"id": 0, "name": ""}]}, "name: expected str of length >= 1"),
    ({"task_type": "classification", "categories": [{"id": 0}]}, "missing required field name"),
    (
        {"task_type": "classification", "categories": [{"id": 0, "name": "a"}, {"id": 0, "name": "b"}]},
        "each has an id of its own; found 0 more than once",
    ),
    (
        {"task_type": "classification", "categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "a"}]},
        "each has a name of its own; found 'a' more than once",
    ),
    (
        {"task_type": "keypoint-detection", "categories": [{**KEYPOINTS[0], "keypoint_skeleton": [[0, 2]]}]},
        "keypoint_skeleton of 'person': expected pairs of indices of keypoint_names, from 0",
    ),
]


@pytest.mark.parametrize(("schema", "message"), WRONG_SCHEMAS)
def test_a_wrong_schema_ends_the_run(prediction_place, load_task, schema, message):
    place = prediction_place({"tasks.json": ["t"], "t/schema.json": schema, "t/a.json": {"predictions": []}})
    with pytest.raises(UnusableData, match=message) as caught:
        load_task(place, ["a.jpg"])
    assert f"{place.target.url}.lightly/predictions/t/schema.json" in str(caught.value)


WRONG_TASKS = [
    ({}, r"names the prediction tasks 't', and .*predictions/tasks.json does not exist. Put a list"),
    ({"tasks.json": b"["}, r"tasks.json can't be used: no JSON.*Expected a list of the tasks, such as \[\"my-task\"\]"),
    ({"tasks.json": {"t": 1}}, "expected array, got object"),
    ({"tasks.json": ["t", 1]}, r"\[1\]: expected str, got int"),
    ({"tasks.json": ["a", "b"]}, "does not list 't'. It lists 'a', 'b': add the task, or correct its name"),
    ({"tasks.json": []}, "does not list 't'. It lists none"),
    ({"tasks.json": ["t"]}, "t is listed in .lightly/predictions/tasks.json, and .*t/schema.json does not exist"),
]


@pytest.mark.parametrize(("files", "message"), WRONG_TASKS)
def test_a_task_that_is_not_there_ends_the_run(prediction_place, load_task, files, message):
    with pytest.raises(UnusableData, match=message):
        load_task(prediction_place(files), ["a.jpg"])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "0 files can't be used, 2 images have none. The first problems: '.lightly/predictions/t/a.json': missing"),
        ({"a.json": b"{", "b.json": b""}, "2 files can't be used, 0 images have none. The first problems: .*; .*empty"),
        ({"a.json": b"{"}, "1 file can't be used, 1 image has none"),
        ({"x/a.json": {"predictions": []}}, "2 images have none, 1 other file belongs to none of them .'.*t/x/a.json'"),
    ],
)
def test_without_any_usable_file_the_run_ends(task_place, load_task, files, message):
    place = task_place("classification", files)
    with pytest.raises(UnusableData, match=message) as caught:
        load_task(place, ["a.jpg", "b.jpg"])
    rule = "The predictions of the task t for the image sub/a.jpg are the file .lightly/predictions/t/sub/a.json in "
    assert str(caught.value).startswith(rule)
    assert "none of the 2 images has such a file that can be used" in str(caught.value)


def normalize(reason):
    """Return the reason without its numbers."""
    return re.sub(r"-?\d+(\.\d+)?", "#", reason)


def list_documented_reasons():
    text = (Path(__file__).parents[2] / "docs" / "predictions.md").read_text(encoding="utf-8")
    table = text.split("## What is wrong with a file")[1].split("## Scores")[0]
    cells = re.findall(r"^\| (`.*?`) \| ", table, flags=re.MULTILINE)
    reasons = [reason for cell in cells for reason in re.findall(r"`(.*?)`", cell)]
    elsewhere = ("counts as it is", "missing: ", "gone: ", "not readable", "…", "too large", "no JSON")
    return [reason for reason in reasons if not (reason.startswith(elsewhere) or "keypoint_names" in reason)]


def test_the_documented_reasons_are_the_ones_that_are_given():
    given = {normalize(reason) for _, _, _, reason in VARIANTS}
    documented = list_documented_reasons()
    assert len(documented) > 12
    for reason in documented:
        words = normalize(reason).replace("; …", "").replace(": …", ": ")
        words = re.sub(r"^predictions\[#\]\.?(: )?", "", words)
        words = words.replace("'a.jpg'", "'bad.jpg'")
        assert any(words.startswith(one[:30]) or words[:30] in one for one in given), reason


NUMBERS = st.one_of(st.integers(-3, 9), st.floats(allow_nan=False), st.just(10**40), st.booleans())
VALUES = st.recursive(
    st.one_of(NUMBERS, st.none(), st.text(max_size=3)), lambda inner: st.lists(inner, max_size=7), max_leaves=12
)
KEYS = ["category_id", "score", "bbox", "segmentation", "keypoints", "probabilities"]
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=2)
LIKELY = st.fixed_dictionaries(
    {"category_id": st.sampled_from([3, 7]), "score": st.sampled_from([0, 0.5, 1])},
    optional={
        "bbox": st.lists(NUMBERS, min_size=4, max_size=4),
        "segmentation": st.lists(st.integers(0, 9), min_size=1, max_size=6),
        "keypoints": st.lists(st.sampled_from([0, 0.5, 1]), min_size=3, max_size=6),
        "probabilities": st.sampled_from([[0.5, 0.5], [1, 0], [0.995, 0], [1], None]),
    },
)


@given(st.sampled_from(KINDS), st.lists(st.one_of(OBJECTS, LIKELY), max_size=3))
@settings(max_examples=400, deadline=None)
def test_whatever_a_file_holds_it_is_refused_or_gives_finite_columns(kind, objects):
    schema = TaskSchema("t", kind, (Category(3, "car"), Category(7, "bus")), (None, None))
    try:
        image = parse_file(json.dumps({"predictions": objects}).encode(), schema)
    except InvalidFile:
        return
    builder = ColumnsBuilder(schema, 2)
    builder.add(1, image)
    found = builder.build()
    assert found.owners.tolist() == [1] * len(objects)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    for column in (found.areas_px, found.keypoint_confidences):
        assert column is None or np.isfinite(column).all()
    if found.boxes_px is not None and kind != "keypoint-detection":
        assert np.isfinite(found.boxes_px).all()
        assert (found.boxes_px[:, 2:] >= 0).all()
    for score in available_scores(found):
        values = compute_score(found, score, 2)
        assert ((values >= 0) & (values <= 1)).all()


@given(st.binary(max_size=60))
def test_bytes_that_are_no_prediction_file_are_refused(content):
    schema = TaskSchema("t", "classification", (Category(3, "car"),), (None,))
    with contextlib.suppress(InvalidFile):
        assert parse_file(content, schema).objects == []


def test_a_name_can_write_no_line_of_its_own_into_the_log(task_place, load_notes):
    place = task_place("classification", {"a.json": {"predictions": []}, "x\nerror.json": b""})
    assert "\n" not in load_notes(place, ["a.jpg", "x\nerror.jpg"])[0]
    assert read_problems(place)[0][1] == ".lightly/predictions/t/x\nerror.json", "quoted, as CSV has it"


HAIR = st.one_of(
    st.floats(-ROUNDING, 0, exclude_max=True),
    st.floats(1, 1 + ROUNDING, exclude_min=True),
    st.floats(0, 1),
    st.sampled_from([-0.01, -ROUNDING * 1.01, 1 + ROUNDING * 1.01, 1.5, -(2.0**-149), 1.0000001]),
)
PLACES = {
    "score": ("object-detection", BOX, lambda x: {"score": x}, lambda found: found.score),
    "probability": (
        "classification", {"category_id": 3}, lambda x: {"probabilities": [x, 1 - x]}, lambda o: o.probabilities[0],
    ),
    "confidence": ("keypoint-detection", POSE, lambda x: {"keypoints": [1, 2, x]}, lambda found: found.keypoints[2]),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@given(HAIR)
def test_a_number_a_hair_out_of_range_counts_as_its_end_and_one_further_away_is_refused(place, number):
    kind, found, change, read = PLACES[place]
    schema = TaskSchema("t", kind, (Category(3, "car"), Category(7, "bus")), (None, None))
    content = json.dumps({"predictions": [{**found, **change(number)}]}).encode()
    if not -ROUNDING <= number <= 1 + ROUNDING:
        with pytest.raises(InvalidFile, match=r"<= 1.0$|>= 0.0$|expected confidences of 0 to 1"):
            parse_file(content, schema)
        return
    image = parse_file(content, schema)
    assert read(image.objects[0]) == min(max(number, 0), 1)
    n_odd = 2 if place == "probability" and not 0 <= 1 - number <= 1 else 1
    assert image.n_rounded == (0 if 0 <= number <= 1 else n_odd)


@pytest.mark.parametrize(("size", "kept"), [(-1e-7, 0), (-ROUNDING, 0), (0, 0), (1e-7, 1e-7)])
def test_a_size_a_hair_below_0_is_0(size, kept):
    schema = TaskSchema("t", "object-detection", (Category(3, "car"),), (None,))
    image = parse_file(json.dumps(but(BOX, bbox=[1, 2, 3, size])).encode(), schema)
    assert (image.objects[0].bbox, image.n_rounded) == ([1, 2, 3, kept], int(size < 0))


def test_rounded_numbers_are_counted_and_the_other_objects_of_the_file_stay(task_place, load_task, load_notes):
    odd = {**BOX, "score": 1.0000001, "probabilities": [1.0005, -0.0004]}
    files = {"a.json": {"predictions": [BOX, odd, BOX]}, "b.json": {"predictions": [odd]}, "c.json": but(BOX)}
    place = task_place("object-detection", files)
    task = load_task(place, ["a.jpg", "b.jpg", "c.jpg"])
    assert task.owners.tolist() == [0, 0, 0, 1, 2]
    assert task.scores.tolist() == [0.5, 1, 0.5, 1, 0.5]
    assert task.probabilities[[1, 3]].tolist() == [[1, 0], [1, 0]]
    folder = ".lightly/predictions/t/"
    expected = [
        "The task t: 6 numbers are out of range by no more than 0.001, as rounding leaves them, and count as the "
        f"range's end, such as in '{folder}a.json', '{folder}b.json'."
    ]
    assert load_notes(place, ["a.jpg", "b.jpg", "c.jpg"]) == expected
    assert load_notes(place, ["a.jpg", "b.jpg", "c.jpg"]) == expected, "kept notes are the same"


def test_one_rounded_number_and_one_object_without_a_score_are_spoken_of_as_one(task_place, load_notes):
    files = {"a.json": but(BOX, score=1.0000001, probabilities=None), "b.json": but(BOX, score=None)}
    assert load_notes(task_place("object-detection", files), ["a.jpg", "b.jpg"]) == [
        "The task t: 1 number is out of range by no more than 0.001, as rounding leaves it, and counts as the range's "
        "end, such as in '.lightly/predictions/t/a.json'.",
        "The task t: 1 object has no score and counts as certain, as labels do (a score of 1).",
    ]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("object-detection", BOX),
        ("semantic-segmentation", MASK),
        ("instance-segmentation", BOX | MASK),
        ("keypoint-detection", POSE),
    ],
)
def test_an_object_without_a_score_is_a_label_and_the_notes_count_them(task_place, load_task, load_notes, kind, found):
    given, certain = but(found, score=None, probabilities=[0.25, 0.75]), but(found, score=None)
    certain["predictions"] *= 2
    place = task_place(kind, {"a.json": certain, "b.json": given, "c.json": but(found)})
    assert load_task(place, ["a.jpg", "b.jpg", "c.jpg"]).scores.tolist() == [1, 1, 0.25, 0.5]
    expected = ["The task t: 2 objects have no score and count as certain, as labels do (a score of 1)."]
    assert load_notes(place, ["a.jpg", "b.jpg", "c.jpg"]) == expected

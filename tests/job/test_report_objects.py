"""What the report says about objects: those chosen on the object level, boxes on selected images, the detector's."""

import jsonschema
import numpy as np
import pypdf
import pytest
from PIL import Image

from selection_job.catalog.crop_columns import Crops
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.report.measures.box_examples import MOST_BOXES, MOST_EXAMPLES, choose_boxes
from selection_job.report.report_json import SourceFindings, read_schema
from selection_job.report.writing import write_report
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import ObjectSelection
from selection_job.selection.selection import StrategyRecord

N, K = 40, 10
NAMES = ("car", "日本の <b>tram</b>", "x" * 200)


def make_task(n=N, per_image=3, name="street", names=NAMES):
    """A task with objects on every image but the first; every fifth object has no box."""
    random = np.random.default_rng(4)
    owners = np.repeat(np.arange(1, n), per_image)
    m = len(owners)
    boxes = np.column_stack([random.uniform(0, 30, (m, 2)), random.uniform(5, 200, (m, 2))]).astype(np.float32)
    boxes[::5] = np.nan
    return TaskPredictions(
        name,
        "object-detection",
        tuple(Category(3 * i + 1, each) for i, each in enumerate(names)),
        np.arange(n) > 0,
        owners,
        random.integers(0, len(names), m).astype(np.int32),
        random.random(m).astype(np.float32),
        boxes_px=boxes,
    )


def make_objects(task, given, n_chosen=12):
    """Crops of the task's objects, of which the first n_chosen by a seeded order were chosen."""
    random = np.random.default_rng(5)
    m, selection = len(task.owners), given["selection"]
    crops = Crops(
        task.name, tuple(one.name for one in task.categories), task.owners, np.zeros(m, np.int32),
        np.tile(np.int32([0, 0, 8, 8]), (m, 1)), task.category_index, task.scores,
        random.normal(size=(m, 4)).astype(np.float32),
    )  # fmt: skip
    order = random.permutation(m)
    chosen, removed = order[:n_chosen], np.sort(order[n_chosen:])
    scores = StrategyRecord("WEIGHTS on SCORES", "WEIGHTS", 1.0, values=task.scores.astype(np.float64))
    of_objects = type(selection)(
        np.arange(m), chosen, np.full(n_chosen, np.nan, np.float32), removed,
        np.full(len(removed), chosen[0]), np.ones(len(removed), np.float32), "strategies", "n_samples",
        np.full(n_chosen, np.nan), np.empty((n_chosen, 0)), np.full(len(removed), -1), rankings=(scores,),
    )  # fmt: skip
    nothing = np.full(len(selection.candidates), -1)
    return ObjectSelection(crops, of_objects, selection.candidates, (), nothing)


def text_of(folder):
    pages = pypdf.PdfReader(folder / "report.pdf").pages
    return "".join("".join(page.extract_text().split()) for page in pages)


def test_chosen_objects_are_counted_by_class_beside_all_and_a_random_choice(make_report_input, tmp_path):
    given, task = make_report_input(N, K), make_task()
    objects = make_objects(task, given)
    found = SourceFindings(GatheredSources(N, tasks={"street": task}), objects)
    report = write_report(tmp_path, **given, sources=found)
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(report)) == []
    level = report["objectLevelInformation"]
    of_all = np.bincount(task.category_index, minlength=len(NAMES)).tolist()
    of_chosen = np.bincount(task.category_index[objects.selection.selected], minlength=len(NAMES)).tolist()
    assert [one["input"] for one in level["categories"]] == of_all
    assert [one["selected"] for one in level["categories"]] == of_chosen
    assert sum(one["random"] for one in level["categories"]) == level["nSelected"] == 12
    text = text_of(tmp_path)
    assert f"12of{level['nCandidates']}objects" in text
    for number, of_class in zip(of_chosen, of_all, strict=True):
        assert f"{of_class}{number}" in text
    assert "日本の<b>tram</b>" in text
    with Image.open(tmp_path / "plots/objects.png") as picture:
        assert picture.width > 1000


def test_examples_of_boxes_are_of_the_first_selected_images_that_have_one(make_report_input):
    given, task = make_report_input(N, N), make_task(per_image=MOST_BOXES + 20)
    order = np.roll(np.arange(N), -3)
    found = [one.to_json_values() for one in choose_boxes(task, order, given["catalog"])]
    rows = [row for row in order.tolist() if row > 0][:MOST_EXAMPLES]
    assert [one["filename"] for one in found] == [given["catalog"].names[row] for row in rows]
    has_box = np.isfinite(task.boxes_px).all(axis=1)
    for row, one in zip(rows, found, strict=True):
        own = task.scores[(task.owners == row) & has_box]
        assert (one["nPredictions"], one["widthPx"], one["heightPx"]) == (len(own), 64, 48)
        scores = np.float32([each["score"] for each in one["predictions"]])
        assert scores.tolist() == np.sort(own)[::-1][:MOST_BOXES].tolist()
    first = next(place for place in np.flatnonzero(has_box) if task.owners[place] == rows[0])
    boxes = {tuple(each["bbox"]): each["categoryId"] for each in found[0]["predictions"]}
    wanted = task.categories[task.category_index[first]].id
    matching = [kind for box, kind in boxes.items() if np.allclose(box, task.boxes_px[first])]
    assert matching in ([wanted], [])  # left out where 30 others have higher scores


def test_a_task_without_boxes_has_no_examples_of_them(make_report_input):
    task = make_task()
    plain = TaskPredictions("t", "classification", task.categories, task.has_file, task.owners, task.category_index,
                            task.scores)  # fmt: skip
    assert choose_boxes(plain, np.arange(N), make_report_input(N, K)["catalog"]) == []


@pytest.mark.parametrize("is_gone", [False, True])
def test_the_pdf_shows_boxes_and_the_detectors_pictures(make_report_input, tmp_path, is_gone):
    given = make_report_input(N, K)
    if is_gone:
        given["thumbnail"] = lambda name: None
    folder = tmp_path / "data/bounding_boxes_examples"
    folder.mkdir(parents=True)
    random = np.random.default_rng(6)
    for i in range(20):
        picture = Image.fromarray(random.integers(0, 255, (700, 40 + 60 * i, 3), dtype=np.uint8))
        picture.save(folder / f"{i:02}_street.jpg", quality=90)
    task = make_task(name="lightly_pretagging")
    write_report(tmp_path, **given, sources=SourceFindings(GatheredSources(N, tasks={task.name: task})))
    text = text_of(tmp_path)
    assert "11_street" in text
    assert "12_street" not in text
    assert "Thefirstselectedimageswithboxes" in text
    assert (tmp_path / "report.pdf").stat().st_size < 5_000_000

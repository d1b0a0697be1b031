"""examples/predictions/ runs as it stands, and what docs/predictions.md shows is true."""

import csv
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selection_job.predictions.prediction_file import parse_file
from selection_job.predictions.task_predictions import Category
from selection_job.predictions.task_schema import KINDS, TaskSchema, load_schemas
from selection_job.stores.local.store import LocalStore

ROOT = Path(__file__).parents[2]
TREE = ROOT / "examples" / "predictions"
DOCS = (ROOT / "docs" / "predictions.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_example_selects_by_the_predictions_of_its_task(kind, run_prediction_example):
    done = run_prediction_example(kind)
    assert len(done.selected) == 4
    assert not (done.folder / "data/prediction_problems.csv").exists()
    assert [note for note in done.report_notes if note.startswith("The task")] == []
    with (done.folder / "data/al_score_embeddings.csv").open(encoding="utf-8", newline="") as file:
        scores = {row["filenames"]: float(row["al_score"]) for row in csv.DictReader(file)}
    chosen = [scores[name] for name in done.selected]
    assert np.mean(chosen) > np.mean(list(scores.values()))
    if kind == "object-detection":
        assert "south/06.png" not in done.selected, "there is no vehicle on it"


def test_the_examples_fit_their_images():
    store = LocalStore(TREE / "lightly")
    for schema in load_schemas(store, json.loads(store.read(".lightly/predictions/tasks.json"))):
        for path in sorted((TREE / "input").rglob("*.png")):
            name = path.relative_to(TREE / "input")
            found = parse_file(store.read(f"{schema.folder}{name.with_suffix('.json')}"), schema)
            with Image.open(path) as image:
                assert found.mask_pixels in (None, image.width * image.height)
            assert found.file_name == str(name)


def test_the_files_of_the_documentation_are_valid():
    rows = re.findall(r"^\| ([a-z-]+) \| `(\{.*\})` \|$", DOCS, flags=re.MULTILINE)
    assert [kind for kind, _ in rows] == list(KINDS)
    for kind, text in rows:
        n = 3
        schema = TaskSchema("t", kind, tuple(Category(i, f"class {i}") for i in range(n)), (None,) * n)
        assert len(parse_file(text.encode(), schema).objects) == 1


def execute(script, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(script)
    spec = importlib.util.spec_from_file_location("script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_of_the_documentation_converts_coco(task_place, load_task, tmp_path, monkeypatch):
    coco = {
        "images": [{"id": 5, "file_name": "sub/a.jpg"}, {"id": 6, "file_name": "b.jpg"}],
        "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 18, "bbox": [-2.5, 3, 10, 20], "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.25},
        ],
    }
    place = task_place("classification", {})
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    monkeypatch.setattr(sys, "argv", ["convert"])
    execute(SCRIPTS[0], tmp_path).convert(str(tmp_path / "coco.json"), "t", str(tmp_path / "lightly"))
    assert json.loads((tmp_path / "lightly/.lightly/predictions/tasks.json").read_text()) == ["other", "t"]
    found = load_task(place, ["b.jpg", "sub/a.jpg"])
    assert [category.name for category in found.categories] == ["person", "dog"]
    assert (found.owners.tolist(), found.category_index.tolist(), found.scores.tolist()) == ([1, 1], [1, 0], [1, 0.25])
    assert found.boxes_px.tolist() == [[-2.5, 3, 10, 20], [1, 2, 3, 4]]
    assert found.has_file.all()


def test_the_script_of_the_documentation_reads_coco_without_what_many_tools_leave_out(
    task_place, load_task, tmp_path, monkeypatch
):
    polygons = [[4, 3, 9, 3, 6, 8], [1, 5, 2, 5, 2, 6]]
    annotations = [
        {"image_id": 5, "category_id": 1, "segmentation": polygons},
        {"image_id": 5, "category_id": 1, "iscrowd": 1, "segmentation": {"counts": [1, 2], "size": [3, 1]}},
        {"image_id": 5, "category_id": 1, "keypoints": [1, 2, 2]},
    ]
    coco = {"images": [{"id": 5, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "dog"}]}
    place = task_place("classification", {})
    monkeypatch.setattr(sys, "argv", ["convert"])
    for content, boxes in ((coco, []), (coco | {"annotations": annotations}, [[1, 3, 8, 5]])):
        (tmp_path / "coco.json").write_text(json.dumps(content))
        execute(SCRIPTS[0], tmp_path).convert(str(tmp_path / "coco.json"), "t", str(tmp_path / "lightly"))
        assert load_task(place, ["a.jpg"]).boxes_px.tolist() == boxes


@pytest.mark.parametrize("mask", [[[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1]], [[1, 0]], [[0, 0]], [[1, 1]]])
def test_the_script_of_the_documentation_makes_runs_of_masks(mask, tmp_path):
    runs = execute(SCRIPTS[1], tmp_path).to_runs(np.array(mask))
    again = np.repeat(np.arange(len(runs)) % 2, runs)
    assert again.reshape(np.shape(mask)).tolist() == mask
    if mask[0] == [0, 0, 1, 1]:
        assert runs == [2, 2, 1, 3, 3, 1]

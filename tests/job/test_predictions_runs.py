"""Whole runs that look at predictions: what is selected, what is written, and what a second run makes of it."""

import csv
import json

import jsonschema
import numpy as np
import pytest

from selection_api import check_supported, parse_manifest
from selection_job.report.report_json import read_schema
from selection_job.results.tables.tables import write_embeddings

N, K = 60, 12
NAMES = [f"{'day' if i % 3 else 'night'}/{i:02}.jpg" for i in range(N)]
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(N, 4)).astype(np.float32)
CLASSES = ["car", "bus", "tram"]
PROBABILITIES = RNG.dirichlet([1.5, 0.8, 0.3], size=N)
SHARPNESS = RNG.random(N)
ENTROPY = -(PROBABILITIES * np.log(PROBABILITIES)).sum(axis=1) / np.log(3)


@pytest.fixture
def datasources(tmp_path):
    """Two folders: images that are never opened, embeddings, what a model took them for, and sharpness."""
    lightly = tmp_path / "lightly" / ".lightly"
    for name in NAMES:
        path = tmp_path / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")
    (lightly / "embeddings").mkdir(parents=True)
    write_embeddings(lightly / "embeddings" / "all.csv", NAMES, VECTORS, np.arange(N))
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES)]
    files = {
        "tasks.json": ["vehicles"],
        "vehicles/schema.json": {"task_type": "classification", "categories": categories},
    }
    for name, row in zip(NAMES, PROBABILITIES, strict=True):
        one = {"category_id": int(row.argmax()), "probabilities": row.tolist(), "score": float(row.max())}
        files[f"vehicles/{name[:-4]}.json"] = {"file_name": name, "predictions": [one]}
    files = {f"predictions/{key}": content for key, content in files.items()}
    entry = {"name": "Sharp", "path": "quality.sharp", "defaultValue": 0, "valueDataType": "NUMERIC_FLOAT"}
    files["metadata/schema.json"] = [entry]
    for name, sharpness in zip(NAMES, SHARPNESS.tolist(), strict=True):
        own = {"file_name": name, "type": "image", "metadata": {"quality": {"sharp": sharpness}}}
        files[f"metadata/{name[:-4]}.json"] = own
    for key, content in files.items():
        path = lightly / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def run(datasources, run_manifest):
    """Run a selectionConfig, or a workerConfig, and return what it left."""

    def run_one(strategies=None, *, n_samples=K, drawn=False, **worker):
        folders = {
            purpose: {"type": "LOCAL", "resourcePath": str(datasources / purpose)} for purpose in ("input", "lightly")
        }
        head = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "mix"}}
        spec = {
            "datasources": folders,
            "workerConfig": {"embeddings": "all.csv", "n_example_images": 0, **worker},
            "selectionConfig": strategies and {"n_samples": n_samples, "strategies": strategies},
        }
        check_supported(parse_manifest({**head, "spec": spec}))
        done = run_manifest({**head, "spec": spec}, drawn=drawn)
        assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(done.report)) == []
        return done

    return run_one


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}
UNCERTAIN = {
    "input": {"type": "SCORES", "task": "vehicles", "score": "uncertainty_entropy"}, "strategy": {"type": "WEIGHTS"},
}  # fmt: skip
SURE_ENOUGH = {
    "input": {"type": "SCORES", "task": "vehicles", "score": "uncertainty_margin"},
    "strategy": {"type": "THRESHOLD", "threshold": 0.9, "operation": "SMALLER"},
}
BALANCED = {
    "input": {"type": "PREDICTIONS", "task": "vehicles", "name": "CLASS_DISTRIBUTION"},
    "strategy": {"type": "BALANCE", "distribution": "TARGET", "target": {"tram": 0.5, "bus": 0.3}, "strength": 4},
}


SHARP = {
    "input": {"type": "METADATA", "key": "quality.sharp"},
    "strategy": {"type": "THRESHOLD", "threshold": 0.2, "operation": "BIGGER_EQUAL"},
}


@pytest.mark.slow
def test_one_manifest_mixes_diversity_uncertainty_balance_and_thresholds(run):
    done = run([DIVERSITY, UNCERTAIN, BALANCED, SURE_ENOUGH, SHARP], drawn=True)
    rows = read(done.folder / "data/selection.csv")
    number = {name: i for i, name in enumerate(NAMES)}
    top = np.sort(PROBABILITIES, axis=1)
    too_unsure, blurred = 1 - (top[:, -1] - top[:, -2]) >= 0.9, SHARPNESS < 0.2
    filtered = {row["filename"] for row in rows if row["decision"] == "filtered"}
    assert filtered == {NAMES[i] for i in np.flatnonzero(too_unsure | blurred)}
    assert too_unsure.any()
    assert blurred.any()
    found = [float(row["value of WEIGHTS on SCORES vehicles uncertainty_entropy"]) for row in rows]
    np.testing.assert_allclose(found, [ENTROPY[number[row["filename"]]] for row in rows], atol=1e-5)
    margin, sharp, diversity, weights, balance = done.report["selectionInformation"]["strategies"]
    assert margin["selected"] == sharp["selected"] == 1
    for strategy in (diversity, weights, balance):
        assert strategy["selected"] > strategy["random"], strategy["name"]
    own = PROBABILITIES[[number[row["filename"]] for row in rows[:K]]].sum(axis=0) / K
    assert [one["name"] for one in balance["classes"]] == ["tram", "bus", "(any other)"]
    assert [one["selected"] for one in balance["classes"]] == pytest.approx([own[2], own[1], own[0]], abs=1e-5)


def test_scores_come_back_as_the_column_that_coral_takes(run):
    done = run([DIVERSITY, UNCERTAIN])
    path = done.folder / "data/al_score_embeddings.csv"
    scores = {row["filenames"]: float(row["al_score"]) for row in read(path)}
    assert scores == {name: pytest.approx(ENTROPY[i], abs=1e-5) for i, name in enumerate(NAMES)}
    key = str(path.relative_to(done.place.target.url))
    again = run(method="coral", scorer="", embeddings=key, stopping_condition={"n_samples": K})
    assert again.selected == done.selected
    assert [note for note in again.report_notes if "not used" in note] == []


def test_the_older_form_weighs_the_coreset_by_the_score_of_a_task(run):
    stopping = {"stopping_condition": {"n_samples": K}}
    task = {"task_name": "vehicles", "score_name": "uncertainty_entropy"}
    expected = run([DIVERSITY, UNCERTAIN])
    coral = run(method="coral", active_learning=task, **stopping)
    assert coral.selected == expected.selected
    assert (coral.folder / "data/al_score_embeddings.csv").read_bytes() == (
        expected.folder / "data/al_score_embeddings.csv"
    ).read_bytes()
    plain = run(**stopping)
    assert not (plain.folder / "data/al_score_embeddings.csv").exists()
    assert plain.selected != coral.selected


def test_what_is_wrong_with_predictions_is_published_and_counts_in_the_report(run, datasources):
    folder = datasources / "lightly/.lightly/predictions/vehicles"
    (folder / f"{NAMES[1][:-4]}.json").write_text('{"predictions": [{"category_id": 3}]}')
    (folder / f"{NAMES[2][:-4]}.json").unlink()
    (folder / "elsewhere.json").write_text("")
    done = run([UNCERTAIN])
    assert read(done.folder / "data/prediction_problems.csv") == [
        {
            "task": "vehicles", "file": f".lightly/predictions/vehicles/{name[:-4]}.json", "reason": reason,
        }
        for name, reason in (
            (NAMES[1], "predictions[0].category_id: 3 is not one of the schema's categories"),
            (NAMES[2], f"missing: no file is about the image '{NAMES[2]}'"),
        )
    ]  # fmt: skip
    notes = [note for note in done.report_notes if note.startswith("The task vehicles: 1 ")]
    assert len(notes) == 3, "one is invalid, one is missing, one belongs to no image"
    scores = {row["filenames"]: row["al_score"] for row in read(done.folder / "data/al_score_embeddings.csv")}
    assert (scores[NAMES[1]], scores[NAMES[2]]) == ("0", "0")


def test_a_run_with_changed_predictions_runs_again(run, datasources):
    before = run([UNCERTAIN], n_samples=3).report
    assert run([UNCERTAIN], n_samples=3).report == before
    path = datasources / "lightly/.lightly/predictions/vehicles" / f"{NAMES[0][:-4]}.json"
    one = {"category_id": 0, "probabilities": [0.34, 0.33, 0.33], "score": 0.34}
    path.write_text(json.dumps({"file_name": NAMES[0], "predictions": [one]}))
    after = run([UNCERTAIN], n_samples=3)
    assert after.report["inputFingerprint"] != before["inputFingerprint"]
    assert after.selected[0] == NAMES[0]


def test_scores_stay_with_their_images_where_others_are_corrupt(photos, make_manifest, run_manifest, tmp_path):
    folder = tmp_path / "output/.lightly/predictions"
    names = sorted([*photos.readable, *photos.corrupt])
    schema = {"task_type": "object-detection", "categories": [{"id": 0, "name": "thing"}]}
    files = {"tasks.json": ["t"], "t/schema.json": schema}
    for i, name in enumerate(names):
        box = {"category_id": 0, "bbox": [500 if i == 7 else 5, 5, 9, 9], "score": i / 100}
        files[f"t/{name.rpartition('.')[0]}.json"] = {"file_name": name, "predictions": [box]}
    for key, content in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_text(json.dumps(content))
    unsure = {
        "input": {"type": "SCORES", "task": "t", "score": "objectness_least_confidence"},
        "strategy": {"type": "WEIGHTS"},
    }
    manifest = make_manifest(photos.folder, selectionConfig={"n_samples": 5, "strategies": [unsure]})
    del manifest["spec"]["workerConfig"]["stopping_condition"]
    done = run_manifest(manifest)
    scores = {row["filenames"]: float(row["al_score"]) for row in read(done.folder / "data/al_score_embeddings.csv")}
    assert scores == {
        name: pytest.approx(1 - names.index(name) / 100, abs=1e-6)
        for name in photos.readable
        if name not in photos.duplicates
    }
    assert done.selected == sorted(scores, key=scores.get, reverse=True)[:5]
    (problem,) = read(done.folder / "data/prediction_problems.csv")
    assert problem["reason"].startswith(
        "counts as it is: predictions[0].bbox: lies outside of the image; the image has"
    )
    assert problem["file"].endswith(f"/t/{names[7].rpartition('.')[0]}.json")

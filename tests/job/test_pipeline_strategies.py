"""Whole runs whose strategies look at more than embeddings: the files say what each strategy did."""

import csv
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from selection_api import check_supported, parse_manifest
from selection_job.embeddings.query_set import query_key
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.report.report_json import read_schema
from selection_job.results.tables.tables import write_embeddings
from selection_job.run.context import set_up

pytestmark = pytest.mark.slow

N, K = 60, 12
NAMES = [f"{'day' if i % 3 else 'night'}/{i:02}.jpg" for i in range(N)]
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(N, 4)).astype(np.float32)
DATASET, TAG = "a" * 24, "queries"


@pytest.fixture(scope="module")
def datasources(tmp_path_factory):
    """Two folders: images that are never opened, and their embeddings, predictions, metadata and queries."""
    base = tmp_path_factory.mktemp("strategies")
    lightly = base / "lightly" / ".lightly"
    (lightly / "embeddings" / DATASET).mkdir(parents=True)
    for name in NAMES:
        path = base / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")
    table = lightly / "embeddings" / "all.csv"
    write_embeddings(table, NAMES, VECTORS, np.arange(N))
    head, *lines = table.read_text().splitlines()
    scored = [f"{line},{i / N:.9g}" for i, line in enumerate(lines)]
    table.write_text("\n".join([f"{head},al_score", *scored]) + "\n")
    write_embeddings(lightly.parent / query_key(DATASET, TAG), ["q.jpg"], VECTORS[7:8], np.arange(1))
    return base


def run(base, selection=None, **worker):
    """Run a manifest and return its folder and report."""
    spec = {
        "datasources": {
            "input": {"type": "LOCAL", "resourcePath": str(base / "input")},
            "lightly": {"type": "LOCAL", "resourcePath": str(base / "lightly")},
        },
        "workerConfig": {"embeddings": ".lightly/embeddings/all.csv", "n_example_images": 0, **worker},
        "selectionConfig": selection,
    }
    names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "mix"}}
    scratch = base / "scratch" / str(len(list(base.iterdir())))
    scratch.mkdir(parents=True, exist_ok=True)
    place = set_up(check_supported(parse_manifest({**names, "spec": spec})), scratch, Progress(quiet=True))
    run_pipeline(place)
    folder = Path(place.target.url) / place.run_key
    report = json.loads((folder / "report.json").read_bytes())
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(report)) == []
    return folder, report


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_coral_takes_its_scores_from_the_table_of_embeddings(datasources):
    folder, report = run(datasources, method="coral", scorer="", stopping_condition={"n_samples": K})
    rows = read(folder / "data/selection.csv")
    assert [row["decision"] for row in rows] == ["selected"] * K + ["removed"] * (N - K)
    score = {row["filename"]: float(row["value of WEIGHTS on SCORES al_score"]) for row in rows}
    assert score == {name: pytest.approx(i / N, abs=1e-6) for i, name in enumerate(NAMES)}
    _, weights = report["selectionInformation"]["strategies"]
    assert weights["selected"] == pytest.approx(np.mean([score[row["filename"]] for row in rows[:K]]))
    assert weights["selected"] > weights["input"]


def test_similarity_prefers_what_lies_near_the_queries(datasources):
    what = {"type": "EMBEDDINGS", "dataset_id": DATASET, "tag_name": TAG}
    folder, report = run(
        datasources, {"n_samples": 5, "strategies": [{"input": what, "strategy": {"type": "SIMILARITY"}}]}
    )
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    nearest = np.argsort(np.linalg.norm(unit - unit[7], axis=1))[:5]
    chosen = (folder / "filenames/sampled_filenames_excluding_datapool.txt").read_text().split()
    assert chosen == [NAMES[row] for row in nearest]
    (similarity,) = report["selectionInformation"]["strategies"]
    assert similarity["name"] == f"SIMILARITY on EMBEDDINGS {DATASET}/{TAG}"
    assert similarity["selected"] > similarity["random"]


def test_the_plain_coreset_says_how_many_images_a_radius_needs(datasources):
    folder, report = run(datasources, stopping_condition={"n_samples": K})
    table = report["selectionInformation"]["coverage"]["imagesForRadius"]
    rows = read(folder / "data/selection.csv")
    radii = [*(float(row["taken_at_distance"]) for row in rows[1:K]), report["selectionInformation"]["coverRadius"]]
    for line in table:
        assert radii[line["nImages"] - 1] <= line["radius"]
        assert line["nImages"] == 1 or radii[line["nImages"] - 2] > line["radius"]
    assert (folder / "plots/coverage.png").stat().st_size > 10_000

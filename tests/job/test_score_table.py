"""data/al_score_embeddings.csv: the rows of embeddings.csv, and a column a score."""

import csv

import numpy as np
import pytest

from selection_api import parse_manifest
from selection_job.manifest.goal import make_goal
from selection_job.results.tables import embedding_lines
from selection_job.results.tables.score_table import write_score_table
from selection_job.results.tables.tables import write_embeddings
from selection_job.selection.gathered_sources import GatheredSources

NAMES = ["a.jpg", 'b, "c".jpg', "new\nline.jpg", "é.jpg"]
VECTORS = np.array([[0.1, 2], [3, 1e-7], [5, 6], [7, 8]], dtype=np.float32)
WEIGHTS, THRESHOLD = {"type": "WEIGHTS"}, {"type": "THRESHOLD", "threshold": 0.5, "operation": "BIGGER"}


def make_spec(*strategies):
    folder = {"type": "LOCAL", "resourcePath": "/tmp/a"}
    entries = [
        {"input": {"type": "SCORES", "task": task, "score": score}, "strategy": strategy}
        for task, score, strategy in strategies
    ]
    config = {"n_samples": 1, "strategies": [*entries, {"input": {"type": "RANDOM"}, "strategy": WEIGHTS}]}
    names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
    spec = {"datasources": {"input": folder, "lightly": folder}, "selectionConfig": config}
    return parse_manifest({**names, "spec": spec}).spec


SPEC = make_spec(("t", "sure", THRESHOLD), ("u,v", "odd", WEIGHTS), ("t", "sure", WEIGHTS), ("u,v", "odd", WEIGHTS))
SOURCES = GatheredSources(4, known_scores={("u,v", "odd"): np.arange(4) / 3, ("t", "sure"): np.ones(4)})


def test_scores_that_rank_come_before_those_that_filter_and_each_once():
    assert make_goal(SPEC).scores == (("u,v", "odd"), ("t", "sure"))
    assert make_goal(make_spec(("t", "a", THRESHOLD), ("t", "b", WEIGHTS))).scores == (("t", "b"), ("t", "a"))


@pytest.mark.parametrize("worth_compiling", [10**9, 0], ids=["small", "large"])
def test_the_rows_are_those_of_the_embeddings_with_scores_behind(tmp_path, monkeypatch, worth_compiling):
    monkeypatch.setattr(embedding_lines, "_WORTH_COMPILING", worth_compiling)
    rows = np.array([0, 1, 2])
    write_embeddings(tmp_path / "embeddings.csv", NAMES, VECTORS, rows)
    write_score_table(tmp_path, NAMES, VECTORS, rows, scores=make_goal(SPEC).scores, sources=SOURCES)
    with (
        (tmp_path / "embeddings.csv").open(newline="") as plain,
        (tmp_path / "al_score_embeddings.csv").open(newline="") as scored,
    ):
        expected, found = list(csv.reader(plain)), list(csv.reader(scored))
    assert [line[:-2] for line in found] == expected
    assert [line[-2:] for line in found] == [
        ["al_score", "t sure"],
        ["0", "1"],
        ["0.333333333", "1"],
        ["0.666666667", "1"],
    ]


def test_without_scores_there_is_no_table(tmp_path):
    write_score_table(tmp_path, NAMES, VECTORS, np.arange(4), scores=(), sources=GatheredSources(4))
    assert not list(tmp_path.iterdir())

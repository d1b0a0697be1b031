"""data/selection.csv: every decision with its reason, also for odd names and many rows."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from selection_job.results.tables.selection_table import write_selection_table
from selection_job.selection.selection import Selection, StrategyRecord

NAMES = ["a.jpg", 'quote".jpg', "comma,.jpg", "日本.jpg", "line\nbreak.jpg", "both\r\n.jpg"]
NAN = np.nan


@pytest.fixture
def selection():
    """Of six images: 4 and 1 were chosen, 2 was filtered, 3 and 5 removed; 0 took no part."""
    values = np.array([0.5, 0.1, NAN, 2.0, 1e-9])
    return Selection(
        candidates=np.array([1, 2, 3, 4, 5]),
        selected=np.array([4, 1]),
        radii=np.full(2, NAN, np.float32),
        removed=np.array([2, 3, 5]),
        nearest_selected=np.array([4, 1, 1]),
        nearest_distance=np.array([1, 0.25, 1 / 3], np.float32),
        method="strategies",
        stopped_by="n_samples",
        distances=np.array([np.inf, 3.5]),
        contributions=np.array([[0.1, -2], [0.7, NAN]]),
        filtered_by=np.array([0, -1, -1]),
        rankings=(StrategyRecord("DIVERSITY on EMBEDDINGS", "DIVERSITY", 1.0), StrategyRecord("B, x", "BALANCE", 1.0)),
        thresholds=(StrategyRecord('THRESHOLD on "m"', "THRESHOLD", None, values=values, passes=values > 0.2),),
    )


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_decision_has_its_reason_and_odd_names_survive(tmp_path, selection):
    path = tmp_path / "data" / "selection.csv"
    write_selection_table(path, NAMES, selection)
    rows = read(path)
    assert [row["filename"] for row in rows] == [NAMES[4], NAMES[1], NAMES[2], NAMES[3], NAMES[5]]
    assert [row["decision"] for row in rows] == ["selected", "selected", "filtered", "removed", "removed"]
    assert [row["rank"] for row in rows] == ["1", "2", "", "", ""]
    assert [row["taken_at_distance"] for row in rows] == ["", "3.5", "", "", ""]
    assert [row["nearest_selected"] for row in rows] == ["", "", NAMES[4], NAMES[1], NAMES[1]]
    assert [row["distance_to_it"] for row in rows] == ["", "", "1", "0.25", "0.333333343"]
    assert [row["filtered_by"] for row in rows] == ["", "", 'THRESHOLD on "m"', "", ""]
    assert [row['value of THRESHOLD on "m"'] for row in rows] == ["2", "0.5", "0.1", "", "1e-09"]
    assert [row["contribution of DIVERSITY on EMBEDDINGS"] for row in rows] == ["0.1", "0.7", "", "", ""]
    assert [row["contribution of B, x"] for row in rows] == ["-2", "", "", "", ""]


@pytest.mark.parametrize(("cut_off", "written"), [(0.5, "0.5"), (NAN, "")])
def test_the_cut_off_stands_beside_the_distance_of_each_removed_image(tmp_path, selection, cut_off, written):
    write_selection_table(tmp_path / "s.csv", NAMES, replace(selection, cut_off=cut_off))
    assert [row["cut_off"] for row in read(tmp_path / "s.csv")] == ["", "", "", written, written]


def test_without_a_combination_there_is_no_column_of_contributions(tmp_path, selection):
    alone = Selection(**{**vars(selection), "contributions": np.empty((2, 0)), "thresholds": ()})
    write_selection_table(tmp_path / "s.csv", NAMES, Selection(**{**vars(alone), "filtered_by": np.full(3, -1)}))
    head = list(read(tmp_path / "s.csv")[0])
    assert head[-2:] == ["filtered_by", "cut_off"]


def test_rows_of_many_blocks_are_all_there_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("selection_job.results.tables.selection_table._BLOCK", 7)
    n, k = 50, 20
    rng = np.random.default_rng(0)
    order = rng.permutation(n)
    removed = np.sort(order[k:])
    values = rng.random(n)
    many = Selection(
        candidates=np.arange(n), selected=order[:k], radii=np.zeros(k, np.float32), removed=removed,
        nearest_selected=order[rng.integers(0, k, n - k)], nearest_distance=rng.random(n - k).astype(np.float32),
        method="strategies", stopped_by="n_samples", distances=rng.random(k), contributions=rng.random((k, 1)),
        filtered_by=np.full(n - k, -1), rankings=(StrategyRecord("W", "WEIGHTS", 1.0, values=values),),
    )  # fmt: skip
    names = [f"{row}.jpg" for row in range(n)]
    write_selection_table(tmp_path / "s.csv", names, many)
    rows = read(tmp_path / "s.csv")
    assert [row["filename"] for row in rows] == [names[row] for row in (*order[:k], *removed)]
    assert [row["rank"] for row in rows] == [*map(str, range(1, k + 1)), *[""] * (n - k)]
    found = [float(row["value of W"]) for row in rows]
    np.testing.assert_allclose(found, values[[*order[:k], *removed]], rtol=1e-8)
    near = np.array([row["distance_to_it"] for row in rows[k:]], dtype=np.float32)
    np.testing.assert_array_equal(near, many.nearest_distance)

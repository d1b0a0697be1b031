"""From the configuration to the choice: both forms, shares, and what is said about the end."""

import numpy as np
import pytest
from choosing import choose_images

from selection_api import parse_manifest
from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData
from selection_job.manifest.goal import make_goal
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.vectors import normalize_rows


def make_spec(worker=None, selection=None, lightly=None):
    document = {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": "a"},
        "spec": {
            "datasources": {
                "input": {"type": "LOCAL", "resourcePath": "/data/in"},
                "lightly": {"type": "LOCAL", "resourcePath": "/data/out"},
            },
            "workerConfig": worker or {},
            "lightlyConfig": lightly or {},
            "selectionConfig": selection,
        },
    }
    return parse_manifest(document).spec


def strategy(kind, **fields):
    inputs = {"WEIGHTS": {"type": "RANDOM"}}.get(kind, {"type": "EMBEDDINGS"})
    own = {key: fields.pop(key) for key in ("random_seed",) if key in fields}
    return {"input": inputs | own, "strategy": {"type": kind, **fields}}


def told(goal):
    """Return a goal in short: method, count, distance, seed, the names of its strategies."""
    names = [entry.name for entry in (*goal.thresholds, *goal.rankings)]
    return (goal.method, goal.n_samples, goal.min_distance, goal.seed, *names)


COUNT = {"stopping_condition": {"n_samples": 7}}
WHOLE = "DIVERSITY on EMBEDDINGS"


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        ({"stopping_condition": {"n_samples": 0.1}}, ("coreset", 5, 0.0, 1, WHOLE)),
        ({"stopping_condition": {"n_samples": 0.1, "min_distance": -1}}, ("coreset", 5, 0.0, 1, WHOLE)),
        ({"stopping_condition": {"min_distance": 0.2}}, ("coreset", None, 0.2, 1, WHOLE)),
        ({"method": "random", **COUNT}, ("random", 7, 0.0, 1)),
        ({"method": "random", "active_learning": {"task_name": "t"}, **COUNT}, ("random", 7, 0.0, 1)),
    ],
)
def test_the_legacy_form_says_method_count_and_distance(worker, expected):
    assert told(make_goal(make_spec(worker)).resolve(50)) == expected


TASK = {"task_name": "t"}


@pytest.mark.parametrize(
    ("worker", "score"),
    [
        ({"method": "coral", "active_learning": TASK}, "t uncertainty_margin"),
        ({"method": "coreset", "active_learning": TASK}, "t uncertainty_margin"),
        ({"active_learning": TASK}, "t uncertainty_margin"),
        ({"active_learning": {**TASK, "score_name": "uncertainty_entropy"}}, "t uncertainty_entropy"),
        ({"active_learning": TASK, "scorer": "objectness-least-confidence"}, "t objectness_least_confidence"),
        ({"active_learning": {**TASK, "score_name": "a"}, "scorer": "object-frequency"}, "t a"),
        ({"active_learning": TASK, "scorer": ""}, "t uncertainty_margin"),
        ({"method": "coral", "pretagging": True}, "lightly_pretagging object_frequency"),
        ({"method": "coral", "embeddings": ".lightly/embeddings/a.csv", "scorer": ""}, "al_score"),
    ],
)
def test_the_legacy_form_with_a_score_is_the_coreset_weighted_by_it(worker, score):
    spec = make_spec({**worker, "stopping_condition": {"n_samples": 7, "min_distance": 0.3}})
    assert told(make_goal(spec).resolve(50)) == ("strategies", 7, 0.3, 1, WHOLE, f"WEIGHTS on SCORES {score}")
    assert make_goal(spec).rankings[0].strategy.stopping_condition_minimum_distance == 0.3


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"n_samples": 4, "strategies": [strategy("DIVERSITY")]}, ("coreset", 4, 0.0, 1, WHOLE)),
        ({"n_samples": 1, "strategies": [strategy("DIVERSITY")]}, ("coreset", 1, 0.0, 1, WHOLE)),
        ({"proportion_samples": 1.0, "strategies": [strategy("DIVERSITY")]}, ("coreset", 50, 0.0, 1, WHOLE)),
        (
            {"n_samples": -1, "strategies": [strategy("DIVERSITY", stopping_condition_minimum_distance=0.3)]},
            ("coreset", None, 0.3, 1, WHOLE),
        ),
        ({"proportion_samples": 0.5, "strategies": [strategy("WEIGHTS", random_seed=9)]}, ("random", 25, 0.0, 9)),
        (
            {"n_samples": 4, "strategies": [strategy("DIVERSITY"), strategy("WEIGHTS"), strategy("WEIGHTS")]},
            ("strategies", 4, 0.0, 1, WHOLE, "WEIGHTS on RANDOM", "WEIGHTS on RANDOM #2"),
        ),
        ({"n_samples": 4, "strategies": [strategy("DIVERSITY", strength=-1)]}, ("strategies", 4, 0.0, 1, WHOLE)),
    ],
)
def test_the_strategies_form_says_the_same(selection, expected):
    assert told(make_goal(make_spec(selection=selection)).resolve(50)) == expected


def make_catalog(duplicate_of, corrupt=()):
    n = len(duplicate_of)
    return Catalog(
        names=[f"{row}.jpg" for row in range(n)],
        sha256=np.zeros((n, 32), np.uint8),
        sizes_bytes=np.ones(n, np.int64),
        widths_px=np.ones(n, np.int32),
        heights_px=np.ones(n, np.int32),
        duplicate_of=np.array(duplicate_of, dtype=np.int64),
        corrupt=dict.fromkeys(corrupt, "empty"),
    )


def choose(catalog, embeddings, spec):
    """Select where nothing but the embeddings is looked at."""
    return choose_images(catalog, embeddings, spec, GatheredSources(len(catalog.names)))


LINE = np.array([[0, 1], [1, 1], [2, 1], [9, 1]], dtype=np.float32)
RAW = {"normalize_embeddings": False, "stopping_condition": {"n_samples": 2}}


def test_each_removed_image_knows_its_nearest_selected_one():
    selection = choose(make_catalog([0, 1, 2, 3]), LINE, make_spec(RAW))
    assert selection.selected.tolist() == [0, 3]
    assert selection.removed.tolist() == [1, 2]
    assert selection.nearest_selected.tolist() == [0, 0]
    assert selection.nearest_distance.tolist() == [1, 2]


def test_exact_copies_do_not_take_part_unless_told_to():
    catalog = make_catalog([0, 0, 2, 3])
    assert choose(catalog, LINE, make_spec(RAW)).candidates.tolist() == [0, 2, 3]
    spec = make_spec(RAW | {"remove_exact_duplicates": False})
    assert choose(catalog, LINE, spec).candidates.tolist() == [0, 1, 2, 3]


def test_a_share_counts_from_all_images_corrupt_and_duplicate_ones_included():
    spec = make_spec({"stopping_condition": {"n_samples": 0.5}})
    selection = choose(make_catalog([0, 0, 2, 3], corrupt=["a", "b"]), LINE, spec)
    assert len(selection.selected) == 3


@pytest.mark.parametrize(
    ("stopping", "reason"),
    [
        ({"n_samples": 2}, "n_samples"),
        ({"n_samples": 4, "min_distance": 1.9}, "min_distance"),
        ({"min_distance": 0}, "all candidates selected"),
        ({"n_samples": 40}, "all candidates selected"),
    ],
)
def test_the_end_of_the_selection_has_its_reason(stopping, reason):
    assert choose(make_catalog([0, 1, 2, 3]), LINE, make_spec({"stopping_condition": stopping})).stopped_by == reason


def select_by(n_samples, *strategies):
    spec = make_spec({"normalize_embeddings": False}, {"n_samples": n_samples, "strategies": list(strategies)})
    return choose(make_catalog([0, 1, 2, 3]), LINE, spec)


def test_typicality_takes_the_middle_of_the_crowd_and_turned_round_the_outlier():
    assert select_by(1, strategy("TYPICALITY", num_nearest_neighbors=2)).selected.tolist() == [1]
    assert select_by(1, strategy("TYPICALITY", num_nearest_neighbors=2, strength=-1)).selected.tolist() == [3]


def test_strategies_are_combined_and_their_stopping_conditions_end_the_selection():
    far = strategy("DIVERSITY", stopping_condition_minimum_distance=1.5)
    selection = select_by(-1, far, strategy("WEIGHTS", random_seed=3))
    assert (selection.method, selection.stopped_by) == ("strategies", "min_distance")
    assert np.isnan(selection.radii).all()
    assert select_by(2, far, strategy("WEIGHTS")).stopped_by == "n_samples"
    assert select_by(9, strategy("DIVERSITY"), strategy("WEIGHTS")).stopped_by == "all candidates selected"
    assert select_by(4, strategy("WEIGHTS", stopping_condition_max_sum=0.1)).stopped_by == "max_sum"


def test_nothing_readable_is_an_error_that_says_so():
    with pytest.raises(UnusableData, match="no readable image"):
        choose(make_catalog([]), np.zeros((0, 2), np.float32), make_spec(RAW))


def test_normalised_rows_have_unit_length_and_keep_their_direction():
    rows = normalize_rows(np.array([[3, 4], [0, 0], [1e-10, 0]], dtype=np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [1, 0]], atol=1e-6)

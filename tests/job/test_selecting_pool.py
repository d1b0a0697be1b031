"""Choosing beside images that earlier runs selected: as if one run had gone on."""

import dataclasses

import numpy as np
import pytest
from choosing import choose_images
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_api import parse_manifest
from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.selection.gathered_sources import GatheredSources


def make_spec(worker=None, selection=None):
    folders = {"input": "/data/in", "lightly": "/data/out"}
    spec = {
        "datasources": {key: {"type": "LOCAL", "resourcePath": path} for key, path in folders.items()},
        "workerConfig": {"normalize_embeddings": False, **(worker or {})},
        "selectionConfig": selection,
    }
    names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
    return parse_manifest({**names, "spec": spec}).spec


def make_catalog(n, n_pool=0, duplicate_of=None):
    ones = np.ones(n, np.int32)
    first = np.arange(n) if duplicate_of is None else np.array(duplicate_of)
    names = [f"{row:04}.jpg" for row in range(n)]
    return Catalog(names, np.zeros((n, 32), np.uint8), np.ones(n, np.int64), ones, ones, first, {}, n_pool=n_pool)


def make_sources(rng, n):
    """Numbers, words and classes for n images."""
    return {
        "m": MetadataColumn("m", numbers=rng.random(n)),
        "w": MetadataColumn("w", labels=rng.choice(["day", "night", "dusk"], n).tolist()),
        "t": rng.integers(0, 2, n).astype(np.int32),
    }


def gather(values, rows):
    """Sources of these rows."""
    task = TaskPredictions(
        "t", "classification", (Category(0, "a"), Category(1, "b")), np.ones(len(rows), bool), np.arange(len(rows)),
        values["t"][rows], np.ones(len(rows), np.float32),
    )  # fmt: skip
    columns = {
        "m": MetadataColumn("m", numbers=values["m"].numbers[rows]),
        "w": MetadataColumn("w", labels=[values["w"].labels[row] for row in rows]),
    }
    return GatheredSources(len(rows), tasks={"t": task}, columns=columns)


def entry(kind, what=None, **fields):
    return {"input": what or {"type": "EMBEDDINGS"}, "strategy": {"type": kind, **fields}}


DIVERSE = entry("DIVERSITY")
HEAVY = entry("WEIGHTS", {"type": "METADATA", "key": "m"})
EVEN = entry("BALANCE", {"type": "PREDICTIONS", "task": "t", "name": "CLASS_DISTRIBUTION"}, distribution="UNIFORM")
BY_LIGHT = entry("BALANCE", {"type": "METADATA", "key": "w"}, distribution="UNIFORM")
MIXES = {
    "coreset": [DIVERSE],
    "weights": [HEAVY],
    "diversity and weights": [DIVERSE, HEAVY],
    "diversity, weights and two balances": [DIVERSE, HEAVY, EVEN, BY_LIGHT],
    "turned round": [entry("DIVERSITY", strength=-1), HEAVY],
}


@pytest.mark.parametrize("mix", MIXES)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(12, 300), seed=st.integers(0, 99))
def test_two_runs_one_after_the_other_pick_what_one_run_picks(mix, n, seed):
    rng = np.random.default_rng(seed)
    vectors, values = rng.normal(size=(n, 3)).astype(np.float32), make_sources(rng, n)
    k, first = n // 3, n // 7

    def choose(rows, n_pool, n_samples):
        spec = make_spec(selection={"n_samples": n_samples, "strategies": MIXES[mix]})
        selection = choose_images(make_catalog(len(rows), n_pool), vectors[rows], spec, gather(values, rows))
        return rows[selection.selected], selection

    whole, _ = choose(np.arange(n), 0, k)
    before = whole[:first]
    rest = np.setdiff1d(np.arange(n), before)
    after, selection = choose(np.concatenate([rest, np.sort(before)]), len(before), k - first)
    assert after.tolist() == whole[first:].tolist()
    assert selection.candidates.tolist() == list(range(len(rest)))
    assert selection.preselected.tolist() == list(range(len(rest), n))
    for record in selection.rankings:
        assert record.values is None or len(record.values) == len(rest)
        assert record.shares is None or len(record.shares) == len(rest)


@pytest.mark.parametrize(
    ("selection", "is_reached"),
    [
        ({"n_samples": 9, "strategies": [{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}]}, True),
        ({"n_samples": 56, "strategies": [entry("DIVERSITY", stopping_condition_minimum_distance=1.2)]}, False),
        ({"n_samples": 9, "strategies": [entry("WEIGHTS", {"type": "RANDOM"})]}, None),
        ({"n_samples": 9, "strategies": [entry("DIVERSITY"), entry("WEIGHTS", {"type": "RANDOM"})]}, None),
    ],
    ids=["n_samples", "min_distance", "random", "mix"],
)
def test_the_cut_off_is_the_distance_that_no_removed_image_exceeds(selection, is_reached):
    vectors = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    catalog = make_catalog(60, 4)
    chosen = choose_images(catalog, vectors, make_spec({}, selection), GatheredSources(60, catalog.names))
    if is_reached is None:
        assert np.isnan(chosen.cut_off)
        return
    assert 0 < len(chosen.removed) < 56
    assert (chosen.nearest_distance <= chosen.cut_off * (1 + 1e-6)).all()
    assert (chosen.distances[1:] >= chosen.cut_off * (1 - 1e-6)).all()
    assert (chosen.cut_off == pytest.approx(chosen.distances[-1])) == is_reached


LINE = np.array([[0.0], [1.0], [5.0], [9.0], [0.5], [8.0]], dtype=np.float32)  # the last two were selected before


def select(worker, catalog=None, selection=None, columns=None):
    catalog = make_catalog(6, 2) if catalog is None else catalog
    return choose_images(
        catalog, LINE, make_spec(worker, selection), GatheredSources(6, catalog.names, columns=columns or {})
    )


def test_distances_count_from_what_was_selected_before():
    selection = select({"stopping_condition": {"n_samples": 2}})
    assert selection.selected.tolist() == [2, 3]
    assert selection.distances.tolist() == [3.0, 1.0]
    assert selection.radii.tolist() == [1.0, 0.5]
    assert selection.removed.tolist() == [0, 1]
    assert selection.nearest_selected.tolist() == [4, 4]
    assert selection.nearest_distance.tolist() == [0.5, 0.5]
    assert "2 images that were selected before were taken into account." in selection.notes


@pytest.mark.parametrize("method", ["coreset", "random"])
def test_no_image_is_taken_that_is_nearer_than_min_distance_to_the_pool(method):
    selection = select({"method": method, "stopping_condition": {"min_distance": 0.75}})
    assert sorted(selection.selected.tolist()) == [2, 3]


def test_n_samples_and_shares_count_new_images_only():
    selection = select({"stopping_condition": {"n_samples": 0.5}})
    assert len(selection.selected) == 2
    everything = select({"stopping_condition": {"n_samples": 100}})
    assert len(everything.selected) == 4
    assert everything.stopped_by == "all candidates selected"


def test_a_threshold_does_not_concern_what_was_selected_before():
    numbers = {"m": MetadataColumn("m", numbers=np.array([1, 1, 1, 0, 0, 0], float))}
    above = entry("THRESHOLD", {"type": "METADATA", "key": "m"}, threshold=0.5, operation="BIGGER")
    selection = select({}, None, {"n_samples": 1, "strategies": [DIVERSE, above]}, numbers)
    assert selection.selected.tolist() == [2]
    assert selection.n_filtered == 1
    assert selection.nearest_selected.tolist() == [4, 4, 5]


def test_one_image_is_spoken_of_in_the_singular():
    (there,) = select({"stopping_condition": {"n_samples": 9}}, make_catalog(6, 5)).notes[1:]
    assert there == "9 images were asked for and 1 is there: it is kept."
    keep = entry("THRESHOLD", {"type": "METADATA", "key": "m"}, threshold=8, operation="BIGGER")
    columns = {"m": MetadataColumn("m", numbers=np.array([1, 2, 3, 9.0, 0, 0]))}
    notes = select({}, None, {"n_samples": 2, "strategies": [keep, DIVERSE]}, columns).notes
    assert notes[-1] == "2 images were asked for and 1 passes: it is kept."


def test_a_value_that_is_not_known_any_more_counts_as_the_mean_of_the_new_ones():
    known = {"m": MetadataColumn("m", numbers=np.array([1, 2, 3, 6, 3, 3], float))}
    lost = {"m": MetadataColumn("m", numbers=np.array([1, 2, 3, 6, np.nan, np.nan], float))}
    wanted = {"n_samples": 3, "strategies": [DIVERSE, HEAVY]}
    expected = select({}, None, wanted, known)
    assert select({}, None, wanted, lost).selected.tolist() == expected.selected.tolist()
    missing = {"m": MetadataColumn("m", numbers=np.array([1, 2, np.nan, 6, 3, 3], float))}
    with pytest.raises(UnusableData, match=r"1 image has no value in .* \('0002\.jpg'\); WEIGHTS needs one each"):
        select({}, None, wanted, missing)


def test_a_copy_of_an_image_that_was_selected_before_is_not_taken_again():
    catalog = make_catalog(6, 2, duplicate_of=[4, 1, 5, 3, 4, 5])
    assert select({"stopping_condition": {"n_samples": 4}}, catalog).candidates.tolist() == [1, 3]
    copies = dataclasses.replace(catalog, duplicate_of=np.array([4, 4, 4, 5, 4, 5]))
    with pytest.raises(UnusableData, match="exact copy of one that was selected before"):
        select({"stopping_condition": {"n_samples": 4}}, copies)


def test_where_all_was_selected_before_the_error_says_so():
    with pytest.raises(UnusableData, match="earlier runs have selected every readable image"):
        select({"stopping_condition": {"n_samples": 4}}, make_catalog(6, 6))

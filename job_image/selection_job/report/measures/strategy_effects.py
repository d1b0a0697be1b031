"""What each strategy did: its objective for all images, for the selected ones and for a random choice of as many."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.noun import Noun
from selection_job.numeric.histograms import neighbour_distances
from selection_job.report.measures.candidates import Candidates
from selection_job.report.models.selection import ClassShare, KeptOut, StrategyEffect
from selection_job.selection.selection import PASSED, Selection, StrategyRecord

Sets = Mapping[str, NDArray[np.int64]]
"""Places among the selection's candidates, of those that pass every THRESHOLD: input, selected, random."""

Numbers = Mapping[str, float | None]
"""A number for each set; None or NaN where there is nothing to measure."""


def describe_strategies(
    selection: Selection, pool: Candidates, mean_to_nearest: Numbers, noun: Noun
) -> list[StrategyEffect]:
    """Return what each strategy did, thresholds first.

    mean_to_nearest  the mean distance to the nearest other one of the set, which DIVERSITY is measured by
    noun             what the strategies choose among
    """
    sets = {"input": pool.places, "selected": pool.places[pool.selected], "random": pool.places[pool.random]}
    by_distance = (f"mean distance to the nearest other {noun.singular}", mean_to_nearest)
    records = (*selection.thresholds, *selection.rankings)
    return [_describe(record, sets, _measure_objects(record, sets, pool.seed) or by_distance) for record in records]


def list_kept_out(selection: Selection) -> list[KeptOut]:
    """Return how many each filter kept out, in their order; without those that kept nothing out."""
    numbers = np.bincount(selection.filtered_by[selection.filtered_by != PASSED], minlength=len(selection.thresholds))
    return [
        KeptOut(cause=record.cause, name=record.name, number=number)
        for record, number in zip(selection.thresholds, numbers.tolist(), strict=True)
        if number
    ]


def _describe(record: StrategyRecord, sets: Sets, by_distance: tuple[str, Numbers]) -> StrategyEffect:
    """Describe a strategy by what it looked at; by_distance where that is no value of an image."""
    passes, values, shares, n_passing, classes = record.passes, record.values, record.shares, None, None
    measure, numbers = by_distance
    if passes is not None:
        shares_of_sets = {name: float(passes[rows].mean()) for name, rows in sets.items()}
        measure, numbers = "share that passes", {**shares_of_sets, "input": float(passes.mean())}
        n_passing = int(np.count_nonzero(passes))
    elif values is not None:
        measure, numbers = "mean value", {name: _mean(values[rows]) for name, rows in sets.items()}
    elif shares is not None:
        assert record.target is not None
        target, is_there = record.target, np.isfinite(record.target)
        of_sets = {name: _share_out(shares[rows].sum(axis=0)) for name, rows in sets.items()}
        overlaps = {name: float(np.sqrt((own * target)[is_there]).sum()) for name, own in of_sets.items()}
        measure, numbers = "overlap with the target", overlaps
        classes = _list_classes(record.classes, {"target": target, **of_sets})
    return StrategyEffect(
        name=record.name,
        type=record.kind,
        strength=record.strength,
        measure=measure,
        **numbers,
        n_passing=n_passing,
        distribution=record.distribution or None,
        classes=classes,
    )


def _measure_objects(record: StrategyRecord, sets: Sets, seed: int) -> tuple[str, Numbers] | None:
    """Return how far the objects of each set of images lie from the nearest other object of the set, on average.

    None where the strategy does not look at objects.
    """
    vectors, owners = record.object_vectors, record.object_owners
    if vectors is None or owners is None:
        return None
    distances = {
        name: _mean(neighbour_distances(vectors[np.isin(owners, rows)], seed=seed).values)
        for name, rows in sets.items()
    }
    return "mean distance to the nearest other object", distances


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that were measured; NaN where none was."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _share_out(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum()
    return counts / total if total > 0 else np.zeros_like(counts)


def _list_classes(names: tuple[str, ...], columns: Mapping[str, NDArray[np.float64]]) -> list[ClassShare]:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [
        ClassShare(name=name, **dict(zip(columns, row, strict=True))) for name, row in zip(names, rows, strict=True)
    ]

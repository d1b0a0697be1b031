"""What each strategy did: its objective for all images, for the selected ones and for a random choice of as many."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.histograms import neighbour_distances
from selection_job.report.measures.candidates import Candidates
from selection_job.report.numbers import rounded, rounded_all
from selection_job.report.wording import retell
from selection_job.selection.selection import Selection, StrategyRecord

JsonObject = dict[str, Any]
Measure = Callable[[NDArray[np.int64]], float]

_SETS = ("input", "selected", "random")


def describe_strategies(
    selection: Selection, pool: Candidates, nearest: JsonObject, noun: str = "image"
) -> list[JsonObject]:
    """Return one entry a strategy, thresholds first; a number is null where a set has nothing to measure.

    nearest  the report's distanceToNearestNeighborInSet, which DIVERSITY is measured by
    noun     what the strategies choose among
    """
    every = np.arange(len(pool.vectors))
    sets = dict(zip(_SETS, (every, pool.selected, pool.random), strict=True))
    entries = [_describe(record, sets, pool, nearest) for record in (*selection.thresholds, *selection.rankings)]
    return [{**entry, "measure": retell(entry["measure"], noun)} for entry in entries]


def _describe(
    record: StrategyRecord, sets: Mapping[str, NDArray[np.int64]], pool: Candidates, nearest: JsonObject
) -> JsonObject:
    entry: JsonObject = {"name": record.name, "type": record.kind, "strength": record.strength}
    if record.passes is not None:
        passes = record.passes
        entry |= _compare("share that passes", sets, lambda rows: float(passes[rows].mean()))
        entry["nPassing"] = int(np.count_nonzero(passes))
    elif record.shares is not None:
        entry |= _describe_balance(record, sets)
    elif record.object_vectors is not None:
        entry |= _compare("mean distance to the nearest other object", sets, _measure_objects(record, pool.seed))
    elif record.values is None:
        means = {name: nearest[name]["metrics"] for name in _SETS}
        entry["measure"] = "mean distance to the nearest other image"
        entry |= {name: None if metrics is None else metrics["mean"] for name, metrics in means.items()}
    if record.values is not None and record.passes is None:
        values = record.values
        entry |= _compare("mean value", sets, lambda rows: _mean(values[rows]))
    return entry


def _compare(measure: str, sets: Mapping[str, NDArray[np.int64]], of: Measure) -> JsonObject:
    return {"measure": measure, **{name: rounded(of(rows)) for name, rows in sets.items()}}


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that were measured; NaN where none was."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _measure_objects(record: StrategyRecord, seed: int) -> Measure:
    """Return how far the objects of a set of images lie from the nearest other object of the set, on average."""
    vectors, owners = record.object_vectors, record.object_owners
    assert vectors is not None
    assert owners is not None

    def measure(rows: NDArray[np.int64]) -> float:
        return _mean(neighbour_distances(vectors[np.isin(owners, rows)], seed=seed).values)

    return measure


def _describe_balance(record: StrategyRecord, sets: Mapping[str, NDArray[np.int64]]) -> JsonObject:
    shares, target = record.shares, record.target
    assert shares is not None
    assert target is not None
    of_sets = {name: _share_out(shares[rows].sum(axis=0)) for name, rows in sets.items()}
    overlaps = {name: rounded(float(np.sqrt(own * target).sum())) for name, own in of_sets.items()}
    columns = {"target": target, **of_sets}
    lists = [rounded_all(column.tolist()) for column in columns.values()]
    classes = [
        {"name": name, **dict(zip(columns, numbers, strict=True))}
        for name, *numbers in zip(record.classes, *lists, strict=True)
    ]
    return {"measure": "overlap with the target", **overlaps, "classes": classes}


def _share_out(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = counts.sum()
    return counts / total if total > 0 else np.zeros_like(counts)

"""THRESHOLD: which items may be chosen at all."""

import numpy as np
from numpy.typing import NDArray

from selection_job.errors import UnusableData
from selection_job.manifest.goal import NamedStrategy
from selection_job.manifest.query import make_query
from selection_job.numeric.greedy.objectives import is_within
from selection_job.selection.measures import read_values
from selection_job.selection.query_values import explain_nothing, find_best
from selection_job.selection.selection import PASSED, Cause, StrategyRecord
from selection_job.selection.sources import Sources


def apply_thresholds(
    entries: tuple[NamedStrategy, ...], sources: Sources, candidates: NDArray[np.int64]
) -> tuple[tuple[StrategyRecord, ...], NDArray[np.int64]]:
    """Compare every candidate with every threshold. An item without a value (NaN) passes none.

    candidates  (m,) rows of the items
    returns     what each threshold saw; (m,) the first threshold that an item fails, PASSED where it fails none
    Raises UnusableData where no item passes all.
    """
    records = tuple(_compare(entry, sources, candidates) for entry in entries)
    filtered_by = np.full(len(candidates), PASSED, dtype=np.int64)
    for i in reversed(range(len(records))):
        passes = records[i].passes
        assert passes is not None
        filtered_by[~passes] = i
    if records and not (filtered_by == PASSED).any():
        raise UnusableData(_say_why_none(entries, records, sources, candidates))
    return records, filtered_by


def _compare(entry: NamedStrategy, sources: Sources, candidates: NDArray[np.int64]) -> StrategyRecord:
    operation, threshold = entry.strategy.operation, entry.strategy.threshold
    assert operation is not None
    assert threshold is not None
    with entry.located():
        values = read_values(entry, sources, candidates)
    passes = is_within(values, operation, threshold)
    cause = Cause.MIN_COUNTS if entry.is_min_count else Cause.THRESHOLD
    query = make_query(entry.input) if entry.input.type == "QUERIES" else None
    return StrategyRecord(entry.name, "THRESHOLD", None, values=values, passes=passes, query=query, cause=cause)


def _say_why_none(
    entries: tuple[NamedStrategy, ...],
    records: tuple[StrategyRecord, ...],
    sources: Sources,
    candidates: NDArray[np.int64],
) -> str:
    parts = []
    for entry, record in zip(entries, records, strict=True):
        values, passes = record.values, record.passes
        assert values is not None
        assert passes is not None
        if record.query is not None and not passes.any() and entry.strategy.operation in ("BIGGER", "BIGGER_EQUAL"):
            best = find_best(values)
            names = sources.name_items(candidates[best])
            return f"{entry.path}: {explain_nothing(record.query, values[best], names)}. Lower the threshold."
        known = values[np.isfinite(values)]
        span = f"values from {known.min():g} to {known.max():g}" if len(known) else "no values"
        parts.append(f"{entry.path} ({record.name}; {span}) lets {np.count_nonzero(passes):,} pass")
    together = "No image passes" if len(parts) == 1 else "No image passes all thresholds"
    return f"{together}: {'; '.join(parts)}. Change the threshold."

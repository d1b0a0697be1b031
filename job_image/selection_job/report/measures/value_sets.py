"""Values of the input beside those of the selection and of a random choice: numbers as histograms, words as counts."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.histograms import count_bins, describe
from selection_job.report.measures.candidates import Candidates
from selection_job.report.models.statistics import (
    MOST_LABELS,
    CategoricalPerSet,
    CategoricalSet,
    Evenness,
    Metrics,
    NumericPerSet,
    NumericSet,
)
from selection_job.report.numbers import rounded_all

N_BINS = 30

SETS = ("input", "selected", "random")


def rows_of_sets(pool: Candidates) -> dict[str, NDArray[np.int64]]:
    """Return the catalog's rows of what could be chosen, of what is selected, and of a random choice of as many."""
    rows = pool.catalog_rows
    return {"input": rows, "selected": rows[pool.selected], "random": rows[pool.random]}


def compare_numbers(values: Mapping[str, NDArray[np.float64]]) -> NumericPerSet:
    """Return histograms of each set's values over the same bins, with metrics. NaN stands for no value.

    values  by set: (n,) each
    """
    known = {name: numbers[np.isfinite(numbers)] for name, numbers in values.items()}
    every = np.concatenate(list(known.values()))
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    edges = np.array(rounded_all(np.linspace(low, high if high > low else low + 1.0, N_BINS + 1).tolist()))
    described = {name: describe_numbers(numbers, len(values[name]), edges) for name, numbers in known.items()}
    return NumericPerSet(bins=edges.tolist(), range=[edges[0], edges[-1]], **described)


def describe_numbers(numbers: NDArray[np.float64], n_all: int, edges: NDArray[np.float64]) -> NumericSet:
    """Return how many of the numbers lie in each bin, and their metrics.

    n_all  how many there are in all
    edges  of the bins, rounded: a number beyond them by less than that counts in the nearest
    """
    metrics = describe(numbers)
    return NumericSet(
        counts=count_bins(np.clip(numbers, edges[0], edges[-1]), edges).tolist(),
        metrics=None if metrics is None else Metrics(**metrics),
        n_measured=len(numbers),
        n_all=n_all,
    )


def compare_labels(counts: Mapping[str, Mapping[str, int]]) -> CategoricalPerSet:
    """Return how often each label comes in each set, the most frequent of the input first.

    counts  by set: label -> count
    """
    labels = sorted({label for of_set in counts.values() for label in of_set})
    ranked = sorted(labels, key=lambda label: -counts["input"].get(label, 0))
    listed = ranked[:MOST_LABELS]
    described = {name: _describe_labels(of_set, listed, len(ranked)) for name, of_set in counts.items()}
    return CategoricalPerSet(labels=listed, n_labels=len(ranked), **described)


def _describe_labels(counts: Mapping[str, int], listed: Sequence[str], n_labels: int) -> CategoricalSet:
    values = np.zeros(n_labels)
    values[: len(counts)] = list(counts.values())  # the other labels come 0 times
    shown = [counts.get(label, 0) for label in listed]
    return CategoricalSet(
        counts=shown,
        n_other=int(values.sum() - sum(shown)),
        metrics=Evenness(gini_imbalance=measure_gini(values), normalized_entropy=measure_entropy(values)),
    )


def count_labels(labels: Sequence[str]) -> dict[str, int]:
    """Return how often each label comes."""
    return dict(Counter(labels))


def measure_gini(counts: NDArray[np.float64]) -> float:
    """Return the Gini coefficient of class counts: 0 where all are equal, towards 1 where one class has everything.

    >>> measure_gini(np.array([5.0, 5.0])), measure_gini(np.array([0.0, 0.0, 0.0, 8.0]))
    (0.0, 0.75)
    """
    n, total = len(counts), counts.sum()
    if n == 0 or total <= 0:
        return 0.0
    ranks = np.arange(1, n + 1)
    return float((2 * ranks - n - 1) @ np.sort(counts) / (n * total))


def measure_entropy(counts: NDArray[np.float64]) -> float:
    """Return the entropy of class shares over its largest value: 1 where all are equal, 0 where one has everything.

    >>> measure_entropy(np.array([5.0, 5.0])), measure_entropy(np.array([0.0, 8.0]))
    (1.0, 0.0)
    """
    if len(counts) < 2 or counts.sum() <= 0:
        return 0.0
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(counts))) + 0.0

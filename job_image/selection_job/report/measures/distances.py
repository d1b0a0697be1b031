"""How far images lie apart: all of them, the selected ones, and a random choice of the same size to compare with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.histograms import (
    DistanceSample,
    bin_edges,
    count_bins,
    cover_distances,
    describe,
    neighbour_distances,
    pairwise_distances,
    query_rows,
)
from selection_job.report.measures.candidates import Candidates
from selection_job.report.numbers import rounded, rounded_all

N_BINS = 60

JsonObject = dict[str, Any]


def compare_distances(pool: Candidates) -> JsonObject:
    """Return the three distance statistics, each as histograms over the same bins with metrics for each set.

    pairwiseDistance                  between any two images of a set: input, selected, random
    distanceToNearestNeighborInSet    from each image of a set to its nearest other one: input, selected, random
    distanceToCoverInput              from each input image to the nearest one of a set: selected, random
    With a datapool there are the sets preselectedDatapool and selectedWithDatapool too, and both choices cover the
    input together with the pool.
    """
    sets = {"input": pool.vectors, "selected": pool.vectors[pool.selected], "random": pool.vectors[pool.random]}
    covering = np.concatenate([sets["random"], pool.preselected])
    if len(pool.preselected):
        sets["preselectedDatapool"] = pool.preselected
        sets["selectedWithDatapool"] = np.concatenate([pool.preselected, sets["selected"]])
    return {
        "pairwiseDistance": _compare({name: pairwise_distances(rows, seed=pool.seed) for name, rows in sets.items()}),
        "distanceToNearestNeighborInSet": _compare(
            {name: neighbour_distances(rows, seed=pool.seed) for name, rows in sets.items()}
        ),
        "distanceToCoverInput": _compare(_cover(pool, covering)),
    }


def _cover(pool: Candidates, random_vectors: NDArray[np.float32]) -> dict[str, DistanceSample]:
    """Measure both sets from the same input images: the selection knows its distances, the others are searched."""
    rows = query_rows(len(pool.vectors), len(pool.random), seed=pool.seed)
    selected = DistanceSample(pool.distance_to_selected[rows].astype(np.float64), len(pool.vectors))
    return {"selected": selected, "random": cover_distances(pool.vectors, random_vectors, rows)}


def _compare(samples: Mapping[str, DistanceSample]) -> JsonObject:
    largest = max((float(sample.values.max()) for sample in samples.values() if len(sample.values)), default=0.0)
    edges = np.array(rounded_all(bin_edges(largest, N_BINS).tolist()))  # counted by the edges that are written
    return {
        "bins": rounded_all(edges.tolist()),
        "range": [0.0, rounded(edges[-1])],
        **{name: _describe_set(sample, edges) for name, sample in samples.items()},
    }


def _describe_set(sample: DistanceSample, edges: NDArray[np.float64]) -> JsonObject:
    metrics = describe(sample.values)
    return {
        "counts": count_bins(sample.values, edges).tolist(),
        "metrics": None if metrics is None else {name: rounded(value) for name, value in metrics.items()},
        "nMeasured": len(sample.values),
        "nAll": sample.n_all,
    }

"""How far images lie apart: all of them, the selected ones, and a random choice of the same size to compare with."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.histograms import (
    DistanceSample,
    bin_edges,
    cover_distances,
    neighbour_distances,
    pairwise_distances,
    query_rows,
)
from selection_job.report.measures.candidates import Candidates
from selection_job.report.measures.value_sets import describe_numbers
from selection_job.report.models.maps import EmbeddingDistances
from selection_job.report.models.statistics import NumericPerSet
from selection_job.report.numbers import rounded_all

N_BINS = 60


def compare_distances(pool: Candidates) -> EmbeddingDistances:
    """Return the three distance statistics, each as histograms over the same bins with metrics for each set.

    The sets are input, selected and random; what covers the input are the latter two. With a datapool there are the
    sets preselected_datapool and selected_with_datapool too, and both choices cover the input together with the pool.
    """
    sets = {"input": pool.vectors, "selected": pool.vectors[pool.selected], "random": pool.vectors[pool.random]}
    covering = np.concatenate([sets["random"], pool.preselected])
    if len(pool.preselected):
        sets["preselected_datapool"] = pool.preselected
        sets["selected_with_datapool"] = np.concatenate([pool.preselected, sets["selected"]])
    return EmbeddingDistances(
        pairwise_distance=_compare({name: pairwise_distances(rows, seed=pool.seed) for name, rows in sets.items()}),
        distance_to_nearest_neighbor_in_set=_compare(
            {name: neighbour_distances(rows, seed=pool.seed) for name, rows in sets.items()}
        ),
        distance_to_cover_input=_compare(_cover(pool, covering)),
    )


def _cover(pool: Candidates, random_vectors: NDArray[np.float32]) -> dict[str, DistanceSample]:
    """Measure both sets from the same input images: the selection knows its distances, the others are searched."""
    rows = query_rows(len(pool.vectors), len(pool.random), seed=pool.seed)
    selected = DistanceSample(pool.distance_to_selected[rows].astype(np.float64), len(pool.vectors))
    return {"selected": selected, "random": cover_distances(pool.vectors, random_vectors, rows)}


def _compare(samples: Mapping[str, DistanceSample]) -> NumericPerSet:
    largest = max((float(sample.values.max()) for sample in samples.values() if len(sample.values)), default=0.0)
    edges = np.array(rounded_all(bin_edges(largest, N_BINS).tolist()))  # counted by the edges that are written
    described = {name: describe_numbers(sample.values, sample.n_all, edges) for name, sample in samples.items()}
    return NumericPerSet(bins=edges.tolist(), range=[0.0, edges[-1]], **described)

"""Level: a choice among something else than images, objects or sequences, measured as the choice of images is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.histograms import neighbour_distances
from selection_job.report.measures.candidates import Candidates, make_candidates
from selection_job.report.measures.coverage import describe_curve
from selection_job.report.measures.strategy_effects import describe_strategies
from selection_job.report.numbers import rounded
from selection_job.selection.selection import Selection

JsonObject = dict[str, Any]


def measure_level(
    vectors: NDArray[np.float32], selection: Selection, noun: str, *, normalize: bool, seed: int
) -> tuple[Candidates, JsonObject]:
    """Return the candidates, and what the report says of any choice: why it ended, radii, what each strategy did.

    vectors  (n, d) of all, which the selection's rows refer to; one copy of the candidates' is made
    noun     what was chosen
    """
    pool = make_candidates(vectors, selection, normalize=normalize, seed=seed)
    sets = {"input": np.arange(len(pool.vectors)), "selected": pool.selected, "random": pool.random}
    nearest: JsonObject = {
        name: {"metrics": {"mean": _mean_to_nearest(pool.vectors[rows], seed)}} for name, rows in sets.items()
    }
    strategies = describe_strategies(selection, pool, nearest)
    return pool, {
        "nCandidates": len(selection.candidates),
        "nFiltered": selection.n_filtered,
        "nSelected": len(selection.selected),
        "method": selection.method,
        "stoppedBy": selection.stopped_by,
        "coverRadius": rounded(float(pool.distance_to_selected.max())),
        "coverMean": rounded(float(pool.distance_to_selected.mean(dtype=np.float64))),
        "coverRadiusByPick": describe_curve(selection),
        "strategies": [{**entry, "measure": entry["measure"].replace("image", noun)} for entry in strategies],
    }


def _mean_to_nearest(vectors: NDArray[np.float32], seed: int) -> float | None:
    values = neighbour_distances(vectors, seed=seed).values
    return rounded(float(values.mean())) if len(values) else None

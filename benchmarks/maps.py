"""The report's three maps beside UMAP by its authors: python benchmarks/maps.py [n images]

Vectors of 128 numbers in 200 clusters with a falling spectrum. The search for neighbours is shared, as in a report.
CPU seconds of one thread, each after a first small map that loads what is compiled. Trustworthiness (Venna & Kaski
2001) of 300 rows: how near in truth the 15 nearest of a point on the map are; 1 where they are the nearest.
"""

import sys
import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.projections import find_neighbourhoods, fit_pca, project_pca, project_umap
from selection_job.report.measures.maps import UMAP_NEIGHBOURS
from selection_job.selection.vectors import normalize_rows

N_CLUSTERS, D, N_ASKED, N_NEAR = 200, 128, 300, 15


def main() -> None:
    """Print a row for each map."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    vectors = make_vectors(n)
    started = time.process_time()
    near = find_neighbourhoods(vectors, max(UMAP_NEIGHBOURS))
    print(f"{n} images, neighbours found in {time.process_time() - started:.1f} CPU s")
    start = project_pca(fit_pca(vectors), vectors)
    print(f"{'neighbours':12}{'CPU s':>8}{'trust':>8}{'authors CPU s':>16}{'trust':>8}")
    few = find_neighbourhoods(vectors[:50], max(UMAP_NEIGHBOURS))
    for warm in (few, near):
        for k in UMAP_NEIGHBOURS:
            rows = len(warm.indices)
            ours, seconds = timed(project_umap, warm, start[:rows], k=k, seed=1)
            theirs, their_seconds = timed(draw_theirs, vectors[:rows], warm, start[:rows], k)
            if warm is near:
                trust = [measure_trust(vectors, flat) for flat in (ours, theirs)]
                print(f"{k:<12}{seconds:8.1f}{trust[0]:8.4f}{their_seconds:16.1f}{trust[1]:8.4f}", flush=True)


def make_vectors(n: int) -> NDArray[np.float32]:
    """Return (n, D) of unit length."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, D + 1) ** -0.7
    centres = rng.normal(size=(N_CLUSTERS, D))[rng.integers(0, N_CLUSTERS, n)]
    vectors = (centres + 0.6 * rng.normal(size=(n, D))) * spectrum
    return normalize_rows(vectors.astype(np.float32))


def timed(function: Any, *arguments: Any, **options: Any) -> tuple[Any, float]:
    """Return what the function does, and its CPU seconds."""
    started = time.process_time()
    return function(*arguments, **options), time.process_time() - started


def draw_theirs(vectors: NDArray[np.float32], near: Any, start: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Draw the map by the authors' package, with the same neighbours and start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

        k = min(k, len(vectors) - 1)
        mapper = umap.UMAP(
            n_neighbors=k,
            init=start.astype(np.float32),
            random_state=1,
            n_jobs=1,
            precomputed_knn=(near.indices[:, :k].copy(), near.distances[:, :k].copy()),
            force_approximation_algorithm=True,
        )
        return np.asarray(mapper.fit_transform(vectors), dtype=np.float64)


def measure_trust(vectors: NDArray[np.float32], flat: NDArray[np.float64]) -> float:
    """Return the trustworthiness of N_ASKED rows, 0 to 1."""
    n, penalty = len(vectors), 0
    for row in np.random.default_rng(0).choice(n, min(n, N_ASKED), replace=False).tolist():
        away = np.linalg.norm(vectors - vectors[row], axis=1)
        away[row] = -1
        ranks = np.argsort(np.argsort(away))
        on_map = np.linalg.norm(flat - flat[row], axis=1)
        on_map[row] = np.inf
        penalty += int(np.maximum(ranks[np.argsort(on_map)[:N_NEAR]] - N_NEAR, 0).sum())
    return 1 - 2 * penalty / (min(n, N_ASKED) * N_NEAR * (2 * n - 3 * N_NEAR - 1))


if __name__ == "__main__":
    main()

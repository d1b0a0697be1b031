"""Neighbours, TYPICALITY and maps of wide rows: python benchmarks/dimensions.py [rows ...]

Clusters of power-law sizes with a falling spectrum and a common offset, as embeddings are, of unit length. Each figure
is of a process of its own on one thread: CPU seconds of the step, and its peak memory beside what the process holds
before. "neighbours": the nearest other row of each of 2,000. "TYPICALITY": of all rows. "map": UMAP with 15 neighbours
of at most 2,000 rows, from all dimensions and from 64 principal axes, with the trustworthiness of both maps (12
neighbours, in all dimensions).
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from numpy.typing import NDArray

from selection_job.numeric.neighbours import nearest_rows
from selection_job.numeric.projections import find_neighbourhoods, fit_pca, project_pca, project_umap
from selection_job.selection.measures import measure_typicality
from selection_job.selection.vectors import normalize_rows

DIMENSIONS = (32, 128, 384, 768, 1280)
MAPPED = QUERIES = 2000
NEIGHBOURS = 20

Vectors = NDArray[np.float32]


def main() -> None:
    """Print a row for each size."""
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
        return
    print(
        "| rows | dimensions | neighbours, CPU s | MB | TYPICALITY, CPU s | MB | map | map from 64 | trust | trust 64 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n in map(int, sys.argv[1:] or ["20000"]):
        for d in DIMENSIONS:
            steps = {step: run(step, n, d) for step in ("neighbours", "typicality", "map")}
            figures = [f"{steps[step][key]:.1f}" for step in ("neighbours", "typicality") for key in ("cpu", "mb")]
            mapped = steps["map"]
            figures += [f"{mapped[key]:.1f}" for key in ("cpu", "cpu64")] + [
                f"{mapped[key]:.3f}" for key in ("t", "t64")
            ]
            print(f"| {n:,} | {d} | {' | '.join(figures)} |", flush=True)


def run(step: str, n: int, d: int) -> dict[str, float]:
    """Measure a step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, str(n), str(d)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(step: str, n: int, d: int) -> dict[str, float]:
    """Run a step once on a little, so that what is compiled is, and then on all of the rows."""
    torch.set_num_threads(1)
    vectors = make_rows(n if step != "map" else MAPPED, d)
    if step == "map":
        return measure_maps(vectors)
    take = find_nearest if step == "neighbours" else find_typical
    take(make_rows(20_000, 32))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    take(vectors)
    cpu = time.process_time() - started
    return {"cpu": cpu, "mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024}


def make_rows(n: int, d: int) -> Vectors:
    """Return n rows of unit length."""
    rng = np.random.default_rng(0)
    spectrum = (1 + np.arange(d, dtype=np.float32)) ** -0.5
    centres = rng.standard_normal((200, d), dtype=np.float32) * spectrum
    weights = (1 + np.arange(200)) ** -0.8
    labels = rng.choice(200, n, p=weights / weights.sum())
    rows = centres[labels] + 0.4 * rng.standard_normal((n, d), dtype=np.float32) * spectrum + spectrum
    return normalize_rows(rows)


def find_nearest(vectors: Vectors) -> None:
    nearest_rows(vectors[:QUERIES], vectors[QUERIES:])


def find_typical(vectors: Vectors) -> None:
    measure_typicality(vectors, NEIGHBOURS)


def measure_maps(vectors: Vectors) -> dict[str, float]:
    """Return CPU seconds and trustworthiness of a map from all dimensions and from 64 axes."""
    from sklearn.manifold import trustworthiness

    figures: dict[str, float] = {}
    draw(vectors[:500], 64)
    for end, dimensions in (("", vectors.shape[1]), ("64", 64)):
        started = time.process_time()
        coordinates = draw(vectors, dimensions)
        figures[f"cpu{end}"] = time.process_time() - started
        figures[f"t{end}"] = float(trustworthiness(vectors, coordinates, n_neighbors=12))
    return figures


def draw(vectors: Vectors, dimensions: int) -> NDArray[np.float64]:
    """Return a map by UMAP, from so many of the principal axes where there are more."""
    start = project_pca(fit_pca(vectors), vectors)
    rows = vectors
    if dimensions < vectors.shape[1]:
        rows = project_pca(fit_pca(vectors, dimensions), vectors).astype(np.float32)
    return project_umap(find_neighbourhoods(rows, 15), start, k=15, seed=1)


if __name__ == "__main__":
    main()

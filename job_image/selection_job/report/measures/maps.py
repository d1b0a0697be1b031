"""The two-dimensional maps of the candidates: PCA of all of them, UMAP at three scales, drawn for a stated sample."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.noun import Noun
from selection_job.numeric.projections import (
    LEAST_UMAP_ROWS,
    find_neighbourhoods,
    fit_pca,
    project_pca,
    project_umap,
)
from selection_job.process.machine import count_cores
from selection_job.report.measures.candidates import Candidates
from selection_job.report.models.maps import (
    EmbeddingMap,
    ExampleImage,
    MapPoints,
    PcaMap,
    ScatterPlotData,
    UmapMap,
    UmapMaps,
)

MAP_POINTS = 20_000
UMAP_NEIGHBOURS = (5, 15, 50)
MAP_BOX = (8.2, 6.0)
"""Width and height of a map's axes in inches."""
THUMBNAIL_INCHES = 0.55
_LEAST_SELECTED_SHARE = 0.25  # of the points drawn: few selected among millions would not be seen
_MOST_EXAMPLES = 36
_MOST_DIMENSIONS = 64


@dataclass(frozen=True)
class MapSample:
    """The candidates that are drawn on the maps, and the images that earlier runs selected."""

    positions: NDArray[np.int64]  # (p,) sorted positions in the pool
    preselected: NDArray[np.int64]  # (q,) sorted rows of the pool's preselected
    is_selected: NDArray[np.bool_]  # (p,)
    choice_order: NDArray[np.int64]  # (p,) indices into positions: selected in order of choice, then removed


def make_maps(pool: Candidates, names: Sequence[str], noun: Noun) -> tuple[ScatterPlotData, float]:
    """Return the maps, and how many seconds UMAP took.

    names  of the catalog's rows
    noun   what these are
    """
    sample = sample_for_maps(pool)
    pca = fit_pca(pool.vectors)
    vectors = np.concatenate([pool.vectors[sample.positions], pool.preselected[sample.preselected]])
    coordinates = project_pca(pca, vectors)
    shown = [names[row] for row in pool.catalog_rows[sample.positions].tolist()]
    started = time.perf_counter()
    umap = _make_umaps(vectors, coordinates, sample, shown, seed=pool.seed, noun=noun)
    umap_seconds = time.perf_counter() - started
    maps = ScatterPlotData(
        sample=_describe_sample(pool, sample, shown),
        pca_embedding_data=PcaMap(
            **dict(_describe_map(coordinates, sample, shown)), explained_variance=pca.explained.tolist()
        ),
        umap_embedding_data=umap,
    )
    return maps, umap_seconds


def sample_for_maps(pool: Candidates, most: int = MAP_POINTS) -> MapSample:
    """Choose which candidates are drawn: all up to `most`, else a seeded sample, at least a quarter of it selected."""
    n, k = len(pool.vectors), len(pool.selected)
    selected, removed = pool.selected, pool.removed
    if n > most:
        n_selected = min(k, max(round(most * k / n), round(most * _LEAST_SELECTED_SHARE)))
        n_selected = max(n_selected, most - len(removed))
        rng = np.random.default_rng(pool.seed)
        selected = selected[np.sort(rng.choice(k, n_selected, replace=False))]
        removed = removed[np.sort(rng.choice(len(removed), most - n_selected, replace=False))]
    positions = np.sort(np.concatenate([selected, removed]))
    return MapSample(
        positions=positions,
        preselected=_sample_preselected(pool, max(1, most // 4)),
        is_selected=pool.is_selected[positions],
        choice_order=np.searchsorted(positions, np.concatenate([selected, removed])),
    )


def _sample_preselected(pool: Candidates, most: int) -> NDArray[np.int64]:
    n = len(pool.preselected)
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(pool.seed).choice(n, most, replace=False))


def _describe_sample(pool: Candidates, sample: MapSample, shown: list[str]) -> MapPoints:
    return MapPoints(
        filenames=shown,
        selected=sample.is_selected.astype(int).tolist(),
        n_input=len(pool.vectors),
        n_selected=len(pool.selected),
        n_input_shown=len(sample.positions),
        n_selected_shown=int(sample.is_selected.sum()),
        n_preselected_datapool=len(pool.preselected),
        n_preselected_datapool_shown=len(sample.preselected),
    )


def _make_umaps(
    vectors: NDArray[np.float32],
    start: NDArray[np.float64],
    sample: MapSample,
    shown: Sequence[str],
    *,
    seed: int,
    noun: Noun,
) -> UmapMaps:
    """Return one map for each of UMAP_NEIGHBOURS, or the reason why there is none."""
    n = len(vectors)
    if n < LEAST_UMAP_ROWS:
        reason = f"UMAP needs at least {LEAST_UMAP_ROWS} {noun.plural}, and there are {n}."
        absent = UmapMap(
            input_2d_embeddings=[], datapool_2d_embeddings=[], example_images=[], n_neighbors=None, reason=reason
        )
        return UmapMaps(**{f"k{k}": absent for k in UMAP_NEIGHBOURS})
    neighbourhoods = find_neighbourhoods(_reduce(vectors), min(max(UMAP_NEIGHBOURS), n - 1))
    with ThreadPoolExecutor(count_cores()) as threads:  # its loop holds no lock of Python's
        # the longest first
        drawn = {
            k: threads.submit(project_umap, neighbourhoods, start, k=k, seed=seed)
            for k in sorted(UMAP_NEIGHBOURS, reverse=True)
        }
    maps = {}
    for k in UMAP_NEIGHBOURS:
        points = _describe_map(drawn[k].result(), sample, shown)
        maps[f"k{k}"] = UmapMap(**dict(points), n_neighbors=min(k, n - 1), reason=None)
    return UmapMaps(**maps)


def _reduce(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return at most _MOST_DIMENSIONS numbers a row, in which neighbours are nearly the same and soon found."""
    if vectors.shape[1] <= _MOST_DIMENSIONS:
        return vectors
    reduced: NDArray[np.float32] = project_pca(fit_pca(vectors, _MOST_DIMENSIONS), vectors).astype(np.float32)
    return reduced


def _describe_map(coordinates: NDArray[np.float64], sample: MapSample, shown: Sequence[str]) -> EmbeddingMap:
    """Describe a map. coordinates: (p + q, 2), those of the datapool last."""
    n = len(sample.positions)
    examples = place_examples(coordinates, sample.choice_order)
    return EmbeddingMap(
        input_2d_embeddings=coordinates[:n].tolist(),
        datapool_2d_embeddings=coordinates[n:].tolist(),
        example_images=[
            ExampleImage(filename=shown[i], location=coordinates[i].tolist(), selected=bool(sample.is_selected[i]))
            for i in examples
        ],
    )


def place_examples(coordinates: NDArray[np.float64], order: NDArray[np.int64]) -> list[int]:
    """Choose points whose thumbnails don't cover one another, going through `order`.

    coordinates  (p, 2), drawn with map_scale in MAP_BOX
    returns      at most 36 indices into coordinates
    """
    gap = THUMBNAIL_INCHES * 1.1 * map_scale(coordinates)
    placed: list[int] = []
    for i in order.tolist():
        if len(placed) == _MOST_EXAMPLES:
            break
        distances = np.abs(coordinates[placed] - coordinates[i]).max(axis=1)
        if (distances >= gap).all():
            placed.append(i)
    return placed


def map_scale(coordinates: NDArray[np.float64]) -> float:
    """Return how many units of a map one inch shows: the same for both axes, with room for thumbnails at the edge."""
    room = np.array(MAP_BOX) - THUMBNAIL_INCHES * 1.3
    return float((np.ptp(coordinates, axis=0) / room).max()) or 1.0

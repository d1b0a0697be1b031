"""Two-dimensional maps of embeddings: PCA, exact at any size, and UMAP on what it can take."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.neighbours import find_neighbours

LEAST_UMAP_ROWS = 4
"""UMAP needs a few points before neighbourhoods mean anything."""

_BLOCK = 65536
_NOISE = 1e-4  # of the spread of the start
_EPOCHS, _EPOCHS_OF_MANY = 300, 200  # UMAP itself takes 500 up to 10,000 points and 200 beyond
_MANY = 10_000


@dataclass(frozen=True)
class Pca:
    """The two directions of largest variance."""

    mean: NDArray[np.float64]  # (d,)
    axes: NDArray[np.float64]  # (2, d) of unit length; zeros where d or the rank is too small
    explained: NDArray[np.float64]  # (2,) share of the total variance, 0..1


def fit_pca(vectors: NDArray[np.float32]) -> Pca:
    """Find the two principal axes from the covariance of all rows, in float64.

    vectors  (n, d) float32, n >= 1
    The sign of an axis is free: its entry of largest magnitude is made positive, so that two runs agree.

    O(n d^2) time in blocks, O(d^2) memory. Hotelling 1933.

    >>> pca = fit_pca(np.array([[0, 0], [2, 0], [4, 0]], dtype=np.float32))
    >>> project_pca(pca, np.array([[4, 0]], dtype=np.float32)).tolist()
    [[2.0, 0.0]]
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), _BLOCK):
        centred = vectors[start : start + _BLOCK].astype(np.float64) - mean
        covariance += centred.T @ centred
    covariance /= len(vectors)
    variances, directions = np.linalg.eigh(covariance)
    return _pca_from(mean, np.maximum(variances[::-1], 0.0), directions[:, ::-1].T)


def _pca_from(mean: NDArray[np.float64], variances: NDArray[np.float64], directions: NDArray[np.float64]) -> Pca:
    """Keep the first two directions that carry variance beyond rounding, each with its sign made definite."""
    axes, explained = np.zeros((2, len(mean))), np.zeros(2)
    total = variances.sum()
    for i in range(min(2, len(variances))):
        if variances[i] > total * 1e-12:
            axes[i] = directions[i] * np.sign(directions[i, np.abs(directions[i]).argmax()])
            explained[i] = variances[i] / total
    return Pca(mean, axes, explained)


def project_pca(pca: Pca, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (n, 2) coordinates of the rows on the two axes."""
    return (vectors.astype(np.float64) - pca.mean) @ pca.axes.T


@dataclass(frozen=True)
class Neighbourhoods:
    """The nearest rows of each row, itself first, nearest first."""

    indices: NDArray[np.int64]  # (n, k)
    distances: NDArray[np.float32]  # (n, k)


def find_neighbourhoods(vectors: NDArray[np.float32], k: int) -> Neighbourhoods:
    """Return the k nearest rows of each row, the row itself included and first. Exact, as find_neighbours.

    vectors  (n, d) float32, n >= k >= 1
    O(n k) memory besides that of find_neighbours.
    """
    n = len(vectors)
    indices, distances = np.empty((n, k), dtype=np.int64), np.zeros((n, k), dtype=np.float32)
    indices[:, 0] = np.arange(n)
    if k > 1:
        indices[:, 1:], distances[:, 1:] = find_neighbours(vectors, vectors, k - 1, exclude_same_row=True)
    return Neighbourhoods(indices, distances)


def project_umap(
    vectors: NDArray[np.float32], neighbourhoods: Neighbourhoods, start: NDArray[np.float64], *, k: int, seed: int
) -> NDArray[np.float64]:
    """Return (n, 2) UMAP coordinates; the same on one machine for the same input and seed.

    vectors         (n, d) float32, n >= LEAST_UMAP_ROWS; more than 20,000 take minutes
    neighbourhoods  of the same rows, at least min(k, n - 1) wide
    start           (n, 2) where the points begin: PCA, which keeps the global layout and is the same for each k
    k               neighbours considered; n - 1 where there are no more

    Exact neighbours are handed in, so that UMAP neither searches nor compiles its approximate search (half a minute).
    McInnes, Healy & Melville 2018; start from PCA: Kobak & Linderman 2021.
    """
    umap = _import_umap()
    k = min(k, len(vectors) - 1)
    mapper = umap.UMAP(
        n_neighbors=k,
        n_epochs=_EPOCHS if len(vectors) <= _MANY else _EPOCHS_OF_MANY,
        init=_part_points(start, seed),
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(neighbourhoods.indices[:, :k].copy(), neighbourhoods.distances[:, :k].copy()),
        force_approximation_algorithm=True,  # takes the path that uses precomputed_knn for any n
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]")  # no transform of new points is wanted
        return np.asarray(mapper.fit_transform(vectors), dtype=np.float64)


def _part_points(start: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
    """Return the start with a little noise, so that points of one place can move apart. UMAP itself sets the scale."""
    spread = start.std(axis=0)
    noise = np.random.default_rng(seed).normal(size=start.shape)
    return (start + noise * np.where(spread > 0, spread * _NOISE, 1.0)).astype(np.float32)


def _import_umap() -> Any:
    """Import UMAP when it is needed: it loads numba, which takes seconds."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        import umap
    return umap

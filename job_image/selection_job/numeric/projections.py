"""Two-dimensional maps of embeddings: PCA, exact at any size, and UMAP on what it can take."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.neighbours import find_neighbours
from selection_job.numeric.umap_layout import lay_out, make_graph

LEAST_UMAP_ROWS = 4
"""UMAP needs a few points before neighbourhoods mean anything."""

_BLOCK = 65536
_NOISE = 1e-4  # of the spread of the start
_EPOCHS, _EPOCHS_OF_MANY = 300, 100  # its authors take 500 up to 10,000 points and 200 beyond
_MANY = 10_000


@dataclass(frozen=True)
class Pca:
    """The m directions of largest variance."""

    mean: NDArray[np.float64]  # (d,)
    axes: NDArray[np.float64]  # (m, d) of unit length; zeros where d or the rank is too small
    explained: NDArray[np.float64]  # (m,) share of the total variance, 0..1


def fit_pca(vectors: NDArray[np.float32], n_axes: int = 2) -> Pca:
    """Find the principal axes from the covariance of all rows, in float64.

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
    return _pca_from(mean, np.maximum(variances[::-1], 0.0), directions[:, ::-1].T, n_axes)


def _pca_from(
    mean: NDArray[np.float64], variances: NDArray[np.float64], directions: NDArray[np.float64], n_axes: int
) -> Pca:
    """Keep the first directions that carry variance beyond rounding, each with its sign made definite."""
    axes, explained = np.zeros((n_axes, len(mean))), np.zeros(n_axes)
    total = variances.sum()
    for i in range(min(n_axes, len(variances))):
        if variances[i] > total * 1e-12:
            axes[i] = directions[i] * np.sign(directions[i, np.abs(directions[i]).argmax()])
            explained[i] = variances[i] / total
    return Pca(mean, axes, explained)


def project_pca(pca: Pca, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (n, m) coordinates of the rows on the axes."""
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
    neighbourhoods: Neighbourhoods, start: NDArray[np.float64], *, k: int, seed: int
) -> NDArray[np.float64]:
    """Return (n, 2) UMAP coordinates; the same on one machine for the same input and seed.

    neighbourhoods  of n rows, n >= LEAST_UMAP_ROWS, at least min(k, n - 1) wide; several maps are drawn from one search
    start           (n, 2) where the points begin: PCA, which keeps the global layout and is the same for each k
    k               neighbours considered, the row itself among them; n - 1 where there are no more

    One thread, 1 to 4 s for 20,000 rows. Start from PCA: Kobak & Linderman 2021.
    """
    n = len(start)
    k = min(k, n - 1)
    graph = make_graph(neighbourhoods.indices[:, 1:k], neighbourhoods.distances[:, 1:k])
    n_epochs = _EPOCHS if n <= _MANY else _EPOCHS_OF_MANY
    return lay_out(graph, _part_points(start, seed), n_epochs=n_epochs, seed=seed)


def _part_points(start: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return the start with a little noise, so that points of one place can move apart."""
    spread = start.std(axis=0)
    noise = np.random.default_rng(seed).normal(size=start.shape)
    parted: NDArray[np.float64] = start + noise * np.where(spread > 0, spread * _NOISE, 1.0)
    return parted

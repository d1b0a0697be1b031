"""Rows of arrays: those that take part, and vectors as distances are measured on them."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_BLOCK = 65536
Number = TypeVar("Number", bound=np.generic)


def normalize_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows scaled to unit length; a row of zeros stays."""
    scaled = np.empty(vectors.shape, dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        norms = np.linalg.norm(block, axis=1, keepdims=True)
        np.divide(block, np.where(norms > 0, norms, 1), out=scaled[start : start + _BLOCK])
    return scaled


def take_vectors(embeddings: NDArray[np.float32], rows: NDArray[np.int64], *, normalize: bool) -> NDArray[np.float32]:
    """Return a copy of the rows, scaled to unit length where distances are measured so; block by block."""
    vectors = np.empty((len(rows), embeddings.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = embeddings[rows[start : start + _BLOCK]]
        vectors[start : start + _BLOCK] = normalize_rows(block) if normalize else block
    return vectors


def narrow_rows(values: NDArray[Number], rows: NDArray[np.int64]) -> NDArray[Number]:
    """Return the rows of an array; the array itself, not a copy, where they are all.

    rows  sorted, each once
    """
    return values if len(rows) == len(values) else values[rows]

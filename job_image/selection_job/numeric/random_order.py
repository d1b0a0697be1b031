"""Random choice, with an optional smallest distance between any two chosen rows."""

import numpy as np
from numpy.typing import NDArray


def random_order(
    embeddings: NDArray[np.float32], n_samples: int, *, min_distance: float = 0.0, seed: int
) -> NDArray[np.int64]:
    """Choose rows in random order, leaving out each that is nearer than min_distance to one chosen before.

    embeddings    (n, d) float32
    n_samples     at most this many
    min_distance  Euclidean; 0: off
    returns       (k,) int64, in order of choice; the same for the same seed and n

    O(n) without min_distance, O(n k d) with it.
    """
    order = np.random.default_rng(seed).permutation(len(embeddings)).astype(np.int64)
    if min_distance <= 0:
        return order[:n_samples]
    chosen = np.empty((min(n_samples, len(order)), embeddings.shape[1]), dtype=np.float32)
    kept: list[int] = []
    for row in order.tolist():
        if len(kept) == len(chosen):
            break
        differences = chosen[: len(kept)] - embeddings[row]
        if not kept or np.sqrt(np.einsum("ij,ij->i", differences, differences).min()) >= min_distance:
            chosen[len(kept)] = embeddings[row]
            kept.append(row)
    return np.array(kept, dtype=np.int64)

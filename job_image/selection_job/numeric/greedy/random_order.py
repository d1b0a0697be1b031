"""Random choice, with an optional smallest distance between any two chosen rows."""

import numpy as np
from numpy.typing import NDArray


def random_order(
    embeddings: NDArray[np.float32],
    n_samples: int,
    *,
    min_distance: float = 0.0,
    seed: int,
    preselected: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """Choose rows in random order, leaving out each that is nearer than min_distance to one chosen before.

    embeddings    (n, d) float32
    n_samples     at most this many
    min_distance  Euclidean; 0: off
    preselected   (p, d) float32, other rows that were chosen before: no row is taken that is nearer to one of them
    returns       (k,) int64, in order of choice; the same for the same seed and n

    O(n) without min_distance, O(n (k + p) d) with it.
    """
    order = np.random.default_rng(seed).permutation(len(embeddings)).astype(np.int64)
    if min_distance <= 0:
        return order[:n_samples]
    n_before = 0 if preselected is None else len(preselected)
    chosen = np.empty((n_before + min(n_samples, len(order)), embeddings.shape[1]), dtype=np.float32)
    if preselected is not None:
        chosen[:n_before] = preselected
    kept: list[int] = []
    for row in order.tolist():
        n_chosen = n_before + len(kept)
        if n_chosen == len(chosen):
            break
        differences = chosen[:n_chosen] - embeddings[row]
        if not n_chosen or np.sqrt(np.einsum("ij,ij->i", differences, differences).min()) >= min_distance:
            chosen[n_chosen] = embeddings[row]
            kept.append(row)
    return np.array(kept, dtype=np.int64)

"""Farthest-first by tensors, in blocks of rows: for a GPU, and for rows that memory can't hold."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

POOL = 1024
"""Rows that are compared with each other at once, so that one pass over all rows serves many picks."""

_PAIRS = 2**24  # distances at a time: 64 MiB


def traverse_in_blocks(
    rows: NDArray[np.float32], n_samples: int, chosen: NDArray[np.int64], min_distance: float, *, device: str = "cpu"
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Choose from checked arguments; results as of traverse, the same up to rows that float32 can't tell apart.

    rows    (n, d) float32, also mapped from a file: read block by block for each batch of picks
    device  of torch, where the distances are computed

    O(n k d) time, by differences; 12 bytes for each row and some 200 MiB. The rows at the largest distances form a
    pool; the greedy runs inside it while its largest distance lies above that of all rows left out.
    """
    distances = torch.full((len(rows),), torch.inf, device=device)  # -1 marks a chosen row
    picks, taken_at = np.empty(n_samples, dtype=np.int64), np.full(n_samples + 1, np.inf, dtype=np.float32)
    new, n_done = chosen, 0
    if not len(chosen):
        picks[0], n_done = 0, 1
        new = picks[:1]
    while True:
        _lower(rows, new, distances)
        largest = float(distances.max())
        if n_done == n_samples or largest < min_distance:
            break
        if largest == 0:  # copies, in the order of the rows
            picks[n_done:] = torch.nonzero(distances == 0)[: n_samples - n_done, 0].cpu().numpy()
            taken_at[n_done:] = 0
            return picks, taken_at
        new, at = _pick_from_pool(rows, distances, n_samples - n_done, min_distance)
        picks[n_done : n_done + len(new)], taken_at[n_done : n_done + len(new)] = new, at
        n_done += len(new)
    taken_at[n_done] = max(largest, 0.0)
    return picks[:n_done], taken_at[: n_done + 1]


def _lower(rows: NDArray[np.float32], new: NDArray[np.int64], distances: torch.Tensor) -> None:
    """Lower all distances by those to the rows `new`, and mark these as chosen."""
    for batch in np.array_split(new, -(-len(new) // POOL)):
        centres = torch.from_numpy(np.array(rows[batch])).to(distances.device)
        for here, block in _list_blocks(rows, len(batch), distances.device):
            nearest = _measure(block, centres).amin(dim=1)
            distances[here] = torch.minimum(distances[here], nearest)
    distances[torch.from_numpy(new.copy()).to(distances.device)] = -1.0


def _list_blocks(
    rows: NDArray[np.float32], n_centres: int, device: torch.device
) -> Iterator[tuple[slice, torch.Tensor]]:
    step = max(_PAIRS // max(n_centres, rows.shape[1], 1), 1)
    for start in range(0, len(rows), step):
        here = slice(start, min(start + step, len(rows)))
        yield here, torch.from_numpy(np.array(rows[here])).to(device)


def _measure(rows: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Return distances by differences: products lose near-duplicates to cancellation."""
    return torch.cdist(rows, centres, compute_mode="donot_use_mm_for_euclid_dist")


def _pick_from_pool(
    rows: NDArray[np.float32], distances: torch.Tensor, n_wanted: int, min_distance: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the next picks and the distances at which they are taken; at least one."""
    values, found = distances.topk(min(POOL + 1, len(distances)))
    floor = float(values[-1]) if len(distances) > POOL else 0.0
    is_above = values > floor
    if not is_above.any():  # more rows are equal than a pool holds
        return torch.nonzero(distances == floor)[:1, 0].cpu().numpy(), np.array([floor], dtype=np.float32)
    ids, order = found[is_above].sort()
    nearest = values[is_above][order].cpu().numpy()
    pool = torch.from_numpy(np.array(rows[ids.cpu().numpy()])).to(distances.device)
    between = _measure(pool, pool).cpu().numpy()
    picks: list[int] = []
    taken_at: list[np.float32] = []
    while len(picks) < n_wanted:
        best = int(nearest.argmax())  # the first of equals, which are ordered by row
        if nearest[best] <= floor or nearest[best] < min_distance:
            break
        picks.append(best)
        taken_at.append(nearest[best])
        np.minimum(nearest, between[best], out=nearest)
        nearest[best] = -1.0
    return ids.cpu().numpy()[picks], np.array(taken_at, dtype=np.float32)

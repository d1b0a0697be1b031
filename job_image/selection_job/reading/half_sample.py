"""HalfSample: the halves of some pictures that differ, chosen while all are read, in bounded memory.

Which pictures is decided by the hash of their content, lowest first, and so by nothing else that a user or a machine
can change. Near-copies count once: among the frames of one scene no encoder could tell whose half is whose.
"""

import heapq
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.images.halves import Halves

MOST = 250
"""Pictures whose halves are embedded: 2% of the time of embedding 25,000."""
LEAST_MOST = 50
"""As many also of a small input, as far as it has them."""

_TRIED = 2  # times as many pictures are cut, so that near-copies leave enough
_NEAR = 0.25
_FAINT = 2.0


class HalfSample:
    """Takes pictures in their order. Which are kept does not depend on when may_take was asked."""

    def __init__(self, n_expected: int | None = None) -> None:
        """Take what n_expected pictures allow; None: nobody knows how many come."""
        self._most = MOST if n_expected is None else allow(n_expected)
        self._descriptor, path = tempfile.mkstemp()
        Path(path).unlink()
        weakref.finalize(self, os.close, self._descriptor)
        self._shape: tuple[int, ...] = ()
        self._kept: list[tuple[int, int]] = []  # a heap of (-rank, slot)
        self._greys = np.zeros((self._most, 64), dtype=np.float32)
        self._tried: list[int] = []  # a heap of -rank
        self._bar = 1 << 64
        self._n_seen = 0

    def may_take(self, digest: bytes) -> bool:
        """Say whether halves of this picture have to be cut. May be asked from any thread, before add; errs to True.

        digest  of its content, 8 bytes at least
        """
        return _rank(digest) < self._bar

    def add(self, digest: bytes, halves: Halves | None) -> None:
        """Take the next picture; None where no halves were cut."""
        self._n_seen += 1
        rank = _rank(digest)
        if halves is None or rank >= self._bar:
            return
        self._tried = _push(self._tried, -rank, _TRIED * self._most)
        if not self._has_like(halves.greys):
            self._keep(rank, halves)
        # the bar only falls, so that what a worker left out at an earlier bar is left out at this one too
        if len(self._tried) == _TRIED * self._most:
            self._bar = min(self._bar, -self._tried[0])
        if len(self._kept) == self._most:
            self._bar = min(self._bar, -self._kept[0][0])

    def _has_like(self, greys: NDArray[np.float32]) -> bool:
        return bool(are_near_copies(greys, self._greys[: len(self._kept)]).any())

    def _keep(self, rank: int, halves: Halves) -> None:
        slot = len(self._kept)
        if slot < self._most:
            heapq.heappush(self._kept, (-rank, slot))
        else:
            slot = self._kept[0][1]
            heapq.heapreplace(self._kept, (-rank, slot))
        self._shape = halves.pixels.shape
        self._greys[slot] = halves.greys
        os.pwrite(self._descriptor, halves.pixels.tobytes(), slot * halves.pixels.nbytes)

    def __len__(self) -> int:
        """Return how many pictures' halves are embedded: those of the lowest hashes."""
        return min(len(self._kept), allow(self._n_seen))

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield (b, s, s, 3) pixels, b at most `size`: each picture's left half and then its right one."""
        n_bytes = int(np.prod(self._shape))
        slots = [slot for _, slot in sorted(self._kept, reverse=True)][: len(self)]
        per_batch = max(1, size // 2)
        for start in range(0, len(slots), per_batch):
            read = [os.pread(self._descriptor, n_bytes, slot * n_bytes) for slot in slots[start : start + per_batch]]
            yield np.frombuffer(b"".join(read), dtype=np.uint8).reshape(-1, *self._shape[1:]).copy()


def allow(n_pictures: int) -> int:
    """Return how many pictures' halves an input of so many allows: one in a hundred, within LEAST_MOST and MOST."""
    return min(MOST, max(LEAST_MOST, n_pictures // 100))


def are_near_copies(greys: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which of (m, 64) pictures look from afar like this one (64,), whatever their brightness and contrast.

    The distance of what is left of the greys without their mean, in units of their own spread.
    """
    plain, plain_others = greys - greys.mean(), others - others.mean(axis=1, keepdims=True)
    spread = np.maximum(np.maximum(plain.std(), plain_others.std(axis=1)), _FAINT)
    difference = np.sqrt(((plain_others - plain) ** 2).mean(axis=1))
    near: NDArray[np.bool_] = difference <= np.maximum(_NEAR * spread, _FAINT)
    return near


def _rank(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")


def _push(heap: list[int], item: int, most: int) -> list[int]:
    if len(heap) < most:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)
    return heap

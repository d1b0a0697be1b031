"""Distances of all rows to the nearest chosen one, each kept up to date: what a choice without bounds goes by."""

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled
from selection_job.numeric.greedy.lazy_greedy import GROUP, lower_tiles
from selection_job.numeric.trees.ball_tree import LANES
from selection_job.numeric.trees.lazy_tree import CHUNK
from selection_job.numeric.trees.vectors import PAIRS, add_squares, find_below, lower_to


class TiledRows:
    """Rows laid out for the kernels, with their squared distances.

    rows  (m, d) float32, finite, of a magnitude whose squares float32 can hold
    """

    def __init__(self, rows: NDArray[np.float32]) -> None:
        m, self._d = rows.shape
        room = -(-max(m, 1) // GROUP) * GROUP
        padded = np.zeros((room, self._d), dtype=np.float32)
        padded[:m] = rows
        self._tiles = np.ascontiguousarray(padded.reshape(-1, LANES, self._d).transpose(0, 2, 1)).reshape(-1)
        self._all = np.full(room, -1, dtype=np.float32)
        self._all[:m] = np.inf
        self._rows = np.ascontiguousarray(rows).reshape(-1).view()
        self._rows.flags.writeable = False
        self._sums = np.zeros(GROUP, dtype=np.float32)
        self.nearest = self._all[:m]
        """(m,) squared distance to the nearest vector of another owner chosen; infinite where none is."""

    def lower(self, own: NDArray[np.int64]) -> None:
        """Choose the rows `own`, which are no neighbours of each other. O(m d) for each four of them."""
        kept = self.nearest[own]
        self.nearest[own] = -1
        begins = own * self._d
        if len(own) == 1:
            lower_tiles(self._tiles, self._all, len(self._all), self._rows, begins[0], self._d, self._sums)
        elif len(own):
            lower_tiles_by_rows(self._tiles, self._all, self._rows, begins, self._d, self._sums)
        self.nearest[own] = kept


@compiled
def lower_tiles_by_rows(
    tiles: NDArray[np.float32], distances: NDArray[np.float32], rows: NDArray[np.float32], begins: NDArray[np.int64],
    d: int, sums: NDArray[np.float32],
) -> None:  # fmt: skip
    """Lower the squared distances of all points of some tiles by those to several rows, four at a time."""
    for limit in range(0, len(distances), LANES):
        tile = limit * d
        for first in range(0, len(begins), PAIRS):
            last = len(begins) - 1
            r0, r1 = begins[first], begins[min(first + 1, last)]
            r2, r3 = begins[min(first + 2, last)], begins[min(first + 3, last)]
            for i in range(GROUP):
                sums[i] = 0
            found = 0
            for begin in range(0, d, CHUNK):
                end = min(begin + CHUNK, d)
                add_squares(tiles, tile, tile, tile, tile, rows, r0, r1, r2, r3, begin, end, sums)
                found = find_below(sums, distances, limit, limit, limit, limit)
                if found == 0:
                    break
            if found != 0:
                lower_to(sums, distances, limit, limit, limit, limit)

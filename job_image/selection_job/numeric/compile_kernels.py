"""Compile every kernel into a folder, for an image to ship: python -m selection_job.numeric.compile_kernels FOLDER

With the name of a group after the folder, only that group's kernels: compile_helpers.py starts such processes.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from selection_job.numeric.trees.search import Search


def compile_kernels() -> None:
    """Run every kernel once on a few rows; those that are there already are loaded."""
    from selection_job.numeric.greedy.lazy_greedy import traverse
    from selection_job.numeric.greedy.lazy_mix import LazyMix
    from selection_job.numeric.greedy.objectives import Balance, Diversity, Strategy, Weights, uniform_target
    from selection_job.numeric.greedy.tiled_rows import TiledRows
    from selection_job.numeric.trees.neighbour_tree import find_nearest

    rows = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    traverse(rows, 50, np.arange(2), 0.0)
    find_nearest(rows, rows, 2, is_self=True)
    distances = TiledRows(rows)
    distances.lower(np.arange(1))
    distances.lower(np.arange(2))
    for vectors in (rows, np.ones((600, 3), dtype=np.float32)):  # equal rows take a way of their own
        mix: list[Strategy] = [Diversity(vectors), Weights(np.ones(600)), Balance(np.ones((600, 2)), uniform_target(2))]
        choice = LazyMix(600, mix, np.ones(600, dtype=bool), 4)
        choice.preselect(np.arange(2))
        choice.choose(2)
    _compile_tables()
    _compile_maps()


def _compile_tables() -> None:
    from selection_job.numeric.csv_lines import format_rows
    from selection_job.numeric.csv_rows import NAME, TEXT, parse_rows

    line = np.frombuffer(b"a,1,0\n", dtype=np.uint8)  # read-only, as files come
    numbers, scratch, written = np.ones((1, 1), dtype=np.float32), np.empty(9, np.uint8), np.empty(40, np.uint8)
    places, starts, slow = (np.empty(shape, dtype=np.int64) for shape in ((1, 3), (1,), (4, 4)))
    parse_rows(line, np.array([NAME, 0, TEXT]), numbers, places, starts, slow)
    format_rows(numbers, line, np.array([1]), np.array([0]), line, np.array([0]), scratch, written)


def _compile_maps() -> None:
    from selection_job.numeric.projections import find_neighbourhoods, project_umap

    rows = np.random.default_rng(0).normal(size=(8, 2))
    project_umap(find_neighbourhoods(rows.astype(np.float32), 4), rows, k=4, seed=0)


def _compile_refresh() -> None:
    """Compile what looks through the tree, by types alone: nothing else is needed for it."""
    from selection_job.numeric.trees.lazy_tree import refresh

    search, _ = _lay_out_few()
    _compile_for(refresh, search, np.empty(0, dtype=np.int32), 0.0, True, True)


def _compile_pool() -> None:
    """Compile what collects the rows that may come next in a mix, by types alone."""
    from selection_job.numeric.greedy.lazy_mix import lay_out_scores, make_pool, make_room
    from selection_job.numeric.greedy.mix_search import fill
    from selection_job.numeric.greedy.objectives import Diversity

    search, rows = _lay_out_few()
    scores = lay_out_scores([Diversity(rows)], search.tree, np.ones(len(rows), dtype=bool), 1.0)
    _compile_for(fill, search, scores, make_room(1, search.d), make_pool(search, scores), 0.0)


def _lay_out_few() -> "tuple[Search, NDArray[np.float32]]":
    """Return a search over one leaf, made without a kernel, and its rows."""
    from selection_job.numeric.trees.ball_tree import LANES, BallTree
    from selection_job.numeric.trees.search import lay_out

    rows = np.zeros((LANES, 1), dtype=np.float32)
    rows.flags.writeable = False
    ids, numbers = np.arange(LANES, dtype=np.int32), np.zeros(LANES, dtype=np.float32)
    return lay_out(BallTree(ids, np.array([0, 1]), numbers, numbers[:1]), rows), rows


def _compile_for(kernel: Any, *arguments: object) -> None:
    kernel.compile(tuple(numba.typeof(argument) for argument in arguments))


GROUPS = {"refresh": _compile_refresh, "pool": _compile_pool}
"""Groups that take a helper about as long as whoever starts it has to compile before it needs them."""


def main() -> None:
    """Compile into the folder that the first argument names: all, or the group that the second names."""
    os.environ["NUMBA_CACHE_DIR"] = sys.argv[1]
    GROUPS[sys.argv[2]]() if len(sys.argv) > 2 else compile_kernels()


if __name__ == "__main__":
    main()

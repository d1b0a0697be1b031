"""Compile every kernel into a folder, for an image to ship: python -m selection_job.numeric.warming FOLDER"""

import os
import sys

import numpy as np


def compile_kernels() -> None:
    """Run every kernel once on a few rows; those that are there already are loaded."""
    from selection_job.numeric.lazy_greedy import traverse
    from selection_job.numeric.lazy_mix import LazyMix
    from selection_job.numeric.neighbour_tree import find_nearest
    from selection_job.numeric.objectives import Balance, Diversity, Strategy, Weights, uniform_target
    from selection_job.numeric.tiled_rows import TiledRows

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


def _compile_tables() -> None:
    from selection_job.numeric.csv_lines import format_rows
    from selection_job.numeric.csv_rows import NAME, TEXT, parse_rows

    line = np.frombuffer(b"a,1,0\n", dtype=np.uint8)  # read-only, as files come
    numbers, scratch, written = np.ones((1, 1), dtype=np.float32), np.empty(9, np.uint8), np.empty(40, np.uint8)
    places, starts, slow = (np.empty(shape, dtype=np.int64) for shape in ((1, 3), (1,), (4, 4)))
    parse_rows(line, np.array([NAME, 0, TEXT]), numbers, places, starts, slow)
    format_rows(numbers, line, np.array([1]), line, np.array([0]), scratch, written)


def main() -> None:
    """Compile into the folder that the first argument names."""
    os.environ["NUMBA_CACHE_DIR"] = sys.argv[1]
    compile_kernels()


if __name__ == "__main__":
    main()

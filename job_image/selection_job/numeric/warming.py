"""Compile every kernel into a folder, for an image to ship: python -m selection_job.numeric.warming FOLDER"""

import os
import sys

import numpy as np


def compile_kernels() -> None:
    """Run every kernel once on a few rows; those that are there already are loaded."""
    from selection_job.numeric.lazy_greedy import traverse
    from selection_job.numeric.lazy_mix import LazyMix
    from selection_job.numeric.objectives import Balance, Diversity, Strategy, Weights, uniform_target

    rows = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    traverse(rows, 50, np.arange(2), 0.0)
    mix: list[Strategy] = [Diversity(rows), Weights(np.ones(600)), Balance(np.ones((600, 2)), uniform_target(2))]
    choice = LazyMix(600, mix, np.ones(600, dtype=bool), 2)
    choice.add(choice.find_best())
    choice.add(choice.find_best())


def main() -> None:
    """Compile into the folder that the first argument names."""
    os.environ["NUMBA_CACHE_DIR"] = sys.argv[1]
    compile_kernels()


if __name__ == "__main__":
    main()

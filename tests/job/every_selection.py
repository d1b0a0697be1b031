"""A program that selects, and draws a map, in every way that kernels are made for; tests watch what it compiles."""

import numpy as np

from selection_job.numeric.farthest_first import farthest_first
from selection_job.numeric.greedy.objectives import Balance, Diversity, Weights
from selection_job.numeric.neighbours import find_neighbours, nearest_rows
from selection_job.numeric.projections import find_neighbourhoods, project_umap
from selection_job.numeric.strategies import select

rng = np.random.default_rng(0)
n = 8000
rows = rng.normal(size=(n, 70)).astype(np.float32)
farthest_first(rows, 300, preselected=np.arange(700))
nearest_rows(rows[:4000], rows[4000:])
find_neighbours(rows, rows, 5, exclude_same_row=True)
classes = np.eye(3)[rng.integers(0, 3, n)]
mix = [Diversity(rows), Weights(rng.random(n)), Weights(rng.random(n)), Balance(classes, np.ones(3) / 3)]
select(n, mix, 300, preselected=np.arange(30))
select(n, [Diversity(np.zeros((n, 2), np.float32)), Balance(classes, np.ones(3) / 3)], 20)
select(n, [Diversity(rows), Diversity(rows[:, :3].copy())], 20)
select(n, [Diversity(rows, owners=rng.integers(0, n, n)), Weights(rng.random(n))], 20)
few = find_neighbourhoods(rows[:60], 50)
project_umap(few, rows[:60, :2].astype(np.float64), k=15, seed=1)

"""Random choice: seeded, without repetition, and with its smallest distance."""

import numpy as np

from selection_job.numeric.greedy.random_order import random_order

ROWS = np.random.default_rng(0).random((200, 2)).astype(np.float32)


def test_the_seed_decides_the_choice():
    assert random_order(ROWS, 20, seed=7).tolist() == random_order(ROWS, 20, seed=7).tolist()
    assert random_order(ROWS, 20, seed=7).tolist() != random_order(ROWS, 20, seed=8).tolist()


def test_no_row_is_chosen_twice_and_all_are_there_when_asked_for_more():
    assert sorted(random_order(ROWS, 500, seed=1).tolist()) == list(range(200))


def test_no_two_chosen_rows_are_nearer_than_min_distance_and_no_other_row_would_fit():
    chosen = random_order(ROWS, 200, min_distance=0.15, seed=3)
    distances = np.linalg.norm(ROWS[chosen][:, None] - ROWS[chosen][None], axis=2) + np.eye(len(chosen))
    to_chosen = np.linalg.norm(ROWS[:, None] - ROWS[chosen][None], axis=2).min(axis=1)
    assert distances.min() >= 0.15
    assert to_chosen.max() < 0.15


def test_each_row_is_chosen_about_equally_often():
    counts = np.zeros(10)
    for seed in range(2000):
        counts[random_order(ROWS[:10], 3, seed=seed)] += 1
    assert abs(counts / 2000 - 0.3).max() < 0.05

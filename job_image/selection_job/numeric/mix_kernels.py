"""Searching the best row of a mix of strategies among the leaves of a ball tree: the kernels of lazy_mix."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.ball_tree import LANES
from selection_job.numeric.compiling import compiled
from selection_job.numeric.lazy_tree import Search, find_near
from selection_job.numeric.vectors import PAIRS, lower_to


class Scores(NamedTuple):
    """What a row's score is made of, lane by lane of the leaves."""

    is_open: NDArray[np.bool_]  # (lanes,)
    values: NDArray[np.float64]  # (weights, lanes) raised to 0 or more
    best_values: NDArray[np.float64]  # (weights, nodes of the two lowest levels) best for the strategy's sign
    strengths: NDArray[np.float64]  # (weights,)
    least: NDArray[np.float64]  # (weights,) least objective
    sums: NDArray[np.float64]  # (weights,) of the chosen
    kinds: NDArray[np.int32]  # (balances, lanes) which row of the table
    tables: NDArray[np.float64]  # (balances, kinds) strength * log(objective) with a row of that kind
    largest: NDArray[np.float64]  # (weights,)
    slopes: NDArray[np.float64]  # a plane above all scores: its height, slopes by distance and weights; best balance
    trail: NDArray[np.int64]  # lanes that were the best of a search for a while
    turn: NDArray[np.int64]  # (1,) where the trail goes on
    seen: NDArray[np.int64]  # (leaves,) how many of the chosen each has been compared with


@compiled
def find_best(
    search: Search, scores: Scores, n_chosen: int, strength: float, among: float, least: float
) -> int:  # fmt: skip
    """Return the open row with the largest score, the lowest of equals, or -1."""
    n_leaves = search.tree.first[1]
    best, best_score = _recall(search, scores, n_chosen, strength, among, least)
    _set_slopes(search, scores, strength, among, least, best)
    for group in range(0, n_leaves, LANES):
        last = min(group + LANES, n_leaves)
        peak = 0.0
        for leaf in range(group, last):
            peak = max(peak, np.float64(search.peak[leaf]))
        if _bound(scores, n_leaves + group // LANES, peak) < best_score:
            continue
        for leaf in range(group, last):
            if _bound(scores, leaf, np.float64(search.peak[leaf])) < best_score:
                continue
            if _may_hold(search, scores, leaf, best_score):
                catch_up(search, scores, leaf, n_chosen)
                best, best_score = _search_leaf(search, scores, leaf, strength, among, least, best, best_score)
    return int(search.tree.ids[best]) if best >= 0 else -1


@compiled
def catch_up(search: Search, scores: Scores, leaf: int, n_chosen: int) -> None:
    """Compare a leaf with the rows chosen since it was last looked at."""
    first, limit = scores.seen[leaf], leaf * LANES
    if first == n_chosen:
        return
    for position in range(first, n_chosen, PAIRS):
        if find_near(search, leaf, position, min(PAIRS, n_chosen - position)) != 0:
            lower_to(search.sums, search.limits, limit, limit, limit, limit)
    peak = np.float32(0.0)
    for lane in range(limit, limit + LANES):
        if scores.is_open[lane]:
            peak = max(peak, search.limits[lane])
    search.peak[leaf] = peak
    scores.seen[leaf] = n_chosen


@compiled
def _recall(
    search: Search, scores: Scores, n_chosen: int, strength: float, among: float, least: float
) -> tuple[int, float]:
    """Return the best lane of those that were good before: a high bar from the start spares most of the search."""
    best, best_score = -1, -np.inf
    for i in range(len(scores.trail)):
        lane = scores.trail[i]
        if scores.is_open[lane]:
            catch_up(search, scores, lane // LANES, n_chosen)
            score = _score(search, scores, lane, strength, among, least)
            ids = search.tree.ids
            if score > best_score or (score == best_score and ids[lane] < ids[best]):
                best, best_score = lane, score
    return best, best_score


@compiled
def _set_slopes(search: Search, scores: Scores, strength: float, among: float, least: float, near: int) -> None:
    """Set a plane above all scores: tangents of positive strengths at a good lane, chords of negative ones."""
    slopes, peak = scores.slopes, max(np.float64(search.peak[len(search.peak) - 1]), 0.0)
    slopes[0] = slopes[1] = 0.0
    if among < np.inf:
        peak = min(peak, np.float64(3e38))
        at = np.float64(search.limits[near]) if near >= 0 else peak
        _add_line(slopes, 1, strength, among, 0.0, peak, at, least)
    for j in range(len(scores.strengths)):
        at = scores.values[j, near] if near >= 0 else scores.largest[j]
        _add_line(slopes, 2 + j, scores.strengths[j], scores.sums[j], 0.0, scores.largest[j], at, scores.least[j])
    slopes[len(slopes) - 1] = 0.0
    for j in range(len(scores.tables)):
        slopes[len(slopes) - 1] += scores.tables[j].max()


@compiled
def _add_line(
    slopes: NDArray[np.float64], which: int, strength: float, base: float, low: float, high: float, at: float,
    least: float,
) -> None:  # fmt: skip
    """Set slopes[which], and add to slopes[0], so that the line lies above strength * log(base + x), x in low..high."""
    if strength >= 0:
        worth = max(base + at, least)
        slope = strength / worth
        slopes[0] += strength * np.log(worth) - slope * (worth - base)
        # Where the objective is cut off at its least value the tangent may lie below it: none there has more.
        slopes[0] += max(0.0, strength * np.log(least) - (strength * np.log(worth) - slope * (worth - base)))
    else:
        first = strength * np.log(max(base + low, least))
        last = strength * np.log(max(base + high, least))
        slope = (last - first) / (high - low) if high > low else 0.0
        slopes[0] += first - slope * low
    slopes[which] = slope


@compiled
def _bound(scores: Scores, node: int, peak: float) -> float:
    """Return a bound on the scores below a node; a little raised, to cover rounding."""
    slopes = scores.slopes
    above = slopes[0] + (slopes[1] * max(peak, 0.0) if slopes[1] > 0 else 0.0) + slopes[len(slopes) - 1]
    for j in range(len(scores.strengths)):
        above += slopes[2 + j] * scores.best_values[j, node]
    return float(above + 1e-10 * (1 + abs(above)))


@compiled
def _may_hold(search: Search, scores: Scores, leaf: int, best_score: float) -> bool:
    """Whether a lane's bound reaches the best score; distances may be out of date."""
    slope = max(scores.slopes[1], 0.0)
    for lane in range(leaf * LANES, leaf * LANES + LANES):
        if scores.is_open[lane]:
            above = _bound_lane(scores, lane)
            if slope > 0:  # a distance may be infinite, and 0 times that is NaN
                above += slope * np.float64(search.limits[lane])
            if above + 1e-10 * (1 + abs(above)) >= best_score:
                return True
    return False


@compiled
def _bound_lane(scores: Scores, lane: int) -> float:
    above = scores.slopes[0]
    for j in range(len(scores.strengths)):
        above += scores.slopes[2 + j] * scores.values[j, lane]
    for j in range(len(scores.tables)):
        above += scores.tables[j, scores.kinds[j, lane]]
    return float(above)


@compiled
def _search_leaf(
    search: Search, scores: Scores, leaf: int, strength: float, among: float, least: float, best: int, best_score: float
) -> tuple[int, float]:
    for lane in range(leaf * LANES, leaf * LANES + LANES):
        if not scores.is_open[lane]:
            continue
        above = _bound_lane(scores, lane)
        if scores.slopes[1] != 0:
            above += scores.slopes[1] * np.float64(search.limits[lane])
        if above + 1e-10 * (1 + abs(above)) < best_score:
            continue
        score = _score(search, scores, lane, strength, among, least)
        ids = search.tree.ids
        if score > best_score or (score == best_score and (best < 0 or ids[lane] < ids[best])):
            best, best_score = lane, score
            _remember(scores, lane)
    return best, best_score


@compiled
def _remember(scores: Scores, lane: int) -> None:
    scores.turn[0] = (scores.turn[0] + 1) % len(scores.trail)
    scores.trail[scores.turn[0]] = lane


@compiled
def _score(search: Search, scores: Scores, lane: int, strength: float, among: float, least: float) -> float:
    score = 0.0
    if among < np.inf:
        score += strength * np.log(max(among + np.float64(search.limits[lane]), least))
    for j in range(len(scores.strengths)):
        worth = scores.sums[j] + scores.values[j, lane]
        score += scores.strengths[j] * np.log(max(worth, scores.least[j]))
    for j in range(len(scores.tables)):
        score += scores.tables[j, scores.kinds[j, lane]]
    return score

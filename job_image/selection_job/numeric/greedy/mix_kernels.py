"""What rows are worth to a mix of strategies, and bounds on it: the arithmetic of lazy_mix.

A row is worth a sum of logarithms of its squared distance x and its values v, and a number of its kind (the classes of
a balance). Both logarithms lie below a plane that touches them where the best row was found last, so that all rows of
a node lie below the plane at the node's largest x and best v, whatever their exact values are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled, inner
from selection_job.numeric.greedy.lazy_greedy import GROUP
from selection_job.numeric.trees.ball_tree import LANES
from selection_job.numeric.trees.lazy_tree import CHUNK
from selection_job.numeric.trees.search import Search
from selection_job.numeric.trees.vectors import add_squares, find_below, lower_to

AMONG, N_CHOSEN, STRENGTH, LEAST, PEAK = 0, 1, 2, 3, 4  # entries of `distance_state`


class Scores(NamedTuple):
    """What a row's score is made of; lanes are those of the leaves. Values are raised to 0 or more."""

    is_open: NDArray[np.bool_]  # (lanes,)
    values: NDArray[np.float64]  # (weights, lanes)
    kinds: NDArray[np.int32]  # (lanes,) the kind of each row: those of one kind change the balances alike
    has_kind: NDArray[np.bool_]  # (nodes, kinds) whether any row of it lies below
    best: NDArray[np.float64]  # (nodes, kinds, weights) the value that is best for the strategy's sign
    strengths: NDArray[np.float64]  # (weights,)
    least: NDArray[np.float64]  # (weights,) least objective
    largest: NDArray[np.float64]  # (weights,)
    sums: NDArray[np.float64]  # (weights,) of the chosen
    classes: NDArray[np.float64]  # (balances, kinds, classes)
    roots: NDArray[np.float64]  # (balances, classes) of the target
    balance_strengths: NDArray[np.float64]  # (balances,)
    counts: NDArray[np.float64]  # (balances, classes) of the chosen
    tables: NDArray[np.float64]  # (balances + 1, kinds) strength * log(objective with a row of that kind); their sum
    distance_state: NDArray[np.float64]  # (5,) sum over the chosen, how many, strength, least objective, largest x
    touch: NDArray[np.float64]  # (1 + weights,) x and values where the plane touches
    plane: NDArray[np.float64]  # (2 + weights,) its height at 0, slopes by x and by the values


class Chosen(NamedTuple):
    """The chosen rows, laid out like leaves."""

    order: NDArray[np.int32]  # (room,)
    tiles: NDArray[np.float32]  # (room * d,)
    nearest: NDArray[np.float32]  # (room,) squared distance to the nearest other; -1 where empty
    totals: NDArray[np.float64]  # (room / 64,) of those


@compiled
def set_tables(scores: Scores) -> None:
    """Set what a row of each kind would give to each balance.

    Only the classes that a row has change, so that rows of different classes can be equal to the bit.
    """
    last = len(scores.tables) - 1
    for kind in range(scores.tables.shape[1]):
        scores.tables[last, kind] = 0.0
    for b in range(last):
        base, total = 0.0, 0.0
        for c in range(scores.counts.shape[1]):
            base += np.sqrt(scores.counts[b, c]) * scores.roots[b, c]
            total += scores.counts[b, c]
        for kind in range(scores.tables.shape[1]):
            gain, more = 0.0, 0.0
            for c in range(scores.counts.shape[1]):
                share = scores.classes[b, kind, c]
                if share > 0:
                    gain += (np.sqrt(scores.counts[b, c] + share) - np.sqrt(scores.counts[b, c])) * scores.roots[b, c]
                    more += share
            overlap = (base + gain) / np.sqrt(total + more) if total + more > 0 else 0.0
            worth = scores.balance_strengths[b] * np.log(max(overlap, 1e-12))
            scores.tables[b, kind] = worth
            scores.tables[last, kind] += worth


@inner
def set_plane(scores: Scores) -> None:
    """Lay the plane above all scores: tangents of positive strengths, chords of negative ones, 0 for their x."""
    plane, state = scores.plane, scores.distance_state
    plane[0] = plane[1] = 0.0
    if state[N_CHOSEN] > 0 and state[STRENGTH] >= 0:
        _add_line(plane, 1, state[STRENGTH], state[AMONG], 0.0, scores.touch[0], state[LEAST])
    elif state[N_CHOSEN] > 0:  # an x that is out of date is too large, and 0 is best
        plane[0] += state[STRENGTH] * np.log(max(state[AMONG], state[LEAST]))
    for j in range(len(scores.strengths)):
        _add_line(
            plane, 2 + j, scores.strengths[j], scores.sums[j], scores.largest[j], scores.touch[1 + j], scores.least[j]
        )


@inner
def _add_line(
    plane: NDArray[np.float64], which: int, strength: float, base: float, high: float, at: float, least: float
) -> None:
    """Set plane[which], and add to plane[0], so that the line lies above strength * log(base + x), x in 0..high."""
    if strength >= 0:
        worth = max(base + at, least)
        slope = strength / worth
        height = strength * np.log(worth) - slope * (worth - base)
        # Where the objective is cut off at its least value the tangent may lie below it: none there has more.
        plane[0] += max(height, strength * np.log(least))
    else:
        first, last = strength * np.log(max(base, least)), strength * np.log(max(base + high, least))
        slope = (last - first) / high if high > 0 else 0.0
        plane[0] += first
    plane[which] = slope


@inner
def raised(above: float) -> float:
    """Return a bound that covers its own rounding."""
    return above + 1e-10 * (1 + abs(above))


@inner
def bound_node(scores: Scores, node: int, peak: float) -> float:
    """Return a bound on the scores of all rows below a node."""
    plane, table = scores.plane, scores.tables[len(scores.tables) - 1]
    best = -np.inf
    for kind in range(len(table)):
        if scores.has_kind[node, kind]:
            above = table[kind]
            for j in range(len(scores.strengths)):
                above += plane[2 + j] * scores.best[node, kind, j]
            best = max(best, above)
    above = plane[0] + best
    if plane[1] > 0:  # a distance may be infinite, and 0 times that is NaN
        above += plane[1] * max(peak, 0.0)
    return raised(above)


@inner
def bound_lane(scores: Scores, lane: int, x: float) -> float:
    """Return a bound on the score of a row whose squared distance is x or less."""
    plane = scores.plane
    above = plane[0] + scores.tables[len(scores.tables) - 1, scores.kinds[lane]]
    if plane[1] > 0:
        above += plane[1] * x
    for j in range(len(scores.strengths)):
        above += plane[2 + j] * scores.values[j, lane]
    return raised(above)


@inner
def score_lane(scores: Scores, lane: int, x: float) -> float:
    """Return the score of a row at the squared distance x."""
    score, state = 0.0, scores.distance_state
    if state[N_CHOSEN] > 0:
        score += state[STRENGTH] * np.log(max(state[AMONG] + x, state[LEAST]))
    for j in range(len(scores.strengths)):
        worth = scores.sums[j] + scores.values[j, lane]
        score += scores.strengths[j] * np.log(max(worth, scores.least[j]))
    return float(score + scores.tables[len(scores.tables) - 1, scores.kinds[lane]])


@inner
def explain_lane(scores: Scores, lane: int, x: float, parts: NDArray[np.float64]) -> None:
    """Set parts to what the row gives to the diversity, each weight and each balance."""
    state, n_weights = scores.distance_state, len(scores.strengths)
    parts[0] = state[STRENGTH] * np.log(max(state[AMONG] + x, state[LEAST])) if state[N_CHOSEN] > 0 else 0.0
    for j in range(n_weights):
        parts[1 + j] = scores.strengths[j] * np.log(max(scores.sums[j] + scores.values[j, lane], scores.least[j]))
    for b in range(len(scores.tables) - 1):
        parts[1 + n_weights + b] = scores.tables[b, scores.kinds[lane]]


@inner
def take(search: Search, scores: Scores, chosen: Chosen, lane: int, x: float) -> None:
    """Choose the row of a lane; x is its exact squared distance to the nearest chosen one."""
    d, at, row = search.d, int(scores.distance_state[N_CHOSEN]), search.tree.ids[lane]
    begin = row * np.int64(d)
    lower_chosen(search, chosen, at, begin)
    tile = at // LANES * LANES * d + at % LANES
    for f in range(d):
        chosen.tiles[tile + f * LANES] = search.rows[begin + f]
    chosen.nearest[at] = np.float32(x) if at > 0 else np.float32(np.inf)
    chosen.order[at] = row
    scores.is_open[lane] = False
    for j in range(len(scores.strengths)):
        scores.sums[j] += scores.values[j, lane]
    for b in range(len(scores.tables) - 1):
        for c in range(scores.counts.shape[1]):
            scores.counts[b, c] += scores.classes[b, scores.kinds[lane], c]
    set_tables(scores)
    set_among(scores, chosen, at + 1, at // GROUP)


@compiled
def set_among(scores: Scores, chosen: Chosen, n_chosen: int, changed: int) -> None:
    """Set the sum over the chosen once those of a group of 64 have changed."""
    scores.distance_state[N_CHOSEN] = n_chosen
    sum_group(chosen, changed)
    among = 0.0
    for group in range(-(-n_chosen // GROUP)):
        among += chosen.totals[group]
    scores.distance_state[AMONG] = among if n_chosen > 1 else 0.0


@compiled
def sum_group(chosen: Chosen, group: int) -> None:
    """Add up the squared distances of a group of chosen rows anew."""
    total = 0.0
    for i in range(group * GROUP, group * GROUP + GROUP):
        if chosen.nearest[i] > 0:
            total += np.float64(chosen.nearest[i])
    chosen.totals[group] = total


@compiled
def lower_chosen(search: Search, chosen: Chosen, n: int, row: int) -> None:
    """Lower the distances of the first n chosen rows to their nearest other by the row that begins at `row`."""
    d, sums = search.d, search.sums
    for l0 in range(0, n, GROUP):
        l1, l2, l3 = l0 + LANES, l0 + 2 * LANES, l0 + 3 * LANES
        for i in range(GROUP):
            sums[i] = 0
        found = 0
        for first in range(0, d, CHUNK):
            last = min(first + CHUNK, d)
            tiles = chosen.tiles
            add_squares(tiles, l0 * d, l1 * d, l2 * d, l3 * d, search.rows, row, row, row, row, first, last, sums)
            found = find_below(sums, chosen.nearest, l0, l1, l2, l3)
            if found == 0:
                break
        if found != 0:
            lower_to(sums, chosen.nearest, l0, l1, l2, l3)
            sum_group(chosen, l0 // GROUP)

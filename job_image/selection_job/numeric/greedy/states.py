"""What a selection under way is worth to each strategy, and what each row would add: dense, in float64."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.greedy.objectives import Balance, Diversity, Strategy, Weights
from selection_job.numeric.scaling import find_largest

TINY = 1e-12
"""The least objective, relative to what is usual in it: a product must not be 0 whatever the other strategies say."""


EXACT_UP_TO = 3000
"""Vectors up to which distances are taken in float64 by numpy; beyond, in float32 by compiled kernels."""


class State(Protocol):
    """A strategy over a selection that grows."""

    has_distance: bool

    def gain(self) -> NDArray[np.float64]:
        """Return (n,) strength * log(objective of the selection with each row)."""

    def allow(self, is_open: NDArray[np.bool_], n_left: int) -> NDArray[np.bool_]:
        """Return (n,) the rows that may come next, n_left of which are still wanted."""

    def stop_before(self, row: int) -> str:
        """Return why the selection ends before this row; empty when it does not."""

    def stop_after(self) -> str:
        """Return why the selection ends now; empty when it does not."""

    def distance_of(self, row: int) -> float:
        """Return the distance of the row to the nearest chosen one."""

    def add(self, row: int) -> None:
        """Choose the row."""


def make_state(strategy: Strategy, n: int) -> State:
    """Return the state of a strategy when nothing is chosen. Raises ValueError for arrays that don't fit n rows."""
    if isinstance(strategy, Diversity):
        return _DiversityState(strategy, n)
    if isinstance(strategy, Weights):
        return _WeightsState(strategy, n)
    return _BalanceState(strategy, n)


def check_diversity(strategy: Diversity, n: int) -> None:
    """Raise ValueError for vectors that are not finite or don't belong to n rows."""
    vectors, owners = strategy.vectors, strategy.owners
    if owners is None and len(vectors) != n:
        raise ValueError(f"a Diversity without owners needs {n} vectors, got {len(vectors)}")
    if owners is not None and (
        len(owners) != len(vectors) or (len(owners) and not 0 <= owners.min() <= owners.max() < n)
    ):
        raise ValueError(f"owners need a row in 0..{n - 1} for each of {len(vectors)} vectors")
    if not np.isfinite(find_largest(vectors)):
        raise ValueError("vectors must be finite, found NaN or infinity")


def measure_spread(vectors: NDArray[np.float32]) -> float:
    """Return the mean squared distance of the vectors from their mean: what is usual among squared distances."""
    return float(vectors.var(axis=0, dtype=np.float64).sum()) if len(vectors) else 0.0


def _weigh(strength: float, worth: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    return np.asarray(strength * np.log(np.maximum(worth, least)))


class _Unrestrained:
    """No end, no distance, every row allowed."""

    has_distance = False

    def allow(self, is_open: NDArray[np.bool_], n_left: int) -> NDArray[np.bool_]:
        return is_open

    def stop_before(self, row: int) -> str:
        return ""

    def stop_after(self) -> str:
        return ""

    def distance_of(self, row: int) -> float:
        return float("nan")


class _DiversityState(_Unrestrained):
    has_distance = True

    def __init__(self, strategy: Diversity, n: int) -> None:
        check_diversity(strategy, n)
        self._strategy, self._owners = strategy, strategy.owners
        owners = np.arange(n) if strategy.owners is None else strategy.owners
        self._sizes = np.maximum(np.bincount(owners, minlength=n), 1)
        self._by_owner = np.argsort(owners, kind="stable")  # a row's vectors begin at its first
        self._first = np.searchsorted(owners[self._by_owner], np.arange(n + 1))
        self._distances_to = make_distances(strategy.vectors)
        self._chosen: list[int] = []
        self._least = TINY * max(measure_spread(strategy.vectors), TINY)
        self._has_vectors = False  # whether any chosen row has one

    def _distances(self) -> NDArray[np.float64]:
        """Return (n,) the mean of the squared distances of each row's vectors; infinite where nothing is chosen."""
        nearest = self._distances_to.nearest
        if self._owners is None:
            return nearest.astype(np.float64)
        return np.asarray(np.bincount(self._owners, weights=nearest, minlength=len(self._sizes)) / self._sizes)

    def gain(self) -> NDArray[np.float64]:
        if not self._has_vectors:
            return np.zeros(len(self._sizes))  # the first pick: no row is farther than another
        distances = self._distances()
        distances[~np.isfinite(distances)] = 0.0  # of the only chosen row: it has no other
        worth = distances[self._chosen].sum() + distances
        return _weigh(self._strategy.strength, worth, self._least)

    def stop_before(self, row: int) -> str:
        is_near = self._has_vectors and self.distance_of(row) < self._strategy.min_distance
        return "min_distance" if is_near else ""

    def distance_of(self, row: int) -> float:
        own = self._find_own(row)
        return float(np.sqrt(self._distances_to.nearest[own].astype(np.float64).sum() / max(len(own), 1)))

    def _find_own(self, row: int) -> NDArray[np.int64]:
        return self._by_owner[self._first[row] : self._first[row + 1]]

    def add(self, row: int) -> None:
        own = self._find_own(row)
        self._distances_to.lower(own)
        self._chosen.append(row)
        self._has_vectors |= bool(len(own))


class Distances(Protocol):
    """Squared distances of vectors to the nearest of those chosen."""

    nearest: NDArray[Any]  # (m,); infinite where nothing is chosen

    def lower(self, own: NDArray[np.int64]) -> None:
        """Choose vectors, which are no neighbours of each other."""


class _ExactDistances:
    """In float64."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors.astype(np.float64)
        self.nearest: NDArray[Any] = np.full(len(vectors), np.inf)

    def lower(self, own: NDArray[np.int64]) -> None:
        for vector in self._vectors[own]:
            distances = ((self._vectors - vector) ** 2).sum(axis=1)
            distances[own] = np.inf
            np.minimum(self.nearest, distances, out=self.nearest)


def make_distances(vectors: NDArray[np.float32]) -> Distances:
    """Return float64 distances up to EXACT_UP_TO vectors, beyond it those of float32 kernels."""
    if len(vectors) <= EXACT_UP_TO or not vectors.size:
        return _ExactDistances(vectors)
    from selection_job.numeric.greedy.tiled_rows import TiledRows  # loads numba

    return TiledRows(vectors)


class _WeightsState(_Unrestrained):
    def __init__(self, strategy: Weights, n: int) -> None:
        values = np.asarray(strategy.values, dtype=np.float64)
        if values.shape != (n,) or not np.isfinite(values).all():
            raise ValueError(f"Weights need {n} finite values, got {values.shape}")
        self._strategy, self._values = strategy, values
        self._raised = values - min(values.min(initial=0.0), 0.0)
        self._least = TINY * max(self._raised.max(initial=0.0), TINY)
        self._sum = self._raised_sum = 0.0

    def gain(self) -> NDArray[np.float64]:
        return _weigh(self._strategy.strength, self._raised_sum + self._raised, self._least)

    def allow(self, is_open: NDArray[np.bool_], n_left: int) -> NDArray[np.bool_]:
        least, most = self._strategy.target_range
        allowed = is_open
        if most is not None:
            allowed = allowed & (self._sum + self._values <= most)
        if least is not None and self._sum < least and n_left <= np.count_nonzero(allowed):
            values = self._values[allowed]
            rest = len(values) - (n_left - 1)
            best = np.partition(values, rest)[rest:].sum() if n_left > 1 else 0.0
            reaching = allowed & (self._sum + self._values + best >= least)
            allowed = reaching if reaching.any() else allowed
        return allowed

    def stop_before(self, row: int) -> str:
        least = self._strategy.least_value
        return "least_value" if least is not None and self._values[row] < least else ""

    def stop_after(self) -> str:
        return "max_sum" if self._strategy.max_sum is not None and self._sum >= self._strategy.max_sum else ""

    def add(self, row: int) -> None:
        self._sum += float(self._values[row])
        self._raised_sum += float(self._raised[row])


class _BalanceState(_Unrestrained):
    def __init__(self, strategy: Balance, n: int) -> None:
        classes = np.asarray(strategy.distributions, dtype=np.float64)
        if classes.ndim != 2 or classes.shape[0] != n or not (np.isfinite(classes).all() and (classes >= 0).all()):
            raise ValueError(f"a Balance needs ({n}, classes) numbers of 0 or more, got {classes.shape}")
        target = np.asarray(strategy.target, dtype=np.float64)
        if target.shape != (classes.shape[1],) or (target < 0).any() or target.sum() > 1 + 1e-9:
            raise ValueError(f"the target needs {classes.shape[1]} shares that add up to at most 1")
        self._strength, self._roots = strategy.strength, np.sqrt(target)
        self._kinds, first = find_kinds([classes], n)
        self._classes = classes[first]
        self._totals = self._classes.sum(axis=1)
        self._counts = np.zeros(classes.shape[1])

    def gain(self) -> NDArray[np.float64]:
        counts = self._counts + self._classes
        total = self._counts.sum() + self._totals
        # By differences: what doesn't change is the same for all, so that rows of different classes can be equal.
        base = (np.sqrt(self._counts) * self._roots).sum()
        more = np.subtract(np.sqrt(counts, out=counts), np.sqrt(self._counts), out=counts) @ self._roots
        overlap = (base + more) / np.sqrt(np.where(total > 0, total, 1))
        return _weigh(self._strength, overlap, TINY)[self._kinds]

    def add(self, row: int) -> None:
        self._counts += self._classes[self._kinds[row]]


def find_kinds(tables: Sequence[NDArray[np.float64]], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tell the kinds of rows apart: those of one kind are alike in every table.

    tables   (n, c) each
    returns  the kind of each row (n,); a row of each kind (kinds,)
    """
    if not sum(table.shape[1] for table in tables):
        return np.zeros(n, dtype=np.int64), np.zeros(min(n, 1), dtype=np.int64)
    joined = np.hstack([np.asarray(table, dtype=np.float64) for table in tables])
    joined = np.ascontiguousarray(joined + 0.0)  # of -0 and 0 the bytes differ
    as_bytes = joined.view(np.dtype((np.void, joined.shape[1] * 8))).reshape(-1)
    _, first, kinds = np.unique(as_bytes, return_index=True, return_inverse=True)
    return kinds.reshape(-1).astype(np.int64), first.astype(np.int64)

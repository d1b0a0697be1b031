"""What a selection under way is worth to each strategy, and what each row would add: dense, in float64."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.objectives import Balance, Diversity, Strategy, Weights

TINY = 1e-12
"""The least objective, relative to what is usual in it: a product must not be 0 whatever the other strategies say."""


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
        if strategy.owners is None and len(strategy.vectors) != n:
            raise ValueError(f"a Diversity without owners needs {n} vectors, got {len(strategy.vectors)}")
        if not np.isfinite(strategy.vectors).all():
            raise ValueError("vectors must be finite, found NaN or infinity")
        self._strategy = strategy
        self._vectors = strategy.vectors.astype(np.float64)
        self._owners = np.arange(n) if strategy.owners is None else strategy.owners
        self._sizes = np.maximum(np.bincount(self._owners, minlength=n), 1)
        self._nearest = np.full(len(self._vectors), np.inf)  # squared, to the nearest vector of another chosen row
        self._chosen: list[int] = []
        self._has_vectors = False  # whether any chosen row has one

    def _distances(self) -> NDArray[np.float64]:
        """Return (n,) the mean of the squared distances of each row's vectors; infinite where nothing is chosen."""
        totals = np.bincount(self._owners, weights=self._nearest, minlength=len(self._sizes))
        return np.asarray(totals / self._sizes)

    def gain(self) -> NDArray[np.float64]:
        if not self._has_vectors:
            return np.zeros(len(self._sizes))  # the first pick: no row is farther than another
        distances = self._distances()
        distances[~np.isfinite(distances)] = 0.0  # of the only chosen row: it has no other
        worth = distances[self._chosen].sum() + distances
        return _weigh(self._strategy.strength, worth, TINY * max(worth.max(), TINY))

    def stop_before(self, row: int) -> str:
        is_near = self._has_vectors and self.distance_of(row) < self._strategy.min_distance
        return "min_distance" if is_near else ""

    def distance_of(self, row: int) -> float:
        return float(np.sqrt(self._distances()[row]))

    def add(self, row: int) -> None:
        is_own = self._owners == row
        for vector in self._vectors[is_own]:
            distances = ((self._vectors - vector) ** 2).sum(axis=1)
            distances[is_own] = np.inf  # a row's own vectors are no neighbours of each other
            np.minimum(self._nearest, distances, out=self._nearest)
        self._chosen.append(row)
        self._has_vectors |= bool(is_own.any())


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
            best = np.sort(self._values[allowed])[::-1][: n_left - 1].sum()
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
        self._classes, self._counts = classes, np.zeros(classes.shape[1])

    def gain(self) -> NDArray[np.float64]:
        counts = self._counts + self._classes
        total = counts.sum(axis=1)
        overlap = (np.sqrt(counts) @ self._roots) / np.sqrt(np.where(total > 0, total, 1))
        return _weigh(self._strength, overlap, TINY)

    def add(self, row: int) -> None:
        self._counts += self._classes[row]

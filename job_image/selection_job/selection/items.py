"""Items: what the engine chooses among, be they images, frames of videos, objects or sequences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.noun import Noun


@dataclass(frozen=True, eq=False)
class Items:
    """One a row: n of this run, and behind them p that earlier runs selected."""

    noun: Noun
    """What the n are called."""
    vectors: NDArray[np.float32]  # (n + p, d)
    takes_part: NDArray[np.bool_]  # (n,) whether it may be chosen; one at least may
    pool_noun: Noun
    """What the p are called."""

    @property
    def pool(self) -> NDArray[np.int64]:
        """(p,) the rows that earlier runs selected. Each decision takes them into account."""
        return np.arange(len(self.takes_part), len(self.vectors))


@dataclass(frozen=True, eq=False)
class Participants:
    """The items that take part, and which of them pass every THRESHOLD or were selected before."""

    rows: NDArray[np.int64]  # (m,) of the items, sorted; the preselected ones come last
    passing: NDArray[np.int64]  # (q,) places in rows, sorted; the preselected ones come last
    n_pool: int
    """How many are preselected."""
    vectors: NDArray[np.float32]  # (q, d) of those that pass, as distances are measured on them
    normalize: bool
    """Whether vectors are scaled to unit length."""

    @property
    def n_open(self) -> int:
        """How many may be chosen."""
        return len(self.passing) - self.n_pool

    @property
    def preselected(self) -> NDArray[np.int64]:
        """The places of the preselected ones among the passing."""
        return np.arange(self.n_open, len(self.passing))

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (m,) values of the passing ones at their places, NaN elsewhere."""
        spread = np.full(len(self.rows), np.nan)
        spread[self.passing] = values
        return spread

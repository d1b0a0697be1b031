"""Selection: which items are kept, in the order of choice, and what is known about each decision."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.query import Query

BY_OBJECTS = "objects"
"""The method of images that are kept because objects on them were chosen."""

PASSED = -1
"""In Selection.filtered_by: no THRESHOLD kept the item out."""


class Cause(StrEnum):
    """What keeps an item out before anything is chosen."""

    THRESHOLD = "THRESHOLD"
    MIN_COUNTS = "MIN_COUNTS"
    """The image has fewer objects than pretagging_config.min_counts wants."""
    NO_OBJECT = "NO_OBJECT"
    """The image has no object that could be chosen."""
    NO_SEQUENCE = "NO_SEQUENCE"
    """The frame is in no sequence that could be chosen."""


@dataclass(frozen=True, eq=False)
class StrategyRecord:
    """One strategy and what it looked at. Arrays are aligned with Selection.candidates; None where it has no such."""

    name: str
    kind: str  # DIVERSITY, WEIGHTS, THRESHOLD, BALANCE, SIMILARITY or TYPICALITY
    strength: float | None  # None for THRESHOLD
    values: NDArray[np.float64] | None = None  # (m,) of WEIGHTS, SIMILARITY, TYPICALITY, THRESHOLD; NaN: not measured
    passes: NDArray[np.bool_] | None = None  # (m,) of THRESHOLD
    shares: NDArray[np.float64] | None = None  # (m, c) of BALANCE: what each image adds to each class
    classes: tuple[str, ...] = ()  # (c,) names of the classes
    target: NDArray[np.float64] | None = None  # (c,) the aimed share of each class; NaN where no item that could be
    # chosen has any of it: the others' add up to 1
    distribution: str = ""  # INPUT, UNIFORM or TARGET of BALANCE
    object_vectors: NDArray[np.float32] | None = None  # (q, d) of DIVERSITY on the crops of a task
    object_owners: NDArray[np.int64] | None = None  # (q,) positions among the candidates
    query: Query | None = None
    """Of an input of QUERIES: what it looks for."""
    cause: Cause = Cause.THRESHOLD
    """Of THRESHOLD: what it stands for."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows are those of the items; of images and frames these are the catalog's.

    `candidates` took part; `selected` is a subset of them in the order of choice.
    """

    candidates: NDArray[np.int64]  # (m,) sorted; without exact duplicates when these are removed
    selected: NDArray[np.int64]  # (k,) in order of choice
    radii: NDArray[np.float32]  # (k,) covering radius after each pick, of the images that pass each THRESHOLD; NaN
    # for other methods than coreset
    removed: NDArray[np.int64]  # (m - k,) sorted
    nearest_selected: NDArray[np.int64]  # (m - k,) for each removed row the nearest selected or preselected row
    nearest_distance: NDArray[np.float32]  # (m - k,) and its distance
    method: str  # "coreset" | "random" | "strategies" | "objects": what was chosen are objects on the images
    stopped_by: str  # "n_samples", "all candidates selected", or the stopping condition
    distances: NDArray[np.float64]  # (k,) to the nearest selected before when taken; inf for a first, NaN: not measured
    contributions: NDArray[np.float64]  # (k, s) strength * ln(objective with the pick); (k, 0) where none were combined
    filtered_by: NDArray[np.int64]  # (m - k,) which of `thresholds` kept a removed row out, or PASSED
    rankings: tuple[StrategyRecord, ...] = ()  # all strategies but the thresholds; (s,) where contributions has columns
    thresholds: tuple[StrategyRecord, ...] = ()
    preselected: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """(p,) rows that earlier runs selected, which each decision took into account. No candidates; nearest_selected may
    be one of them."""
    sequences: NDArray[np.int64] | None = None
    """(s, L) rows of the candidates that could be chosen together only, in their order; None: each by itself. Radii are
    not known then, and distances, contributions and values are those of the frame's sequence."""
    n_asked: int | None = None
    """How many were asked for; None where stopping conditions alone end the choice, and of images that are kept because
    objects on them were chosen."""
    cut_off: float = math.nan
    """The distance to the nearest selected item that a removed one would have had to exceed, or to reach where a
    minimum distance ended the choice; NaN where it was not distance alone that decided."""
    notes: list[str] = field(default_factory=list)

    @property
    def passing(self) -> NDArray[np.int64]:
        """(q,) places among the candidates that pass every THRESHOLD, sorted: what every figure is about."""
        passes = np.ones(len(self.candidates), dtype=bool)
        passes[np.searchsorted(self.candidates, self.removed[self.filtered_by != PASSED])] = False
        return np.flatnonzero(passes)

    @property
    def n_filtered(self) -> int:
        """How many candidates no THRESHOLD let pass."""
        return int(np.count_nonzero(self.filtered_by != PASSED))

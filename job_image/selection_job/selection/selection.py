"""Selection: which images are kept, in the order of choice, and what is known about each decision."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Selection:
    """Rows refer to the catalog. `candidates` took part; `selected` is a subset of them in the order of choice."""

    candidates: NDArray[np.int64]  # (m,) sorted; without exact duplicates when these are removed
    selected: NDArray[np.int64]  # (k,) in order of choice
    radii: NDArray[np.float32]  # (k,) covering radius after each pick; NaN for other methods than coreset
    removed: NDArray[np.int64]  # (m - k,) sorted
    nearest_selected: NDArray[np.int64]  # (m - k,) for each removed row the nearest selected row
    nearest_distance: NDArray[np.float32]  # (m - k,) and its distance
    method: str  # "coreset" | "random" | "strategies"
    stopped_by: str  # "n_samples", "all candidates selected", or the stopping condition
    notes: list[str] = field(default_factory=list)

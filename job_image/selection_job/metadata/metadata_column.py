"""MetadataColumn: one value of metadata for every image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class MetadataColumn:
    """Either numbers or labels is set; both are aligned with the catalog's names."""

    key: str
    """As selectionConfig names it: weather.temperature, or lightly.sharpness for a computed one."""
    numbers: NDArray[np.float64] | None = None  # (n,) finite
    labels: list[str] | None = None  # (n,)

"""Numbers as report.json holds them: finite, and with no more digits than they carry."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rounded(value: float) -> float | None:
    """Return the value with nine significant digits, which give back every float32 exactly; None unless finite.

    >>> rounded(1 / 3), rounded(float("nan"))
    (0.333333333, None)
    """
    return float(f"{value:.9g}") if math.isfinite(value) else None


def rounded_all(values: Iterable[float]) -> list[float | None]:
    """Return each value rounded."""
    return [rounded(value) for value in values]


def points(coordinates: NDArray[np.float64]) -> list[list[float | None]]:
    """Return (n, 2) coordinates as pairs of rounded numbers."""
    return [rounded_all(pair) for pair in coordinates.tolist()]


def finite(value: Any) -> Any:
    """Return a copy of a JSON value in which each NaN and infinity is null."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

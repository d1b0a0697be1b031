"""Numbers as report.json holds them: finite, and with no more digits than they carry."""

import math
from collections.abc import Iterable
from typing import Any


def rounded(value: float | None) -> float | None:
    """Return the value with nine significant digits, which give back every float32 exactly; None unless finite.

    >>> rounded(1 / 3), rounded(float("nan")), rounded(None)
    (0.333333333, None, None)
    """
    return None if value is None or not math.isfinite(value) else float(f"{value:.9g}")


def rounded_all(values: Iterable[float]) -> list[float | None]:
    """Return each value rounded."""
    return [rounded(value) for value in values]


def finite(value: Any) -> Any:
    """Return a copy of a JSON value in which each NaN and infinity is null."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""What size of numbers and of memory rows may have: powers of two to divide by, and the room there is."""

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LARGEST, _SMALLEST = 2.0**50, 2.0**-30  # magnitudes whose squares, and those of their millionth, float32 can hold
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def find_memory() -> int:
    """Return the bytes of memory of the machine, or of the container where its limit is lower."""
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CGROUP.read_text().strip() if _CGROUP.is_file() else "max"
    return min(room, int(limit)) if limit.isdigit() else room


def find_largest(rows: NDArray[np.float32]) -> float:
    """Return the largest magnitude, without a copy of the rows; NaN where there is one."""
    return max(float(rows.max()), -float(rows.min())) if rows.size else 0.0


def find_exponent(largest: float) -> int:
    """Return the power of two by which rows have to be divided for their squares to be safe; 0 is the rule."""
    return 0 if largest == 0 or _SMALLEST <= largest <= _LARGEST else math.frexp(largest)[1]


def divide(rows: NDArray[np.float32], exponent: int) -> NDArray[np.float32]:
    """Return the rows, C-contiguous, divided by a power of two; no copy where there is nothing to do."""
    rows = np.ascontiguousarray(rows)
    return np.ldexp(rows, -exponent) if exponent else rows

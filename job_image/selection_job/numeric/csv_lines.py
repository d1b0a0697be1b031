"""Rows of float32 as lines of CSV, with nine significant digits, which give back every bit. Quoting is the caller's."""

import math

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled, inner

LONGEST_NUMBER = 15
"""Characters of the longest float32 in nine significant digits: -1.23456789e-38."""

LONGEST_LABEL = 19
"""Digits of the largest label."""

_COMMA, _NEWLINE, _POINT, _MINUS, _ZERO, _E = b",\n.-0e"
_POWERS_OF_TEN = np.array([float(f"1e{i}") for i in range(-10, 11)])
_POWERS_OF_FIVE = np.array([5**i for i in range(18)], dtype=np.uint64)
_LOG10_OF_2 = math.log10(2)


def is_plain(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where format_rows makes the text itself: zeros, and magnitudes from 1e-9 to below 1e9."""
    sizes = np.abs(values)
    plain: NDArray[np.bool_] = (sizes == 0) | ((sizes >= np.float32(1.1e-9)) & (sizes < np.float32(9e8)))
    return plain


@compiled
def format_rows(
    values: NDArray[np.float32],
    names: NDArray[np.uint8],
    name_ends: NDArray[np.int64],
    labels: NDArray[np.int64],
    others: NDArray[np.uint8],
    other_ends: NDArray[np.int64],
    digits: NDArray[np.uint8],
    text: NDArray[np.uint8],
) -> int:
    """Write lines `name,number,…,label` into text and return how many bytes they take, as Python's '%.9g' gives them.

    values      (r, d) float32
    names       the names' bytes, one after the other, as they stand in the file; name_ends (r,) where each ends
    labels      (r,), none below 0
    others      the text of the values that are not is_plain, in their order; other_ends where each ends
    digits      (9,) scratch
    text        at least len(names) + r (d (LONGEST_NUMBER + 1) + LONGEST_LABEL + 2) bytes
    """
    at, name_at, other, other_at = 0, 0, 0, 0
    for row in range(values.shape[0]):
        while name_at < name_ends[row]:
            text[at] = names[name_at]
            at += 1
            name_at += 1
        for column in range(values.shape[1]):
            text[at] = _COMMA
            at += 1
            value = values[row, column]
            size = np.float64(abs(value))
            if size == 0 or (size >= np.float32(1.1e-9) and size < np.float32(9e8)):
                at = _write_number(value, text, at, digits)
            else:
                while other_at < other_ends[other]:
                    text[at] = others[other_at]
                    at += 1
                    other_at += 1
                other += 1
        text[at] = _COMMA
        at = _write_label(labels[row], text, at + 1)
        text[at] = _NEWLINE
        at += 1
    return at


@inner
def _write_label(label: int, text: NDArray[np.uint8], at: int) -> int:
    """Write a whole number that is not below 0, and return where it ends."""
    end, rest = at + 1, label // 10
    while rest > 0:
        end, rest = end + 1, rest // 10
    for place in range(end - 1, at - 1, -1):
        text[place] = _ZERO + label % 10
        label //= 10
    return end


@inner
def _write_number(value: np.float32, text: NDArray[np.uint8], at: int, digits: NDArray[np.uint8]) -> int:
    """Write one number and return where it ends."""
    if value < 0 or (value == 0 and 1 / value < 0):
        text[at] = _MINUS
        at += 1
    if value == 0:
        text[at] = _ZERO
        return at + 1
    exponent, n_digits = _round_to_digits(np.float64(abs(value)), digits)
    if exponent < -4:
        at = _write_digits(text, at, digits, n_digits, 1)
        text[at], text[at + 1], text[at + 2], text[at + 3] = _E, _MINUS, _ZERO, _ZERO - exponent  # e-0x
        return at + 4
    if exponent < 0:
        text[at], text[at + 1] = _ZERO, _POINT
        at += 2
        for _ in range(-exponent - 1):
            text[at] = _ZERO
            at += 1
        return _write_digits(text, at, digits, n_digits, n_digits)
    return _write_digits(text, at, digits, n_digits, exponent + 1)


@inner
def _write_digits(text: NDArray[np.uint8], at: int, digits: NDArray[np.uint8], n_digits: int, n_whole: int) -> int:
    """Write the digits with a point after n_whole of them where more follow, and zeros where there are fewer."""
    for i in range(max(n_digits, n_whole)):
        if i == n_whole:
            text[at] = _POINT
            at += 1
        text[at] = _ZERO + digits[i] if i < n_digits else _ZERO
        at += 1
    return at


@inner
def _round_to_digits(size: float, digits: NDArray[np.uint8]) -> tuple[int, int]:
    """Fill in the significant digits, rounded half to even, and return the decimal exponent and how many are needed.

    size  a float32 above 1e-9 and below 1e9: m 2^e with m below 2^24, so that m 5^p fits 64 bits for p up to 17
    """
    mantissa, binary = math.frexp(size)
    exponent = math.floor((binary - 1) * _LOG10_OF_2)
    if size >= _POWERS_OF_TEN[exponent + 11]:
        exponent += 1
    power = 8 - exponent
    product = np.uint64(mantissa * 16777216.0) * _POWERS_OF_FIVE[power]
    shift = 24 - binary - power  # size 10^power = product / 2^shift
    if shift > 0:
        number = product >> np.uint64(shift)
        rest = product - (number << np.uint64(shift))
        half = np.uint64(1) << np.uint64(shift - 1)
        if rest > half or (rest == half and number & np.uint64(1)):
            number += np.uint64(1)
    else:
        number = product << np.uint64(-shift)
    if number == np.uint64(1000000000):
        number, exponent = np.uint64(100000000), exponent + 1
    n_digits = 9
    is_needed = False
    for i in range(8, -1, -1):
        digit = number % np.uint64(10)
        number //= np.uint64(10)
        digits[i] = digit
        is_needed = is_needed or digit != 0
        if not is_needed:
            n_digits = i
    return exponent, n_digits

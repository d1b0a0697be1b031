"""Lines of CSV to rows of float32, in one pass over the bytes. Decoding names and wording faults is the caller's."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selection_job.numeric.compiling import compiled, inner

TEXT = -2
"""A field that is skipped."""

NAME = -1
"""The field whose place is noted."""

AFTER_QUOTE = -1
"""Number of fields of a row that has something between a closing quote and the next comma."""

_COMMA, _QUOTE, _NEWLINE, _RETURN, _POINT, _MINUS, _PLUS, _ZERO, _E = b',"\n\r.-+0e'
_EXACT_POWERS = np.array([float(10**i) for i in range(23)])  # the powers of ten that a float64 holds exactly
_MOST_DIGITS = 19  # that fit 64 bits
_LARGEST = 3.4028235e38
_ROUNDINGS = 1e-15  # relative: more than four roundings of a float64
_NO_EXPONENT = 1_000_000


class ParsedRows(NamedTuple):
    """How far parse_rows came."""

    n_rows: int
    end: int  # first byte of the row that was not taken
    n_slow: int  # numbers that are left to the caller
    n_fields: int  # of the row that ended the work, where that is a fault: other than the columns, or AFTER_QUOTE


@compiled
def parse_rows(
    text: NDArray[np.uint8],
    columns: NDArray[np.int64],
    numbers: NDArray[np.float32],
    names: NDArray[np.int64],
    starts: NDArray[np.int64],
    slow: NDArray[np.int64],
) -> ParsedRows:
    """Read rows of CSV until text or room ends, or a row is at fault.

    text     bytes; a row counts once its newline is there
    columns  (c,) for each field of a row: TEXT, NAME, or the column of `numbers` that it goes to
    numbers  (r, m) filled in: each the float32 nearest to the float64 nearest to the text
    names    (r, 3) filled in: first byte, end, and whether the name is in quotes (2: with doubled ones inside)
    starts   (r,) filled in: first byte of each row
    slow     (s, 4) filled in: row, field, first byte and end of what is no short decimal number; s >= c

    Blank lines are skipped. Fields may be in quotes, which may hold anything; quotes elsewhere mean themselves.
    """
    at, n_rows, n_slow = 0, 0, 0
    while at < len(text) and n_rows < len(starts) and n_slow + len(columns) <= len(slow):
        n_blank = _measure_blank(text, at)
        if n_blank > 0:
            at += n_blank
            continue
        after, n_fields, n_found = _parse_row(text, at, columns, numbers, names, slow, n_rows, n_slow)
        if after < 0:
            break
        if n_fields != len(columns):
            return ParsedRows(n_rows, at, n_slow, n_fields)
        starts[n_rows] = at
        at, n_rows, n_slow = after, n_rows + 1, n_found
    return ParsedRows(n_rows, at, n_slow, len(columns))


@inner
def _measure_blank(text: NDArray[np.uint8], at: int) -> int:
    """Return how many bytes the line takes where it is blank, else 0."""
    if text[at] == _NEWLINE:
        return 1
    return 2 if text[at] == _RETURN and at + 1 < len(text) and text[at + 1] == _NEWLINE else 0


@inner
def _parse_row(
    text: NDArray[np.uint8],
    at: int,
    columns: NDArray[np.int64],
    numbers: NDArray[np.float32],
    names: NDArray[np.int64],
    slow: NDArray[np.int64],
    row: int,
    n_slow: int,
) -> tuple[int, int, int]:
    """Return where the next row begins (-1 where this one does not end in text), its number of fields, and n_slow."""
    n_fields = 0
    while True:
        first, end, quotes, after = _find_field(text, at)
        if after < 0 or quotes == AFTER_QUOTE:
            return after, AFTER_QUOTE, n_slow
        column = columns[n_fields] if n_fields < len(columns) else TEXT
        if column == NAME:
            names[row, 0], names[row, 1], names[row, 2] = first, end, quotes
        elif column >= 0:
            numbers[row, column] = _read_number(text, first, end)
            if math.isnan(numbers[row, column]):
                slow[n_slow, 0], slow[n_slow, 1], slow[n_slow, 2], slow[n_slow, 3] = row, n_fields, first, end
                n_slow += 1
        n_fields += 1
        at = after
        if text[at - 1] == _NEWLINE:
            return at, n_fields, n_slow


@inner
def _find_field(text: NDArray[np.uint8], at: int) -> tuple[int, int, int, int]:
    """Return first byte and end of the field's content, its quotes, and where the next field begins; -1 for no end.

    quotes  0 none, 1 around it, 2 doubled ones inside as well, AFTER_QUOTE where something follows the closing one
    """
    if text[at] == _QUOTE:
        end, quotes = _find_closing_quote(text, at + 1)
        after = end + 1
        if after < len(text) and text[after] == _RETURN:
            after += 1
        if after >= len(text):
            return at + 1, end, quotes, -1
        is_closed = text[after] == _NEWLINE or (text[after] == _COMMA and after == end + 1)
        return at + 1, end, quotes if is_closed else AFTER_QUOTE, after + 1
    end = at
    while end < len(text) and text[end] != _COMMA and text[end] != _NEWLINE:
        end += 1
    if end == len(text):
        return at, end, 0, -1
    has_return = text[end] == _NEWLINE and end > at and text[end - 1] == _RETURN
    return at, end - 1 if has_return else end, 0, end + 1


@inner
def _find_closing_quote(text: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return where the quote is that no other follows, or the end of text, and 2 where there were doubled ones."""
    quotes = 1
    while at < len(text):
        if text[at] == _QUOTE:
            if at + 1 == len(text) or text[at + 1] != _QUOTE:
                break
            quotes = 2
            at += 1
        at += 1
    return at, quotes


@compiled
def _read_number(text: NDArray[np.uint8], first: int, end: int) -> float:
    """Return the number, as a float32 holds it, or NaN where that takes more care than is taken here.

    A mantissa of up to 53 bits over a power of ten up to 10^22 gives the nearest float64 by one division (Clinger
    1990). Others come within a few roundings, which is enough where both ends of them lead to one float32.
    """
    at, sign = first, 1.0
    if at < end and (text[at] == _MINUS or text[at] == _PLUS):
        sign = -1.0 if text[at] == _MINUS else 1.0
        at += 1
    at, mantissa, n_digits, n_behind = _read_digits(text, at, end)
    exponent = _read_exponent(text, at, end) - n_behind
    if n_digits == 0 or n_digits > _MOST_DIGITS or exponent > _NO_EXPONENT // 2:
        return math.nan
    return sign * _scale(mantissa, exponent)


@inner
def _read_digits(text: NDArray[np.uint8], at: int, end: int) -> tuple[int, np.uint64, int, int]:
    """Return where the digits end, their number, how many count, and how many stand behind the point."""
    mantissa, n_digits, n_behind, has_point = np.uint64(0), 0, 0, False
    while at < end:
        if _ZERO <= text[at] <= _ZERO + 9:
            mantissa = mantissa * np.uint64(10) + np.uint64(text[at] - _ZERO)
            n_digits += n_digits == 0 or mantissa != 0  # leading zeros don't fill the 64 bits
            n_behind += has_point
        elif text[at] == _POINT and not has_point:
            has_point = True
        else:
            break
        at += 1
    return at, mantissa, n_digits, n_behind


@inner
def _read_exponent(text: NDArray[np.uint8], at: int, end: int) -> int:
    """Return the number after the e, 0 where the field ends here, _NO_EXPONENT where it is anything else."""
    if at == end:
        return 0
    if (text[at] | 32) != _E:  # E as well
        return _NO_EXPONENT
    at += 1
    is_signed = at < end and (text[at] == _MINUS or text[at] == _PLUS)
    sign = -1 if is_signed and text[at] == _MINUS else 1
    at += is_signed
    if at == end or end - at > 3:
        return _NO_EXPONENT
    exponent = 0
    while at < end and _ZERO <= text[at] <= _ZERO + 9:
        exponent = exponent * 10 + text[at] - _ZERO
        at += 1
    return sign * exponent if at == end else _NO_EXPONENT


@compiled
def _scale(mantissa: np.uint64, exponent: int) -> float:
    """Return mantissa 10^exponent rounded to float32, or NaN where a few roundings could matter."""
    if mantissa == 0:
        return 0.0
    if not -44 <= exponent <= 44:
        return math.nan
    value = np.float64(mantissa)
    near, far = min(abs(exponent), 22), max(abs(exponent) - 22, 0)
    if exponent < 0:
        value = value / _EXACT_POWERS[near] / _EXACT_POWERS[far]
    else:
        value = value * _EXACT_POWERS[near] * _EXACT_POWERS[far]
    if value >= _LARGEST:
        return math.nan
    if mantissa <= np.uint64(1 << 53) and far == 0:
        return float(np.float32(value))
    low, high = np.float32(value * (1 - _ROUNDINGS)), np.float32(value * (1 + _ROUNDINGS))
    return float(low) if low == high else math.nan

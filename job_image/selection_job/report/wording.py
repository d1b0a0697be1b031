"""Numbers and nouns in words, the same in every part of the report."""

from typing import Any

from selection_job.manifest.noun import FRAME, IMAGE, Noun

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def count(number: int) -> str:
    """Return a count with thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def noun_of(report: dict[str, Any]) -> Noun:
    """Return what the report is about: images, or frames of a run over videos."""
    return FRAME if "videoInformation" in report else IMAGE


def plural(number: int, noun: Noun) -> str:
    """Return a count with its noun.

    >>> plural(1, IMAGE), plural(2000, IMAGE)
    ('1 image', '2,000 images')
    """
    return f"{number:,} {noun.form(number)}"


def four_digits(value: float | None) -> str:
    """Return a number of any size by four digits, or a dash where there is none.

    >>> four_digits(0.123456), four_digits(12345.6), four_digits(None)
    ('0.1235', '1.235e+04', '–')
    """
    return "–" if value is None else f"{value:.4g}"


def share(part: float, whole: float) -> str:
    """Return a share in percent, with a digit after the point below 10%.

    >>> share(30, 300), share(1, 300), share(0, 0)
    ('10%', '0.3%', '0%')
    """
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.1f}%" if 0 < percent < 9.95 else f"{percent:.0f}%"


def duration(seconds: float | None) -> str:
    """Return a duration in the units that people say.

    >>> duration(0.42), duration(95.2), duration(7384)
    ('0.4 s', '1 min 35 s', '2 h 3 min')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def size(n_bytes: int) -> str:
    """Return a size in decimal units.

    >>> size(512), size(30_111_222)
    ('512 bytes', '30.1 MB')
    """
    value, unit = float(n_bytes), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{n_bytes:,} bytes" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def dollars(amount: float, *, whole_from: float = 10) -> str:
    """Return an amount of money: with cents below whole_from, and never as nothing when there is something.

    >>> dollars(1234.5), dollars(2.4), dollars(0.004), dollars(0)
    ('US$ 1,234', 'US$ 2.40', 'less than US$ 0.01', 'US$ 0.00')
    """
    if 0 < amount < 0.01:
        return "less than US$ 0.01"
    return f"US$ {amount:,.2f}" if amount < whole_from else f"US$ {amount:,.0f}"


_NOISE = 1e-6
"""Distances between equal vectors come out as large as this in float32."""


def measure(value: float | None, digits: int = 3) -> str:
    """Return a distance, or a dash where there is none; a small one is not rounded to nothing, noise is.

    >>> measure(0.4321), measure(None), measure(0), measure(0.0000884)
    ('0.432', '–', '0.000', '8.8e-05')
    """
    if value is None:
        return "–"
    return f"{value:.2g}" if _NOISE < abs(value) < 10**-digits else f"{value:,.{digits}f}"

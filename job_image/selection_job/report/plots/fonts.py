r"""Fonts of plots and PDF: DejaVu Sans, which matplotlib ships, and IPAex Gothic for Japanese, from matplotlib-fontja.

Both are TrueType files that come with Python packages, so that a report looks the same on every machine, offline.
What neither can draw is shown as an escape such as \u202e: a name must not vanish, show as empty boxes, or turn the
text around it. That goes for scripts that need shaping or right-to-left order too, which plain glyphs would garble.
"""

import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import matplotlib
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.ft2font import FT2Font

LATIN, LATIN_BOLD, JAPANESE = "DejaVu Sans", "DejaVu Sans Bold", "IPAexGothic"

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Mc", "Me"})
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_LARGEST_CODE = 0xFFFF  # reportlab's and matplotlib's tables differ beyond the basic plane: emoji are escaped


@cache
def font_file(font: str) -> Path:
    """Return the TrueType file of one of the three fonts."""
    if font == JAPANESE:
        package = find_spec("matplotlib_fontja")  # not imported: importing it changes matplotlib's settings
        if package is None or package.origin is None:
            raise ModuleNotFoundError("matplotlib-fontja is missing; install the [job] extra")
        return Path(package.origin).parent / "fonts" / "ipaexg.ttf"
    file = "DejaVuSans-Bold.ttf" if font == LATIN_BOLD else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file


@cache
def _coverage(font: str) -> frozenset[int]:
    return frozenset(FT2Font(str(font_file(font))).get_charmap())


def font_of(character: str) -> str | None:
    """Return the font that draws the character, or None where it must be escaped."""
    code = ord(character)
    if code > _LARGEST_CODE or unicodedata.category(character) in _UNSAFE_CATEGORIES:
        return None
    if unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
        return None
    return next((font for font in (LATIN, JAPANESE) if code in _coverage(font)), None)


def drawable(text: str) -> str:
    r"""Return the text with what can't be drawn escaped.

    It is composed (NFC) first, as file systems may store é in two parts.

    >>> drawable("日本 a\u202eb\n")
    '日本 a\\u202eb\\n'
    """
    return "".join(
        character if font_of(character) else _escape(character) for character in unicodedata.normalize("NFC", text)
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shorten(text: str, most: int) -> str:
    """Return the text with its middle left out where it is longer than `most` characters: both ends tell names apart.

    >>> shorten("a-very-long-name.jpg", 11)
    'a-ver…e.jpg'
    """
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"


def split_by_font(text: str) -> list[tuple[str, str]]:
    """Return the text in runs of one font each: (font, run). For text that drawable() made."""
    runs: list[tuple[str, str]] = []
    for character in text:
        font = font_of(character) or LATIN
        if runs and runs[-1][0] == font:
            runs[-1] = (font, runs[-1][1] + character)
        else:
            runs.append((font, character))
    return runs


def wrap_name(name: str, width: int, most_lines: int) -> str:
    r"""Return a name in at most `most_lines` lines of `width` columns, its middle left out if need be.

    Wide letters take two columns.

    >>> wrap_name("0123456789.jpg", 7, 2)
    '0123456\n789.jpg'
    """
    text = shorten(drawable(name), width * most_lines)
    if _columns(text) > width * most_lines:
        text = shorten(text, width * most_lines // 2)
    lines = [""]
    for character in text:
        if _columns(lines[-1] + character) > width:
            lines.append("")
        lines[-1] += character
    return "\n".join(lines)


def fit_line(name: str, width: int) -> str:
    """Return a name on one line of at most `width` columns, as much of both its ends as fits.

    >>> fit_line("0123456789.jpg", 9)
    '0123….jpg'
    """
    text = drawable(name)
    lengths = range(min(len(text), width), 0, -1)
    return next((short for length in lengths if _columns(short := shorten(text, length)) <= width), "…")


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" or letter in "MWmw@%" else 1 for letter in text)


def name_font(size: float, weight: str = "normal") -> FontProperties:
    """Return matplotlib's font for names: DejaVu Sans, then IPAex Gothic for what it lacks."""
    _register_japanese()
    return FontProperties(family=[LATIN, JAPANESE], size=size, weight=weight)


@cache
def _register_japanese() -> None:
    fontManager.addfont(font_file(JAPANESE))

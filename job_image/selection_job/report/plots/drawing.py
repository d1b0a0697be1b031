"""The look of all plots: colours, sizes, and how a figure becomes the same bytes each time."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray
from PIL import Image

from selection_job.report.plots.fonts import LATIN, name_font, split_by_font

DPI = 150

# Okabe & Ito 2008: told apart with any colour vision, and by lightness in print
INK = "#1f2a37"
MUTED = "#64707d"
FAINT = "#d7dce2"
INPUT = "#a9b2bc"
SELECTED = "#d55e00"
RANDOM = "#0072b2"
POOL = "#009e73"

Thumbnail = Callable[[str], bytes | None]

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # file names may hold '$'
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}


@contextmanager
def figure(path: Path, width_inches: float, height_inches: float) -> Iterator[Figure]:
    """Give an empty figure and write it to a PNG file of fixed size.

    It holds no date and no version, so equal input gives equal bytes.
    Raises OSError where the file can't be written.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever this machine's matplotlibrc says
        matplotlib.rcParams.update(_STYLE)
        drawn = Figure(figsize=(width_inches, height_inches), dpi=DPI, facecolor="white")
        FigureCanvasAgg(drawn)
        yield drawn
        drawn.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def add_axes(drawn: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes by inches from the lower left corner."""
    total_width, total_height = drawn.get_size_inches()
    return drawn.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def add_title(drawn: Figure, title: str, subtitle: str) -> None:
    """Write title and subtitle at the upper left."""
    width, height = drawn.get_size_inches()
    is_latin = all(font == LATIN for font, _ in split_by_font(title))
    font = FontProperties(family=LATIN, size=13, weight="bold") if is_latin else name_font(13)  # which has no bold
    drawn.text(0.35 / width, 1 - 0.30 / height, title, fontproperties=font, va="center")
    drawn.text(0.35 / width, 1 - 0.475 / height, subtitle, fontsize=9, color=MUTED, va="top")


def say_why_empty(drawn: Figure, sentence: str) -> None:
    """Write a sentence where the plot would be."""
    drawn.text(0.5, 0.45, sentence, ha="center", va="center", fontsize=11, color=MUTED)


def read_thumbnail(thumbnail: Thumbnail, name: str, side_px: int) -> NDArray[np.uint8] | None:
    """Return the image's thumbnail scaled to fit a square, (h, w, 3); None where it can't be read any more."""
    content = thumbnail(name)
    if content is None:
        return None
    with Image.open(io.BytesIO(content)) as image:
        rgb = image.convert("RGB")
    scale = side_px / max(rgb.size)
    size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
    return np.asarray(rgb.resize(size, Image.Resampling.LANCZOS))


def to_shares(counts: list[int]) -> NDArray[np.float64]:
    """Return counts as shares of their sum, so that sets of different sizes stand side by side."""
    return np.array(counts, dtype=np.float64) / max(sum(counts), 1)

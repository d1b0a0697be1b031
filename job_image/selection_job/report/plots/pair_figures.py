"""Decisions as pictures: a retained image beside the removed image nearest to it."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from selection_job.report.plots.drawing import (
    DPI,
    FAINT,
    INK,
    MUTED,
    SELECTED,
    Thumbnail,
    add_axes,
    figure,
    read_thumbnail,
    say_why_empty,
)
from selection_job.report.plots.fonts import name_font, wrap_name

JsonObject = dict[str, Any]

_WIDTH, _HEIGHT = 8.0, 4.6
_SIDE = 3.1  # of an image, inches


def write_decisions(folder: Path, examples: list[JsonObject], thumbnail: Thumbnail) -> None:
    """Write one filter_decision plot for each of report.json's selectedAndRemovedImageExamples."""
    for example in examples:
        with figure(folder / Path(example["plot"]).name, _WIDTH, _HEIGHT) as drawn:
            _draw(drawn, example, thumbnail)


def _draw(drawn: Figure, example: JsonObject, thumbnail: Thumbnail) -> None:
    if example["selectedImage"] is None:
        say_why_empty(drawn, "No further example: fewer were retained than examples were asked for.")
        return
    _draw_image(drawn, 0.45, example["selectedImage"], thumbnail, word="retained", color=SELECTED)
    if example["removedImage"] is None:
        drawn.text(0.72, 0.55, "Nothing was removed near it.", ha="center", va="center", fontsize=11, color=MUTED)
        return
    _draw_image(drawn, _WIDTH - 0.45 - _SIDE, example["removedImage"], thumbnail, word="removed", color=MUTED)
    drawn.text(0.5, 0.60, f"{example['distance']:.4f}", ha="center", va="center", fontsize=13, fontweight="bold")
    drawn.text(0.5, 0.54, "distance", ha="center", va="center", fontsize=9, color=MUTED)


def _draw_image(drawn: Figure, left: float, name: str, thumbnail: Thumbnail, *, word: str, color: str) -> None:
    drawn.text(left / _WIDTH, 1 - 0.32 / _HEIGHT, word, fontsize=11, fontweight="bold", color=color, va="center")
    axes = add_axes(drawn, left, 0.88, _SIDE, _SIDE)
    axes.set_axis_off()
    pixels = read_thumbnail(thumbnail, name, round(_SIDE * DPI))
    if pixels is None:
        axes.add_artist(axes.patch)
        axes.patch.set_facecolor(FAINT)
        axes.text(0.5, 0.5, "no longer readable", ha="center", va="center", color=MUTED, transform=axes.transAxes)
    else:
        axes.imshow(pixels, interpolation="nearest")
    text = wrap_name(name, 42, 3)
    drawn.text(left / _WIDTH, 0.74 / _HEIGHT, text, fontproperties=name_font(8), color=INK, va="top")

"""The coverage curve: how far the farthest image is from a selected one, against how many were selected."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from selection_job.manifest.noun import Noun
from selection_job.report.plots.drawing import INK, MUTED, RANDOM, SELECTED, add_axes, add_title, figure, say_why_empty

JsonObject = dict[str, Any]

_WIDTH, _HEIGHT = 9.0, 3.6
_FIRST = 0.9
"""Where the axis of picks begins."""
_ROOM = 0.22
"""Share of the axis behind the last pick, where the curve has ended: its label stands there."""


def write_coverage(
    folder: Path, selection: JsonObject, cover: JsonObject, *, sequences: JsonObject | None = None, noun: Noun
) -> None:
    """Write coverage.png.

    selection  the report's selectionInformation
    cover      its distanceToCoverInput, which knows the radius of a random choice
    sequences  its sequenceInformation, where these were selected: the curve is then about them
    noun       what was selected
    """
    is_exact = selection["coverage"]["isExact"] if sequences is None else bool(sequences["sequencesForRadius"])
    with figure(folder / "coverage.png", _WIDTH, _HEIGHT) as drawn:
        add_title(
            drawn,
            f"Coverage: how many {noun.plural} does a radius need?",
            f"radius: distance of the farthest {noun.singular} to its nearest selected one",
        )
        if not is_exact:
            say_why_empty(drawn, "Known for DIVERSITY on EMBEDDINGS alone (method coreset).")
            return
        axes = add_axes(drawn, 0.8, 0.6, 7.8, 2.2)
        _draw_curve(axes, (sequences or selection)["coverRadiusByPick"])
        if sequences is None:
            _draw_random(axes, selection, cover["random"])
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"{noun.plural} selected")
        axes.set_ylabel("radius")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8)  # above the axes, off the curve


def _draw_curve(axes: Axes, curve: JsonObject) -> None:
    picks, radii = curve["picks"], curve["radii"]
    axes.step(picks, radii, where="post", color=SELECTED, linewidth=1.8, label="this selection, exact")
    axes.plot(picks[-1:], radii[-1:], "o", color=SELECTED, markersize=5)
    axes.annotate(
        f"{radii[-1]:.3g} with {picks[-1]:,}", (picks[-1], radii[-1]), (8, 1), textcoords="offset points", color=INK,
        ha="left", va="bottom", fontsize=9,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(_FIRST, _FIRST * (picks[-1] / _FIRST) ** (1 / (1 - _ROOM)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_random(axes: Axes, selection: JsonObject, chance: JsonObject) -> None:
    """Mark the radius of a random choice of the same size, where it was measured over the same images."""
    is_whole = chance["nMeasured"] == chance["nAll"]
    if not is_whole or chance["metrics"] is None:
        return
    picks, radius = selection["coverRadiusByPick"]["picks"], chance["metrics"]["max"]
    axes.plot(picks[-1:], [radius], "D", color=RANDOM, markersize=5, label="random choice of the same size")
    axes.plot([_FIRST, picks[-1]], [radius, radius], color=MUTED, linewidth=0.6, linestyle=(0, (1, 3)))

"""Histograms of pairwise distances before and after the selection, on the same axes."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from selection_job.manifest.noun import Noun
from selection_job.report.plots.drawing import (
    INK,
    INPUT,
    MUTED,
    RANDOM,
    SELECTED,
    add_axes,
    add_title,
    figure,
    say_why_empty,
    to_shares,
)

JsonObject = dict[str, Any]

_WIDTH, _HEIGHT = 9.0, 3.5
_METRICS = {
    "mean": "mean",
    "std": "standard deviation",
    "min": "smallest",
    "percentile10": "10th percentile",
    "median": "median",
    "percentile90": "90th percentile",
    "max": "largest",
}


def write_histograms(folder: Path, pairwise: JsonObject, noun: Noun) -> None:
    """Write distance_distr_before.png and distance_distr_after.png from report.json's pairwiseDistance.

    noun  what the distances are between
    """
    _write(
        folder / "distance_distr_before.png",
        pairwise,
        "input",
        f"Before: distances between any two {noun.plural} of the input",
    )
    _write(
        folder / "distance_distr_after.png",
        pairwise,
        "selected",
        f"After: distances between any two selected {noun.plural}",
    )


def _count(described: JsonObject) -> str:
    measured, every = described["nMeasured"], described["nAll"]
    return f"{every:,} pairs" if measured == every else f"{measured:,} random pairs of {every:,}"


def _write(path: Path, pairwise: JsonObject, name: str, title: str) -> None:
    with figure(path, _WIDTH, _HEIGHT) as drawn:
        pairs = _count(pairwise[name])
        add_title(drawn, title, f"Euclidean distance between embeddings; height is the share of {pairs}")
        if pairwise[name]["metrics"] is None:
            say_why_empty(drawn, "There is no pair: a distance needs two of them.")
            return
        axes = add_axes(drawn, 0.75, 0.55, 5.7, 2.1)
        _draw_bars(axes, pairwise, name)
        _draw_metrics(drawn, pairwise[name]["metrics"])


def _draw_bars(axes: Axes, pairwise: JsonObject, name: str) -> None:
    edges = np.array(pairwise["bins"])
    shares = {key: to_shares(pairwise[key]["counts"]) for key in ("input", "selected", "random")}
    color = INPUT if name == "input" else SELECTED
    axes.bar(edges[:-1], shares[name], np.diff(edges), align="edge", color=color, linewidth=0)
    if name == "selected":
        axes.stairs(shares["input"], edges, color=MUTED, linewidth=1.2, label="input, before")
        axes.stairs(shares["random"], edges, color=RANDOM, linewidth=1.2, linestyle=(0, (4, 2)), label="random choice")
        axes.legend(loc="upper left", fontsize=8)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, max(share.max() for share in shares.values()) * 1.08 or 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("distance")


def _draw_metrics(drawn: Figure, metrics: JsonObject) -> None:
    for i, (key, words) in enumerate(_METRICS.items()):
        height = 0.72 - 0.088 * i
        drawn.text(0.755, height, words, fontsize=9, color=MUTED, va="center")
        drawn.text(0.965, height, f"{metrics[key]:.3f}", fontsize=9, color=INK, va="center", ha="right")

"""Plots of classes, metadata and scores: the input beside the selection and a random choice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from selection_api.legacy_selection import PRETAGGING_TASK
from selection_job.manifest.noun import OBJECT, Noun
from selection_job.report.plots.drawing import (
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
from selection_job.report.plots.fonts import drawable, name_font, shorten
from selection_job.report.wording import noun_of, plural

MOST_PLOTS = 12
"""Keys of metadata, and of scores, that have a plot."""

_MOST_BARS = 12
_LABEL_LENGTH = 26
_WIDTH = 9.0
_COLOURS = {"input": INPUT, "selected": SELECTED, "random": RANDOM}

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class SourcePlot:
    """One plot: what stands above it, what is counted, and the numbers of report.json that it shows."""

    heading: str
    noun: Noun
    values: JsonObject
    is_numeric: bool


def list_plots(report: JsonObject) -> dict[str, SourcePlot]:
    """Return what is drawn, by file name in plots/; names of keys and tasks may hold anything and don't enter it."""
    metadata, found, noun = report["datasetAnalysis"]["metadataInformation"], {}, noun_of(report)
    numeric = {**metadata["lightlyNumeric"], **metadata["customNumeric"]}
    numeric = {key: values for key, values in numeric.items() if _has_shape(values)}
    for i, (key, values) in enumerate(list(numeric.items())[:MOST_PLOTS]):
        found[f"metadata_numbers_{i}.png"] = SourcePlot(f"Metadata {key}", noun, values, is_numeric=True)
    for i, (key, values) in enumerate(list(metadata["customCategorical"].items())[:MOST_PLOTS]):
        found[f"metadata_labels_{i}.png"] = SourcePlot(f"Metadata {key}", noun, values, is_numeric=False)
    for i, (task, described) in enumerate(list(report["predictionTaskInformation"].items())[:MOST_PLOTS]):
        classes = described["categoryDistribution"]
        found[f"classes_{i}.png"] = SourcePlot(f"Classes of {task}", OBJECT, classes, is_numeric=False)
        scores = described["activeLearningScoreDistributions"]
        for j, (score, values) in enumerate(list(scores.items())[:MOST_PLOTS]):
            found[f"scores_{i}_{j}.png"] = SourcePlot(f"{score} of {task}", noun, values, is_numeric=True)
    if (level := report.get("objectLevelInformation")) is not None:
        found["objects.png"] = SourcePlot(f"Objects of {level['task']}", OBJECT, _rank(level), is_numeric=False)
    return found


def _rank(level: JsonObject) -> JsonObject:
    """Return the object level's categories as the classes of a task are described."""
    ranked = sorted(level["categories"], key=lambda one: -one["input"])
    counts = {which: {"counts": [one[which] for one in ranked], "nOther": 0} for which in _COLOURS}
    return {"labels": [one["name"] for one in ranked], "nLabels": len(ranked), **counts}


def _has_shape(values: JsonObject) -> bool:
    """Say whether there is more to see than one value, such as the one width of all images."""
    metrics = values["input"]["metrics"]
    return metrics is None or bool(metrics["min"] < metrics["max"])


def write_source_plots(folder: Path, report: JsonObject) -> None:
    """Write a plot for each key of metadata, each task and each score, and the histograms of pretagging."""
    for file_name, shown in list_plots(report).items():
        draw = _draw_numbers if shown.is_numeric else _draw_labels
        draw(folder / file_name, shown)
    pretagging = report["predictionTaskInformation"].get(PRETAGGING_TASK)
    if pretagging is not None:
        _write_pretagging(folder, pretagging["categoryDistribution"])


def _draw_numbers(path: Path, shown: SourcePlot) -> None:
    values = shown.values
    with figure(path, _WIDTH, 2.7) as drawn:
        n = values["input"]["nMeasured"]
        words = f"height is the share of each set; {plural(n, shown.noun)} of the input have a value"
        _title(drawn, shown.heading, words)
        if not n:
            say_why_empty(drawn, f"No {shown.noun.singular} has a value.")
            return
        axes = add_axes(drawn, 0.75, 0.45, 7.9, 1.4)
        edges = np.array(values["bins"])
        shares = {name: to_shares(values[name]["counts"]) for name in _COLOURS}
        axes.bar(edges[:-1], shares["input"], np.diff(edges), align="edge", color=INPUT, linewidth=0, label="input")
        axes.stairs(shares["selected"], edges, color=SELECTED, linewidth=1.8, label="selected")
        dashed = (0, (4, 2))
        axes.stairs(shares["random"], edges, color=RANDOM, linewidth=1.2, linestyle=dashed, label="random choice")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, max(share.max() for share in shares.values()) * 1.08 or 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(axis="x", visible=False)
        _legend(drawn, axes)


def _draw_labels(path: Path, shown: SourcePlot) -> None:
    values, noun = shown.values, shown.noun
    labels = values["labels"][:_MOST_BARS]
    height = 0.36 * max(2, len(labels))
    with figure(path, _WIDTH, 1.25 + height) as drawn:
        is_cut = values["nLabels"] > len(labels)
        more = f"; the {len(labels)} most frequent of {values['nLabels']:,}" if is_cut else ""
        _title(drawn, shown.heading, f"share of each set's {noun.plural}{more}")
        if not labels:
            say_why_empty(drawn, f"There is no {noun.singular}.")
            return
        axes = add_axes(drawn, 2.4, 0.4, 6.25, height)
        _draw_bars(axes, values, len(labels))
        axes.set_yticks(range(len(labels)), [_short(label) for label in labels], fontproperties=name_font(9))
        axes.set_ylim(max(2, len(labels)) - 0.5, -0.5)
        _legend(drawn, axes)


def _draw_bars(axes: Axes, values: JsonObject, n_labels: int) -> None:
    for place, (name, color) in enumerate(_COLOURS.items()):
        described = values[name]
        total = sum(described["counts"]) + described["nOther"]
        shares = np.array(described["counts"][:n_labels]) / max(total, 1)
        words = "random choice" if name == "random" else name
        axes.barh(np.arange(n_labels) + 0.27 * (place - 1), shares, 0.25, color=color, label=words)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", visible=False)


def _write_pretagging(folder: Path, classes: JsonObject) -> None:
    """Write how many objects of each class the detector found, before and after, each on a scale of its own."""
    for file_name, name, heading in (
        ("pretagging_histogram_before.png", "input", "Before: objects on all images that could be chosen"),
        ("pretagging_histogram_after.png", "selected", "After: objects on the selected images"),
    ):
        counts = classes[name]["counts"]
        with figure(folder / file_name, _WIDTH, 3.0) as drawn:
            _title(drawn, heading, f"{plural(sum(counts), OBJECT)} that the built-in detector found")
            axes = add_axes(drawn, 0.75, 0.45, 7.9, 1.75)
            axes.bar(range(len(counts)), counts, 0.7, color=_COLOURS[name])
            for place, number in enumerate(counts):
                at = (place, number + max(counts) * 0.02)
                axes.annotate(f"{number:,}", at, ha="center", fontsize=8, color=MUTED)
            axes.set_xticks(range(len(counts)), [_short(label) for label in classes["labels"]])
            for label in axes.get_xticklabels():
                label.set_fontproperties(name_font(min(9, 90 / max(1, len(counts)))))
            axes.set_ylim(0, max([*counts, 1]) * 1.15)
            axes.grid(axis="x", visible=False)


def _title(drawn: Figure, heading: str, words: str) -> None:
    add_title(drawn, shorten(drawable(heading), 60), words)


def _legend(drawn: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    found = sorted(zip(names, handles, strict=True), key=lambda pair: list(_COLOURS).index(pair[0].partition(" ")[0]))
    names, handles = [name for name, _ in found], [handle for _, handle in found]
    drawn.legend(handles, names, loc="upper right", ncols=3, fontsize=8.5, bbox_to_anchor=(0.97, 0.99))


def _short(label: str) -> str:
    return shorten(drawable(label), _LABEL_LENGTH)

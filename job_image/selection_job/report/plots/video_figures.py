"""The plots of a run over videos: where in time the selected frames lie, and how many frames videos have."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, PercentFormatter

from selection_job.manifest.noun import VIDEO
from selection_job.report.plots.drawing import (
    FAINT,
    INPUT,
    MUTED,
    RANDOM,
    SELECTED,
    add_axes,
    add_title,
    figure,
    say_why_empty,
)
from selection_job.report.plots.fonts import fit_line, name_font
from selection_job.report.wording import count, plural

MOST_ROWS = 40
"""Videos on the timeline: those with the most frames."""

LEAST_VIDEOS = 10
"""Fewer usable videos are told one by one, and have no plot of how many frames they have."""

_WIDTH = 9.0
_ROW = 0.24  # inches
_NAME_COLUMNS = 34
_STEPS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_MOST_TICKS = 9
_SETS = {"lookedAt": ("looked at", INPUT), "selected": ("selected", SELECTED), "random": ("random choice", RANDOM)}

JsonObject = dict[str, Any]


def write_video_plots(folder: Path, report: JsonObject) -> None:
    """Write video_timeline.png, and frames_per_video.png where there are many videos; nothing of a run over images."""
    information = report.get("videoInformation")
    if information is None:
        return
    _write_timeline(folder / "video_timeline.png", information)
    if has_many_videos(information):
        _write_frames_per_video(folder / "frames_per_video.png", information["framesPerVideo"])


def has_many_videos(information: JsonObject) -> bool:
    """Say whether there are so many videos that their numbers of frames have a plot."""
    return bool(sum(information["framesPerVideo"]["selected"]) >= LEAST_VIDEOS)


def _write_timeline(path: Path, information: JsonObject) -> None:
    videos = information["videos"][:MOST_ROWS]
    n_usable = len(information["videos"]) + information["otherVideos"]["nVideos"]
    height = _ROW * max(len(videos), 2)
    with figure(path, _WIDTH, height + 1.45) as drawn:
        which = f"the {len(videos)} with the most frames of {n_usable:,}" if n_usable > len(videos) else "all of them"
        add_title(drawn, "Where in time the selected frames lie", f"rows are videos ({which}), ticks selected frames")
        if not videos:
            say_why_empty(drawn, "No video could be used.")
            return
        axes = add_axes(drawn, 2.75, 0.55, 5.25, height)
        are_timed = all(video["seconds"] is not None for video in videos)
        for row, video in enumerate(videos):
            _draw_row(axes, row, video, video["seconds"] if are_timed else 1.0)
        _label_rows(axes, videos)
        _label_time(axes, videos, are_timed=are_timed)


def _draw_row(axes: Axes, row: int, video: JsonObject, length: float) -> None:
    counts = np.array(video["selectedOverTime"])
    ticks = (np.flatnonzero(counts) + 0.5) * length / len(counts)
    axes.barh(row, length, 0.62, color=FAINT, linewidth=0)
    axes.vlines(ticks, row - 0.4, row + 0.4, color=SELECTED, linewidth=1.1)


def _label_rows(axes: Axes, videos: list[JsonObject]) -> None:
    names = [fit_line(video["filename"], _NAME_COLUMNS) for video in videos]
    axes.set_yticks(range(len(videos)), names, fontproperties=name_font(8))
    axes.set_ylim(max(len(videos), 2) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    numbers = axes.secondary_yaxis("right")
    numbers.set_yticks(range(len(videos)), [f"{count(video['nSelected'])} selected" for video in videos], fontsize=7.5)
    numbers.tick_params(length=0, colors=MUTED)
    for edge in (axes.spines["left"], numbers.spines["right"]):
        edge.set_visible(False)


def _label_time(axes: Axes, videos: list[JsonObject], *, are_timed: bool) -> None:
    if not are_timed:
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("share of the video's frames: not every video says its times")
        return
    longest = max(video["seconds"] for video in videos)
    step = next((step for step in _STEPS_S if longest / step <= _MOST_TICKS), 86400 * max(1, round(longest / 604800)))
    axes.set_xlim(0, longest)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: say_time(seconds, step)))
    axes.set_xlabel("time from the beginning of the video" + (" (seconds)" if step < 30 else ""))


def say_time(seconds: float, step: float) -> str:
    """Return a time on an axis with this step between its ticks.

    >>> say_time(2.5, 0.5), say_time(90, 30), say_time(5400, 1800), say_time(7200, 3600)
    ('2.5', '1:30', '1:30:00', '2 h')
    """
    if step < 30:
        return f"{seconds:g}"
    if step >= 3600:
        return f"{round(seconds / 3600):,} h"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 and step < 1800 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _write_frames_per_video(path: Path, frames: JsonObject) -> None:
    with figure(path, _WIDTH, 3.3) as drawn:
        n = plural(sum(frames["selected"]), VIDEO)
        words = f"how many of {n} have so many frames that were looked at, selected or taken by chance"
        add_title(drawn, "Frames per video", words)
        axes = add_axes(drawn, 0.75, 0.6, 7.9, 1.75)
        places = np.arange(len(frames["bins"]))
        for i, (key, (label, color)) in enumerate(_SETS.items()):
            axes.bar(places + 0.27 * (i - 1), frames[key], 0.25, color=color, label=label)
        axes.set_xticks(places, _name_bins(frames["bins"]), fontsize=min(9, 110 / len(places)))
        axes.set_xlabel("frames of a video")
        axes.set_ylabel(VIDEO.plural)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
        axes.grid(axis="x", visible=False)
        drawn.legend(loc="upper right", ncols=3, fontsize=8.5, bbox_to_anchor=(0.97, 0.99))


def _name_bins(bins: list[int]) -> list[str]:
    ends = [f"{_short(first)}–{_short(2 * first - 1)}" for first in bins[2:]]
    return ["none", "1", *ends][: len(bins)]


def _short(number: int) -> str:
    return f"{number / 1000:.0f}k" if number >= 10_000 else str(number)

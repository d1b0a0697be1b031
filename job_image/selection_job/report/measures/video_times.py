"""Times in videos: how long each is, and in which part of its length the selected frames lie."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.frames import Frames
from selection_job.selection.selection import Selection


@dataclass(frozen=True, eq=False)
class Lengths:
    """Columns with a row for each video; NaN where its frames do not say their times, or say one alone."""

    starts: NDArray[np.float64]
    """(v,) seconds of its frame 0."""
    seconds: NDArray[np.float64]
    """(v,) how long it is, from the beginning of its first frame to the end of its last."""


def measure_lengths(frames: Frames) -> Lengths:
    """Measure each video by the times of the first and last of its frames that were looked at.

    Frames before and behind them count with the mean distance of these two: a container's own word about its length
    is often missing or wrong.
    """
    n = len(frames.videos)
    starts, seconds = np.full(n, np.nan), np.full(n, np.nan)
    timed = np.flatnonzero(np.isfinite(frames.seconds))
    timed = timed[np.lexsort((frames.indices[timed], frames.video_rows[timed]))]
    if len(timed):
        is_first = np.ones(len(timed), dtype=np.bool_)
        is_first[1:] = np.diff(frames.video_rows[timed]) > 0
        first, last = timed[is_first], timed[np.roll(is_first, -1)]
        videos, spans = frames.video_rows[first], frames.indices[last] - frames.indices[first]
        per_frame = np.full(len(first), np.nan)
        np.divide(frames.seconds[last] - frames.seconds[first], spans, out=per_frame, where=spans > 0)
        per_frame[per_frame <= 0] = np.nan
        starts[videos] = frames.seconds[first] - per_frame * frames.indices[first]
        seconds[videos] = per_frame * frames.n_frames[videos]
    return Lengths(starts, seconds)


def place_in_time(
    frames: Frames, lengths: Lengths, selection: Selection, videos: NDArray[np.int64], n_parts: int
) -> Iterator[list[int]]:
    """Yield for each of the videos how many selected frames lie in each of n_parts equal parts of its length.

    Where a video's times are not known, its length is in frames.
    """
    rows = np.sort(selection.selected)
    rows = rows[np.argsort(frames.video_rows[rows], kind="stable")]
    owners = frames.video_rows[rows]
    shares = ((frames.seconds[rows] - lengths.starts[owners]) / lengths.seconds[owners]).clip(0, 1)
    by_frames = frames.indices[rows] / np.maximum(frames.n_frames[owners], 1)
    parts = (np.where(np.isfinite(shares), shares, by_frames) * n_parts).astype(np.int64).clip(0, n_parts - 1)
    for video in videos.tolist():
        begin, end = np.searchsorted(owners, [video, video + 1])
        yield np.bincount(parts[begin:end], minlength=n_parts).tolist()

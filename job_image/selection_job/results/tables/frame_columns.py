"""The columns of a table that say which video, and which place in it, a frame comes from."""

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.frames import Frames
from selection_job.formats.csv_fields import quote_field

PLACE_HEAD = ("video", "frame_index", "timestamp_sec")


def format_places(frames: Frames, rows: NDArray[np.int64]) -> list[tuple[str, str, str]]:
    """Return the fields of PLACE_HEAD for some rows; the time is in microseconds' digits, and empty where unknown."""
    videos = [quote_field(frames.videos[row]) for row in frames.video_rows[rows].tolist()]
    indices = map(str, frames.indices[rows].tolist())
    seconds = frames.seconds[rows]
    times = [
        f"{value:.6f}" if known else ""
        for value, known in zip(seconds.tolist(), np.isfinite(seconds).tolist(), strict=True)
    ]
    return list(zip(videos, indices, times, strict=True))


def format_pts(frames: Frames, rows: NDArray[np.int64]) -> list[str]:
    """Return the presentation times in the stream's own units; empty where the video says none."""
    unknown = (frames.pts[rows] == -1) & ~np.isfinite(frames.seconds[rows])
    return [
        "" if missing else str(pts) for pts, missing in zip(frames.pts[rows].tolist(), unknown.tolist(), strict=True)
    ]

"""Frames: which video, and which place in it, each image of a run over videos comes from."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.formats.column_file import ColumnFile, ColumnType, pack_texts

_COLUMNS = {
    "video_rows": ColumnType(np.int32),
    "indices": ColumnType(np.int64),
    "pts": ColumnType(np.int64),
    "seconds": ColumnType(np.float64),
}
_CONTENTS = ColumnType(np.uint8, (32,))
_PREFIX = "frames_"


@dataclass(frozen=True, eq=False)
class Frames:
    """The source of each frame, in columns aligned with the first Catalog.n_new names: video by video, in time."""

    videos: list[str]
    """Every listed video, corrupt ones included, as they were listed."""
    n_frames: NDArray[np.int64]
    """(v,) how many frames each video has: all that were decoded, sampled or not, corrupt ones included."""
    video_rows: NDArray[np.int32]
    """(n,) row in videos."""
    indices: NDArray[np.int64]
    """(n,) place among all frames of the video, from 0, as the decoder gives them."""
    pts: NDArray[np.int64]
    """(n,) presentation time in units of the stream's time base; -1 where the video says none."""
    seconds: NDArray[np.float64]
    """(n,) the same in seconds; NaN where the video says none."""
    corrupt_videos: dict[str, str]
    """Name of each video that can't be used at all, and why."""
    notes: tuple[str, ...] = ()
    """What people should know about single videos, in sentences."""
    contents: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 32), np.uint8))
    """(v, 32) digest of each video's bytes, zeros where not all were read; (0, 32) where nobody wanted them."""

    def checked(self) -> "Frames":
        """Return the frames, or raise ValueError where they name videos or places that do not exist."""
        rows = self.video_rows
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.videos):
            raise ValueError("frames of videos that do not exist")
        if (self.indices < 0).any() or (self.indices >= self.n_frames[rows]).any():
            raise ValueError("frames beyond the end of their video")
        return self

    def take(self, rows: NDArray[np.int64]) -> "Frames":
        """Return the source of some of the frames."""
        if not self.videos:
            return self
        return replace(self, **{column: getattr(self, column)[rows] for column in _COLUMNS})


NO_FRAMES = Frames(
    videos=[],
    n_frames=np.zeros(0, dtype=np.int64),
    video_rows=np.zeros(0, dtype=np.int32),
    indices=np.zeros(0, dtype=np.int64),
    pts=np.zeros(0, dtype=np.int64),
    seconds=np.zeros(0, dtype=np.float64),
    corrupt_videos={},
)
"""Of images, which come from no video."""


def pack_frames(frames: Frames) -> dict[str, Any]:
    """Return columns for a file; none of images."""
    if not frames.videos:
        return {}
    return {
        **{f"{_PREFIX}{column}": getattr(frames, column) for column in (*_COLUMNS, "n_frames", "contents")},
        **pack_texts(f"{_PREFIX}videos", frames.videos),
        **pack_texts(f"{_PREFIX}corrupt_videos", frames.corrupt_videos.keys()),
        **pack_texts(f"{_PREFIX}corrupt_reasons", frames.corrupt_videos.values()),
        **pack_texts(f"{_PREFIX}notes", frames.notes),
    }


def unpack_frames(file: ColumnFile, n: int) -> Frames:
    """Return what pack_frames packed, of n frames. Raises ValueError or KeyError where it is something else."""
    if f"{_PREFIX}n_frames" not in file.names:
        return NO_FRAMES
    videos = file.take_texts(f"{_PREFIX}videos")
    reasons = (file.take_texts(f"{_PREFIX}{part}") for part in ("corrupt_videos", "corrupt_reasons"))

    def take(name: str, column: ColumnType, n_rows: int | None) -> NDArray[Any]:
        return file.take(_PREFIX + name, column, n_rows, otherwise=f"{name} of frames does not fit {n_rows} rows")

    contents = file.take_or(np.zeros((0, 32), np.uint8), f"{_PREFIX}contents", _CONTENTS)
    if len(contents) not in (0, len(videos)):
        raise ValueError(f"contents of videos do not fit {len(videos)} videos")
    return Frames(
        videos,
        take("n_frames", ColumnType(np.int64), len(videos)),
        **{name: take(name, column, n) for name, column in _COLUMNS.items()},
        corrupt_videos=dict(zip(*reasons, strict=True)),
        notes=tuple(file.take_texts(f"{_PREFIX}notes")),
        contents=contents,
    ).checked()

"""VideoCounts: what became of the frames of each video."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frame_names import parse_frame_name
from selection_job.catalog.frames import Frames
from selection_job.catalog.image_names import escape_name
from selection_job.selection.selection import Selection


@dataclass(frozen=True, eq=False)
class VideoCounts:
    """Columns with a row for each listed video; looked_at is the sum of corrupt, duplicate, removed and selected."""

    names: list[str]
    reasons: list[str]
    """Why a video can't be used at all; '' where it can."""
    n_frames: NDArray[np.int64]
    """(v,) frames that were decoded, sampled or not."""
    corrupt: NDArray[np.int64]
    """(v,) frames that can't be used, of those that were looked at."""
    duplicate: NDArray[np.int64]
    """(v,) frames left out as exact copies."""
    removed: NDArray[np.int64]
    selected: NDArray[np.int64]

    @property
    def looked_at(self) -> NDArray[np.int64]:
        """(v,) frames that were checked, usable or not."""
        return self.corrupt + self.duplicate + self.removed + self.selected

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """(v,) False where the video as a whole can't be used."""
        return np.array([not reason for reason in self.reasons], dtype=np.bool_)


def count_frames(frames: Frames, catalog: Catalog, selection: Selection) -> VideoCounts:
    """Count the frames of each video. Linear in frames; names are looked at of corrupt frames only."""
    took_part = np.zeros(catalog.n_new, dtype=np.bool_)
    took_part[selection.candidates] = True
    n_videos, rows = len(frames.videos), frames.video_rows
    selected, removed = (
        np.bincount(rows[part], minlength=n_videos).astype(np.int64) for part in (selection.selected, selection.removed)
    )
    return VideoCounts(
        names=frames.videos,
        reasons=[frames.corrupt_videos.get(escape_name(name), "") for name in frames.videos],
        n_frames=frames.n_frames,
        corrupt=_count_corrupt(frames, catalog),
        duplicate=np.bincount(rows[~took_part], minlength=n_videos).astype(np.int64),
        removed=removed,
        selected=selected,
    )


def _count_corrupt(frames: Frames, catalog: Catalog) -> NDArray[np.int64]:
    counts = np.zeros(len(frames.videos), dtype=np.int64)
    places = {escape_name(name): row for row, name in enumerate(frames.videos)}
    for frame in catalog.corrupt:
        parsed = parse_frame_name(frame)
        row = places.get(escape_name(parsed[0])) if parsed else None
        if row is not None:
            counts[row] += 1
    return counts


def number_videos(catalog: Catalog) -> NDArray[np.int64] | None:
    """Return (n,) the video of each row of the catalog as its place among the listed ones; None of images.

    Videos of the datapool that are not listed are numbered on from there, as they come.
    """
    frames = catalog.frames
    if not catalog.medium.has_many_per_file:
        return None
    numbers = {name: row for row, name in enumerate(frames.videos)}
    pool = []
    for frame in catalog.names[catalog.n_new :]:
        parsed = parse_frame_name(frame)
        pool.append(numbers.setdefault(parsed[0] if parsed else frame, len(numbers)))
    return np.concatenate([frames.video_rows.astype(np.int64), np.array(pool, dtype=np.int64)])

"""data/frames.csv and data/videos.csv: the frames that were looked at, and what became of each video."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frames import Frames
from selection_job.catalog.image_names import escape_name
from selection_job.formats.csv_fields import quote_field
from selection_job.results.tables.frame_columns import PLACE_HEAD, format_places, format_pts
from selection_job.selection.selection import PASSED, Selection
from selection_job.selection.video_counts import VideoCounts, count_frames

_BLOCK = 65536
_DECISIONS = np.array(["duplicate", "removed", "filtered", "selected"])
_DUPLICATE, _REMOVED, _FILTERED, _SELECTED = range(4)


def write_video_tables(folder: Path, catalog: Catalog, selection: Selection) -> None:
    """Write frames.csv and videos.csv into the folder, and nothing where the run is about images.

    The columns: docs/outputs.md. frames.csv is written block by block: about 1 µs, and a byte of memory, for a frame.
    """
    if not catalog.medium.has_many_per_file:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write_frames(folder / "frames.csv", catalog.frames, catalog.names, _decide(selection, catalog.n_new))
    _write_videos(folder / "videos.csv", count_frames(catalog.frames, catalog, selection))


def _decide(selection: Selection, n: int) -> NDArray[np.int8]:
    """Return (n,) what became of each row of the input, as a place in _DECISIONS."""
    decisions = np.full(n, _DUPLICATE, dtype=np.int8)
    decisions[selection.removed] = np.where(selection.filtered_by == PASSED, _REMOVED, _FILTERED)
    decisions[selection.selected] = _SELECTED
    return decisions


def _write_frames(path: Path, frames: Frames, names: list[str], decisions: NDArray[np.int8]) -> None:
    video, index, seconds = PLACE_HEAD
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"filename,{video},{index},timestamp_pts,{seconds},decision\n")
        for start in range(0, len(decisions), _BLOCK):
            end = min(start + _BLOCK, len(decisions))
            rows = np.arange(start, end)
            fields = map(quote_field, names[start:end])
            words = _DECISIONS[decisions[start:end]].tolist()
            lines = zip(fields, format_places(frames, rows), format_pts(frames, rows), words, strict=True)
            file.writelines(f"{name},{a},{b},{pts},{c},{word}\n" for name, (a, b, c), pts, word in lines)


def _write_videos(path: Path, counts: VideoCounts) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("video,frames,looked_at,corrupt_frames,selected,reason\n")
        numbers = (column.tolist() for column in (counts.n_frames, counts.looked_at, counts.corrupt, counts.selected))
        for name, reason, *row in zip(counts.names, counts.reasons, *numbers, strict=True):
            file.write(f"{quote_field(escape_name(name))},{','.join(map(str, row))},{quote_field(reason)}\n")

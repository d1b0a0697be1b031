"""data/sequence_information.json: what was selected, sequence by sequence, in the worker's format."""

import json
from collections.abc import Iterable, Iterator
from math import isnan
from pathlib import Path
from typing import Any

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frames import Frames
from selection_job.selection.selection import Selection

_BLOCK = 65536  # frames

JsonObject = dict[str, Any]


def write_sequence_information(path: Path, catalog: Catalog, selection: Selection) -> bool:
    """Write which frames were selected together, in the order of choice.

    Of videos a list of {video_name, frame_names, frame_timestamps_pts, frame_timestamps_sec, frame_indices}, an entry
    for each sequence, or frame where single ones were selected; a time that the video does not say is null. Of images
    {filenames}, one sequence after the other. Nothing is written, and False returned, for single images. Streamed: some
    5 µs and no memory for a frame.
    """
    if not catalog.medium.has_many_per_file and selection.sequences is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        if catalog.medium.has_many_per_file:
            file.writelines(_write_list(_entries(catalog, catalog.frames, selection)))
            file.write("\n")
        else:
            names = (catalog.names[row] for row in selection.selected.tolist())
            file.write('{"filenames": ')
            file.writelines(_write_list(names))
            file.write("}\n")
    return True


def _write_list(items: Iterable[object]) -> Iterator[str]:
    """Yield a JSON list, an item a line."""
    before = "[\n"
    for item in items:
        yield before + json.dumps(item, ensure_ascii=False, allow_nan=False)
        before = ",\n"
    yield "[]" if before == "[\n" else "\n]"


def _entries(catalog: Catalog, frames: Frames, selection: Selection) -> Iterator[JsonObject]:
    length = 1 if selection.sequences is None else selection.sequences.shape[1]
    n_block = max(1, _BLOCK // length) * length
    for start in range(0, len(selection.selected), n_block):
        rows = selection.selected[start : start + n_block]
        pts, seconds = frames.pts[rows].tolist(), frames.seconds[rows].tolist()
        columns = {
            "frame_names": [catalog.names[row] for row in rows.tolist()],
            "frame_timestamps_pts": [None if isnan(second) else one for one, second in zip(pts, seconds, strict=True)],
            "frame_timestamps_sec": [None if isnan(one) else one for one in seconds],
            "frame_indices": frames.indices[rows].tolist(),
        }
        videos = frames.video_rows[rows[::length]].tolist()
        for first, video in zip(range(0, len(rows), length), videos, strict=True):
            own = {name: column[first : first + length] for name, column in columns.items()}
            yield {"video_name": frames.videos[video], **own}

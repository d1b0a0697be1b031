"""selected.parquet: what was selected, for pandas, DuckDB, Spark and the like."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.formats.distinct_names import Renamed, keep_apart, list_renamed
from selection_job.results.exports.chosen_images import ChosenImages
from selection_job.results.tables.embedding_parquet import nullable, write_blocks

_ROWS = 65536
"""Of a row group: what lies in memory at a time."""

_OWN_COLUMNS = ("filename", "uri", "rank", "taken_at_distance", "width_px", "height_px", "size_bytes", "sha256")
_OWN_OF_FRAMES = ("video", "frame_index", "timestamp_pts", "timestamp_sec")


def write_selected_table(folder: Path, chosen: ChosenImages) -> None:
    """Write a row for each selected image in the order of choice."""
    selected = chosen.selection.selected
    blocks = (
        _selected_columns(chosen, slice(start, min(start + _ROWS, len(selected))))
        for start in range(0, max(len(selected), 1), _ROWS)
    )
    write_blocks(folder / "selected.parquet", blocks)


def _selected_columns(chosen: ChosenImages, block: slice) -> dict[str, pa.Array]:
    catalog, selection = chosen.catalog, chosen.selection
    rows = selection.selected[block]
    names = [catalog.names[row] for row in rows.tolist()]
    columns = {
        "filename": pa.array(names, pa.string()),
        "uri": pa.array([chosen.place.name_uri(name) for name in chosen.file_names[block]], pa.string()),
        "rank": pa.array(np.arange(block.start + 1, block.start + len(rows) + 1, dtype=np.int64)),
        "taken_at_distance": nullable(selection.distances[block]),
        "width_px": pa.array(catalog.widths_px[rows]),
        "height_px": pa.array(catalog.heights_px[rows]),
        "size_bytes": pa.array(catalog.sizes_bytes[rows]),
        "sha256": pa.array([digest.tobytes().hex() for digest in catalog.sha256[rows]], pa.string()),
    }
    columns |= _frame_columns(catalog, rows)
    return columns | dict(zip(_name_columns(chosen), _value_columns(chosen, rows), strict=True))


def list_parquet_columns(chosen: ChosenImages) -> list[Renamed]:
    """Return the values whose column is another's already."""
    wanted = _want_columns(chosen)
    return list_renamed("Parquet column", wanted, [*chosen.columns, *chosen.tasks], _name_columns(chosen))


def _name_columns(chosen: ChosenImages) -> list[str]:
    return keep_apart(_want_columns(chosen), _list_own(chosen))


def _want_columns(chosen: ChosenImages) -> list[str]:
    names, own = [*chosen.columns, *(f"objects of {name}" for name in chosen.tasks)], _list_own(chosen)
    return [f"{name}_" if name in own else name for name in names]


def _list_own(chosen: ChosenImages) -> tuple[str, ...]:
    return _OWN_COLUMNS + (_OWN_OF_FRAMES if chosen.catalog.medium.has_many_per_file else ())


def _value_columns(chosen: ChosenImages, rows: NDArray[np.int64]) -> Iterator[pa.Array]:
    """Yield scores and metadata, and how many objects each task found."""
    for values in chosen.columns.values():
        if isinstance(values, np.ndarray):
            yield nullable(values[rows])
        else:
            yield pa.array([values[row] or None for row in rows.tolist()], pa.string())
    for task in chosen.tasks.values():
        counts = np.searchsorted(task.owners, rows + 1) - np.searchsorted(task.owners, rows)
        yield pa.array(counts.astype(np.int64))


def _frame_columns(catalog: Catalog, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
    frames = catalog.frames
    if not catalog.medium.has_many_per_file:
        return {}
    seconds = frames.seconds[rows]
    return {
        "video": pa.array([frames.videos[row] for row in frames.video_rows[rows].tolist()], pa.string()),
        "frame_index": pa.array(frames.indices[rows]),
        "timestamp_pts": pa.array(frames.pts[rows], mask=np.isnan(seconds)),
        "timestamp_sec": nullable(seconds),
    }

"""selected.parquet and embeddings.parquet: the tables of a run for pandas, DuckDB, Spark and the like."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.formats.distinct_names import Renamed, keep_apart, list_renamed
from selection_job.results.exports.chosen_images import ChosenImages
from selection_job.selection.selection import PASSED, Selection

_ROWS = 65536
"""Of a row group: what lies in memory at a time."""

_OWN_COLUMNS = ("filename", "uri", "rank", "taken_at_distance", "width_px", "height_px", "size_bytes", "sha256")
_OWN_OF_FRAMES = ("video", "frame_index", "timestamp_pts", "timestamp_sec")
_DECISIONS = ("removed", "filtered", "selected", "datapool")
_OPTIONS: dict[str, Any] = {"compression": "zstd", "write_statistics": True}


def write_selected_table(folder: Path, chosen: ChosenImages) -> None:
    """Write a row for each selected image in the order of choice."""
    selected = chosen.selection.selected
    blocks = (
        _selected_columns(chosen, slice(start, min(start + _ROWS, len(selected))))
        for start in range(0, max(len(selected), 1), _ROWS)
    )
    _write(folder / "selected.parquet", blocks)


def write_embedding_table(
    folder: Path, catalog: Catalog, embeddings: NDArray[np.float32], selection: Selection
) -> None:
    """Write the rows of data/embeddings.csv, in its order, with what was decided about each."""
    rows = np.concatenate([selection.candidates, selection.preselected])
    decided = _decide(len(catalog.names), selection)
    blocks = (
        _embedding_columns(catalog, embeddings, rows[start : start + _ROWS], decided)
        for start in range(0, max(len(rows), 1), _ROWS)
    )
    _write(folder / "embeddings.parquet", blocks)


def _write(path: Path, blocks: Iterator[Mapping[str, pa.Array]]) -> None:
    """Write one row group a block. The file names no time and no machine, so equal tables are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    try:
        for block in blocks:
            table = pa.table(dict(block))
            writer = writer or pq.ParquetWriter(path, table.schema, **_OPTIONS)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _selected_columns(chosen: ChosenImages, block: slice) -> dict[str, pa.Array]:
    catalog, selection = chosen.catalog, chosen.selection
    rows = selection.selected[block]
    names = [catalog.names[row] for row in rows.tolist()]
    columns = {
        "filename": pa.array(names, pa.string()),
        "uri": pa.array([chosen.place.name_uri(name) for name in chosen.file_names[block]], pa.string()),
        "rank": pa.array(np.arange(block.start + 1, block.start + len(rows) + 1, dtype=np.int64)),
        "taken_at_distance": _numbers(selection.distances[block]),
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
            yield _numbers(values[rows])
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
        "timestamp_sec": _numbers(seconds),
    }


def _numbers(values: NDArray[Any]) -> pa.Array:
    """Return numbers with null for what is unknown: NaN and infinity."""
    numbers = values.astype(np.float64)
    return pa.array(numbers, mask=~np.isfinite(numbers))


def _decide(n: int, selection: Selection) -> dict[str, NDArray[Any]]:
    """Return (n,) decision, rank (0: none) and distance to the nearest selected image for every row of the catalog."""
    decision = np.zeros(n, dtype=np.int8)
    decision[selection.removed] = np.where(selection.filtered_by != PASSED, 1, 0)
    decision[selection.selected], decision[selection.preselected] = 2, 3
    rank, distance = np.zeros(n, dtype=np.int64), np.full(n, np.nan)
    rank[selection.selected] = np.arange(1, len(selection.selected) + 1)
    distance[selection.removed] = selection.nearest_distance
    return {"decision": decision, "rank": rank, "distance": distance}


def _embedding_columns(
    catalog: Catalog, embeddings: NDArray[np.float32], rows: NDArray[np.int64], decided: Mapping[str, NDArray[Any]]
) -> dict[str, pa.Array]:
    vectors = np.ascontiguousarray(embeddings[rows])
    decisions = pa.DictionaryArray.from_arrays(pa.array(decided["decision"][rows]), pa.array(_DECISIONS))
    rank = decided["rank"][rows]
    return {
        "filename": pa.array([catalog.names[row] for row in rows.tolist()], pa.string()),
        "decision": decisions,
        "rank": pa.array(rank, mask=rank == 0),
        "distance_to_nearest_selected": _numbers(decided["distance"][rows]),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), embeddings.shape[1]),
        **_frame_columns_of_new(catalog, rows),
    }


def _frame_columns_of_new(catalog: Catalog, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
    """Return the source of frames; null for those of the pool, whose names say it."""
    frames = catalog.frames
    if not catalog.medium.has_many_per_file:
        return {}
    is_new = rows < catalog.n_new
    own = np.where(is_new, rows, 0) if catalog.n_new else np.zeros(0, dtype=np.int64)
    videos = [
        frames.videos[row] if new else None for row, new in zip(frames.video_rows[own].tolist(), is_new, strict=True)
    ]
    seconds = frames.seconds[own].astype(np.float64)
    return {
        "video": pa.array(videos, pa.string()),
        "frame_index": pa.array(frames.indices[own], mask=~is_new),
        "timestamp_sec": pa.array(seconds, mask=~is_new | ~np.isfinite(seconds)),
    }

"""Embedding tables in Parquet: a name and a vector a row, and what else is known of it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.selection.selection import PASSED, Selection
from selection_job.selection.vectors import normalize_rows

_MOST_ROWS = 65536
_GROUP_NUMBERS = 16 * 1024**2
"""Of a row group, which readers take as one piece: 64 MiB of vectors."""

_OPTIONS: dict[str, Any] = {"compression": "zstd", "write_statistics": True}
_DECISIONS = ("removed", "filtered", "selected", "datapool")

Columns = Callable[[NDArray[np.int64]], Mapping[str, pa.Array]]
"""From rows of the catalog to further columns."""


def write_parquet(
    path: Path,
    names: list[str],
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    normalize: bool = False,
    before: Columns = lambda _: {},
    behind: Columns = lambda _: {},
) -> None:
    """Write the given rows: filename, what comes before the vector, embedding (d float32), what comes behind it."""
    d = embeddings.shape[1]
    n_group = max(1, min(_MOST_ROWS, _GROUP_NUMBERS // d))

    def columns(start: int) -> dict[str, pa.Array]:
        block = rows[start : start + n_group]
        vectors = normalize_rows(embeddings[block]) if normalize else np.ascontiguousarray(embeddings[block])
        return {
            "filename": pa.array([names[row] for row in block.tolist()], pa.string()),
            **before(block),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), d),
            **behind(block),
        }

    write_blocks(path, map(columns, range(0, max(len(rows), 1), n_group)))


def write_blocks(path: Path, blocks: Iterator[Mapping[str, pa.Array]]) -> None:
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


def write_decided(folder: Path, catalog: Catalog, embeddings: NDArray[np.float32], selection: Selection) -> None:
    """Write embeddings.parquet: the rows of data/embeddings.csv, in its order, with what was decided about each."""
    rows = np.concatenate([selection.candidates, selection.preselected])
    decided = _decide(len(catalog.names), selection)

    def decisions(block: NDArray[np.int64]) -> dict[str, pa.Array]:
        rank = decided["rank"][block]
        return {
            "decision": pa.DictionaryArray.from_arrays(pa.array(decided["decision"][block]), pa.array(_DECISIONS)),
            "rank": pa.array(rank, mask=rank == 0),
            "distance_to_nearest_selected": nullable(decided["distance"][block]),
        }

    write_parquet(
        folder / "embeddings.parquet",
        catalog.names,
        embeddings,
        rows,
        before=decisions,
        behind=lambda block: _frame_columns_of_new(catalog, block),
    )


def nullable(values: NDArray[Any]) -> pa.Array:
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

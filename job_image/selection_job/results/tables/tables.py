"""The tables under data/: embeddings, in the form lightly reads or in Parquet, and the clean dataset."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.results.tables.embedding_lines import format_table
from selection_job.results.tables.embedding_parquet import write_decided, write_parquet
from selection_job.results.tables.selection_table import write_selection_table
from selection_job.selection.selection import Selection
from selection_job.selection.vectors import normalize_rows
from selection_job.selection.video_counts import number_videos

_BLOCK_NUMBERS = 1024 * 1024

TableForm = Literal["CSV", "PARQUET"]


def write_tables(
    folder: Path,
    catalog: Catalog,
    embeddings: NDArray[np.float32],
    selection: Selection,
    forms: Sequence[TableForm] = ("CSV",),
) -> None:
    """Write selection.csv, and in each form the tables of embeddings: embeddings, embeddings_all,
    normalized_embeddings, selected_embeddings.

    embeddings holds what took part in the selection, the datapool included, embeddings_all every readable image of the
    input. With a datapool there is selected_embeddings_including_datapool too: the pool, then the new picks.
    In Parquet embeddings has what was decided about each row besides.
    """
    folder.mkdir(parents=True, exist_ok=True)
    took_part = np.concatenate([selection.candidates, selection.preselected])
    tables: dict[str, tuple[NDArray[np.int64], bool]] = {
        "embeddings_all": (np.arange(catalog.n_new), False),
        "embeddings": (took_part, False),
        "normalized_embeddings": (took_part, True),
        "selected_embeddings": (selection.selected, False),
    }
    if len(selection.preselected):
        chosen = np.concatenate([selection.preselected, selection.selected])
        tables["selected_embeddings_including_datapool"] = (chosen, False)
    if "CSV" in forms:
        labels = number_videos(catalog)
        for name, (rows, normalize) in tables.items():
            path = folder / f"{name}.csv"
            write_embeddings(path, catalog.names, embeddings, rows, normalize=normalize, labels=labels)
    if "PARQUET" in forms:
        write_decided(folder, catalog, embeddings, selection)
        for name, (rows, normalize) in tables.items():
            if name != "embeddings":
                write_parquet(folder / f"{name}.parquet", catalog.names, embeddings, rows, normalize=normalize)
    write_selection_table(folder / "selection.csv", catalog.names, selection, catalog.frames)


def write_embeddings(
    path: Path,
    names: list[str],
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    normalize: bool = False,
    labels: NDArray[np.int64] | None = None,
) -> None:
    """Write the given rows as lightly.utils.io.load_embeddings reads them: filenames, embedding_0 …, labels.

    labels  (n,) aligned with names, the videos that frames come from; without them all are 0: images here have none

    Nine significant digits give back every float32 exactly.
    """
    d = embeddings.shape[1]
    header = ",".join(["filenames", *(f"embedding_{i}" for i in range(d)), "labels"])
    n_block = max(1, _BLOCK_NUMBERS // d)
    with path.open("wb") as file:
        file.write(header.encode() + b"\n")
        for start in range(0, len(rows), n_block):  # blocks keep the normalised copy and the text small
            block = rows[start : start + n_block]
            vectors = normalize_rows(embeddings[block]) if normalize else embeddings[block]
            own_labels = None if labels is None else labels[block]
            file.write(format_table([names[row] for row in block.tolist()], vectors, own_labels))


def write_clean(path: Path, catalog: Catalog) -> None:
    """Write clean.csv: name, sha256, bytes, width and height of every readable image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_table(path) as writer:
        writer.writerow(["filename", "sha256", "bytes", "width_px", "height_px"])
        for row, name in enumerate(catalog.names[: catalog.n_new]):
            digest = catalog.sha256[row].tobytes().hex()
            writer.writerow([name, digest, catalog.sizes_bytes[row], catalog.widths_px[row], catalog.heights_px[row]])


@contextmanager
def _open_table(path: Path) -> Iterator[Any]:
    """Give a csv.writer of a new file whose lines end in a newline."""
    with path.open("w", encoding="utf-8", newline="") as file:
        yield csv.writer(_Lines(file), lineterminator="\r\n")


class _Lines:
    """A file that ends each line in a newline. csv quotes only what ends its own lines, and a name may hold either."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write(line.removesuffix("\r\n") + "\n")

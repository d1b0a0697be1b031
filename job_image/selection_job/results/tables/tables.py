"""The CSV tables under data/: embeddings in the form lightly reads, and the clean dataset."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.results.tables.embedding_lines import format_table
from selection_job.results.tables.selection_table import write_selection_table
from selection_job.selection.selection import Selection
from selection_job.selection.vectors import normalize_rows
from selection_job.selection.video_counts import number_videos

_BLOCK_NUMBERS = 1024 * 1024


def write_tables(folder: Path, catalog: Catalog, embeddings: NDArray[np.float32], selection: Selection) -> None:
    """Write embeddings.csv, embeddings_all.csv, normalized_embeddings.csv, selected_embeddings.csv and selection.csv.

    embeddings.csv holds what took part in the selection, the datapool included, embeddings_all.csv every readable image
    of the input. With a datapool there is selected_embeddings_including_datapool.csv too: the pool, then the new picks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    took_part = np.concatenate([selection.candidates, selection.preselected])
    write = partial(write_embeddings, names=catalog.names, embeddings=embeddings, labels=number_videos(catalog))
    write(folder / "embeddings_all.csv", rows=np.arange(catalog.n_new))
    write(folder / "embeddings.csv", rows=took_part)
    write(folder / "normalized_embeddings.csv", rows=took_part, normalize=True)
    write(folder / "selected_embeddings.csv", rows=selection.selected)
    if len(selection.preselected):
        chosen = np.concatenate([selection.preselected, selection.selected])
        write(folder / "selected_embeddings_including_datapool.csv", rows=chosen)
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

"""The CSV tables under data/: embeddings in the form lightly reads, and the clean dataset."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.selection.selecting import normalize_rows
from selection_job.selection.selection import Selection


def write_tables(folder: Path, catalog: Catalog, embeddings: NDArray[np.float32], selection: Selection) -> None:
    """Write data/embeddings.csv, embeddings_all.csv, normalized_embeddings.csv and selected_embeddings.csv.

    embeddings.csv holds what took part in the selection, embeddings_all.csv every readable image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = catalog.names
    write_embeddings(folder / "embeddings_all.csv", names, embeddings, np.arange(len(names)))
    write_embeddings(folder / "embeddings.csv", names, embeddings, selection.candidates)
    write_embeddings(folder / "normalized_embeddings.csv", names, embeddings, selection.candidates, normalize=True)
    write_embeddings(folder / "selected_embeddings.csv", names, embeddings, selection.selected)


def write_embeddings(
    path: Path,
    names: list[str],
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    normalize: bool = False,
) -> None:
    """Write the given rows as lightly.utils.io.load_embeddings reads them: filenames, embedding_0 …, labels.

    Nine significant digits give back every float32 exactly. labels is 0: images here have none.
    """
    header = ["filenames", *(f"embedding_{i}" for i in range(embeddings.shape[1])), "labels"]
    with _open_table(path) as writer:
        writer.writerow(header)
        for start in range(0, len(rows), 65536):  # blocks keep the normalised copy and the lists small
            block = rows[start : start + 65536]
            vectors = normalize_rows(embeddings[block]) if normalize else embeddings[block]
            writer.writerows(_csv_rows([names[row] for row in block.tolist()], vectors))


def _csv_rows(names: list[str], vectors: NDArray[np.float32]) -> Iterable[list[str]]:
    for name, vector in zip(names, vectors.tolist(), strict=True):
        yield [name, *map("%.9g".__mod__, vector), "0"]


def write_clean(path: Path, catalog: Catalog) -> None:
    """Write clean.csv: name, sha256, bytes, width and height of every readable image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_table(path) as writer:
        writer.writerow(["filename", "sha256", "bytes", "width_px", "height_px"])
        for row, name in enumerate(catalog.names):
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

"""Read an embeddings table: the vectors of the names that are asked for, whatever the file's size."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import NO_HASHES, hash_names
from selection_job.embeddings.parquet_rows import MAGIC, ParquetReader
from selection_job.embeddings.table_header import EmbeddingsHeader, parse_header
from selection_job.embeddings.table_rows import BLOCK_BYTES, RowReader, TableRows
from selection_job.errors import UnusableData
from selection_job.formats.spellings import Spellings

_BLOCK = 65536
_MOST_KEPT = 1000  # names of rows that nobody asked for
_ABSENT, _TAKEN, _MASKED, _PRESELECTED = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class EmbeddingsTable:
    """What the table says about the names that were asked for."""

    header: EmbeddingsHeader
    rows: NDArray[np.int64]  # (n,) which names have a vector and are not masked: sorted, the preselected ones last
    vectors: NDArray[np.float32]  # (n, d) finite
    scores: NDArray[np.float64] | None  # (n,) al_score; None where the table has no such column
    n_preselected: int
    """The last so many rows are marked as selected before, and sorted among themselves."""
    masked: NDArray[np.int64]  # sorted: which names are marked to be ignored
    absent: NDArray[np.int64]  # sorted: which names have no row
    n_left_out: int
    """Rows of names that are known and were not asked for."""
    n_foreign: int
    """Rows of names that are not known at all."""
    foreign: list[str]
    """The first thousand of the latter."""
    respelled: list[str]
    """Rows that are spelled in another Unicode form than the name that they were taken for."""
    digest: str
    """SHA-256 of the file."""


def read_table(
    path: Path,
    names: list[str],
    *,
    where: str,
    advance: Callable[[int], None] = lambda _: None,
    left_out: NDArray[np.int64] = NO_HASHES,
) -> EmbeddingsTable:
    """Read the vectors of the given names.

    path     CSV in UTF-8: filenames,embedding_0,…,labels, as table_header.py says; or Parquet, as parquet_rows.py says
    names    (n,) unique; a row of another name is counted, and checked like the others
    where    the file as users know it, for messages
    advance  is told how many bytes were read
    left_out  hashes of further names that are known (catalog.hash_names)

    A row that is both masked and selected is masked. A row that is spelled in another Unicode form than a name counts
    where the name has no other. Memory: the vectors of the names that are there, twice where some are preselected,
    60 MB (of Parquet what a page holds besides), and some 100 bytes a name.
    Raises UnusableData, with the line or row, for anything that is not such a table: another header, rows of another
    length, what is no finite number, a name that comes twice, marks other than 0 and 1, text that is not UTF-8.
    """
    digest = hashlib.sha256()

    def note(content: bytes) -> None:
        digest.update(content)
        advance(len(content))

    with open_rows(path, where=where, note=note) as (header, blocks):
        collected = _Collected(names, header, where, left_out)
        for rows in blocks:
            collected.add(rows)
    return collected.finish(digest.hexdigest())


@contextmanager
def open_rows(
    path: Path, *, where: str, note: Callable[[bytes], None] = lambda _: None
) -> Iterator[tuple[EmbeddingsHeader, Iterator[TableRows]]]:
    """Give the header and the rows of a table, which is Parquet where its content says so, else CSV.

    note  is given all bytes that are read
    Raises UnusableData for what is no such table, at once or while rows are taken.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            reader = ParquetReader(path, where=where, note=note)
            yield reader.header, reader.read()
            return
        file.seek(0)
        line = file.readline(BLOCK_BYTES)
        note(line)
        header = parse_header(line, where=where)
        yield header, RowReader(file, header, where=where, note=note).read()


class _Collected:
    """The vectors that were found so far, each at its name's place."""

    def __init__(self, names: list[str], header: EmbeddingsHeader, where: str, left_out: NDArray[np.int64]) -> None:
        self._header, self._where, self._left_out = header, where, left_out
        self._places = {name: row for row, name in enumerate(names)}
        self._vectors = np.empty((len(names), header.n_dimensions), dtype=np.float32)  # untouched pages take no memory
        self._scores = np.empty(len(names), dtype=np.float64)
        self._state = np.zeros(len(names), dtype=np.uint8)
        self._n_rows = self._n_foreign = self._n_left_out = 0
        self._foreign: list[str] = []
        self._spellings = Spellings(names, self._places.__contains__)
        self._respelled: dict[int, list[str]] = {}  # by place the rows in other spellings, of which the first is kept
        self._respelled_state: dict[int, int] = {}

    def add(self, rows: TableRows) -> None:
        """Take those of the rows whose names were asked for."""
        places = np.fromiter((self._places.get(name, -1) for name in rows.names), np.int64, len(rows.names))
        is_masked = self._read_mark(rows, "masked")
        kept_as = np.where(self._read_mark(rows, "selected"), _PRESELECTED, _TAKEN)
        state = np.where(is_masked, _MASKED, kept_as)
        is_known = places >= 0
        self._refuse_repeated(rows, places)
        self._state[places[is_known]] = state[is_known]
        self._find_respelled(rows.names, places, state)
        is_taken = (places >= 0) & ~is_masked
        self._vectors[places[is_taken]] = rows.numbers[is_taken, : self._header.n_dimensions]
        score = self._header.find_mark("al_score")
        if score is not None:
            self._scores[places[is_taken]] = rows.numbers[is_taken, score]
        self._n_rows += len(rows.names)

    def _find_respelled(self, names: list[str], places: NDArray[np.int64], state: NDArray[np.int64]) -> None:
        """Set the places of rows that are spelled otherwise, and are the first for a name that has no row of its own.

        A row that spells the name as it is may come yet, and overwrites what is kept of them.
        """
        foreign = []
        for row in np.flatnonzero(places < 0).tolist():
            other = self._spellings.find_other(names[row])
            if other is None:
                foreign.append(names[row])
                continue
            place = self._places[other]
            rows_of_name = self._respelled.setdefault(place, [])
            rows_of_name.append(names[row])
            if len(rows_of_name) == 1 and self._state[place] == _ABSENT:
                places[row], self._respelled_state[place] = place, int(state[row])
        self._note_foreign(foreign)

    def _settle_respelled(self) -> list[str]:
        """Take the only row of a name that has none of its own; return what was taken, the others are no name's."""
        taken = []
        for place, names in self._respelled.items():
            if self._state[place] == _ABSENT and len(names) == 1:
                self._state[place] = self._respelled_state[place]
                taken += names
            else:
                self._note_foreign(names)
        return taken

    def finish(self, digest: str) -> EmbeddingsTable:
        """Return what was collected, moved together in place."""
        if not self._n_rows:
            raise UnusableData(f"{self._where} has a header and no rows; write a row for each image.")
        respelled = self._settle_respelled()
        taken = np.flatnonzero((self._state == _TAKEN) | (self._state == _PRESELECTED))
        for start in range(0, len(taken), _BLOCK):
            block = taken[start : start + _BLOCK]
            self._vectors[start : start + len(block)] = self._vectors[block]
        vectors, is_preselected = self._vectors[: len(taken)], self._state[taken] == _PRESELECTED
        if is_preselected.any():
            order = np.argsort(is_preselected, kind="stable")
            taken, vectors = taken[order], vectors[order]
        return EmbeddingsTable(
            header=self._header,
            rows=taken,
            vectors=vectors,
            scores=None if self._header.find_mark("al_score") is None else self._scores[taken],
            n_preselected=int(is_preselected.sum()),
            masked=np.flatnonzero(self._state == _MASKED),
            absent=np.flatnonzero(self._state == _ABSENT),
            n_left_out=self._n_left_out,
            n_foreign=self._n_foreign,
            foreign=self._foreign,
            respelled=respelled,
            digest=digest,
        )

    def _read_mark(self, rows: TableRows, mark: str) -> NDArray[np.bool_]:
        place = self._header.find_mark(mark)
        if place is None:
            return np.zeros(len(rows.names), dtype=bool)
        values = rows.numbers[:, place]
        odd = np.flatnonzero((values != 0) & (values != 1))
        if len(odd):
            self._fail(rows, int(odd[0]), f"{mark} is {values[odd[0]]:g}; expected 0 or 1")
        is_marked: NDArray[np.bool_] = values == 1
        return is_marked

    def _refuse_repeated(self, rows: TableRows, places: NDArray[np.int64]) -> None:
        known = np.flatnonzero(places >= 0)
        _, first = np.unique(places[known], return_index=True)
        is_repeated = self._state[places[known]] != _ABSENT
        is_repeated |= ~np.isin(np.arange(len(known)), first)
        if is_repeated.any():
            row = int(known[np.argmax(is_repeated)])
            self._fail(rows, row, f"{rows.names[row]!r} has a row above already; a name has one row: delete the others")

    def _note_foreign(self, names: list[str]) -> None:
        if len(self._left_out) and names:
            is_known = np.isin(hash_names(names), self._left_out)
            self._n_left_out += int(is_known.sum())
            names = [name for name, known in zip(names, is_known.tolist(), strict=True) if not known]
        self._n_foreign += len(names)
        self._foreign += names[: _MOST_KEPT - len(self._foreign)]

    def _fail(self, rows: TableRows, row: int, problem: str) -> None:
        raise UnusableData(f"{self._where}, {rows.place(row)}: {problem}.")

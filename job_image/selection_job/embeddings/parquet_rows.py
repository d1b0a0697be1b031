"""The rows of an embeddings table in Parquet: a column `filename` and a column `embedding` of lists of numbers.

What pandas writes of a CSV table, a column a component, is read as well. A file is hostile: whatever pyarrow raises
becomes a sentence, and no more than a batch of rows is in memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from selection_job.catalog.image_names import quote_some
from selection_job.embeddings.table_header import COMPONENT, MARKS, MOST_DIMENSIONS, EmbeddingsHeader
from selection_job.embeddings.table_rows import BLOCK_BYTES, TableRows
from selection_job.errors import UnusableData

MAGIC = b"PAR1"
"""What a Parquet file begins with."""

_NAMES = ("filename", "filenames")
_OWN = frozenset(
    ("labels", "decision", "rank", "distance_to_nearest_selected", "video", "frame_index", "timestamp_sec")
)
"""Columns of a run's own tables, which mean nothing to the next."""

_MOST_ROWS = 65536
_MOST_NUMBERS = 4 * 1024**2
_LARGEST_FOOTER = 64 * 1024**2
_EXPECTED = "expected the columns filename and embedding, a list of numbers of one length, such as a run's tables have"


class ParquetReader:
    """Reads a table's rows. Memory: a batch of rows, and what a page of the file holds, whatever the file's size."""

    def __init__(self, path: Path, *, where: str, note: Callable[[bytes], None]) -> None:
        """Read the header; note is given all bytes of the file. Raises UnusableData where it is no such table."""
        self._where = where
        with path.open("rb") as file:
            while content := file.read(BLOCK_BYTES):
                note(content)
        try:
            self._file = pq.ParquetFile(
                path,
                buffer_size=1024**2,
                pre_buffer=False,  # else a whole row group is in memory: 235 MB of 400,000 x 128 numbers, without it 29
                thrift_string_size_limit=_LARGEST_FOOTER,
                thrift_container_size_limit=1_000_000,
            )
            self._schema = self._file.schema_arrow
            self._vectors, d = self._find_vectors()
        except (pa.ArrowException, OSError, ValueError) as error:
            self._explain(error)
        marks = tuple(mark for mark in MARKS if mark in self._schema.names)
        self._columns = [self._find_names(), *self._vectors, *marks]
        unused = tuple(name for name in self._schema.names if name not in {*self._columns, *_OWN})
        self.header = EmbeddingsHeader(d, np.zeros(0, np.int64), marks, tuple(self._schema.names), unused)

    def read(self) -> Iterator[TableRows]:
        """Yield all rows. Raises UnusableData for the first that is at fault, with its number."""
        n_rows, first = min(_MOST_ROWS, max(1, _MOST_NUMBERS // self.header.n_numbers)), 1
        try:
            for batch in self._file.iter_batches(n_rows, columns=self._columns):
                yield self._take(batch, first)
                first += batch.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            self._explain(error)

    def _find_names(self) -> str:
        found = next((name for name in _NAMES if name in self._schema.names), None)
        if found is None:
            self._fail(f"{_EXPECTED}; found {quote_some(self._schema.names)}")
        if repeated := [name for name in (found, *MARKS) if self._schema.names.count(name) > 1]:
            self._fail(f"there are two columns {quote_some(repeated)}")
        return found

    def _find_vectors(self) -> tuple[list[str], int]:
        """Return the columns of the vectors and how many numbers they have: one of lists, or one a component."""
        components = {name for name in self._schema.names if COMPONENT.fullmatch(name)}
        if "embedding" in self._schema.names:
            kind = self._schema.field("embedding").type
            if not _is_list(kind) or not _is_number(kind.value_type):
                self._fail(f"{_EXPECTED}; found a column embedding of {kind}")
            columns, d = ["embedding"], kind.list_size if pa.types.is_fixed_size_list(kind) else self._measure()
        else:
            columns = [f"embedding_{i}" for i in range(len(components))]
            if missing := [name for name in columns if name not in components]:
                self._fail(f"{len(components)} components are there, and {missing[0]} is missing")
            if odd := [name for name in columns if not _is_number(self._schema.field(name).type)]:
                self._fail(f"the column {odd[0]} is of {self._schema.field(odd[0]).type}; expected numbers")
            d = len(columns)
        if not 1 <= d <= MOST_DIMENSIONS:
            self._fail(f"{_EXPECTED}, of 1 to {MOST_DIMENSIONS}; found {d}")
        return columns, d

    def _measure(self) -> int:
        """Return the length of the first vector that is there."""
        for batch in self._file.iter_batches(1024, columns=["embedding"]):
            lengths = pc.list_value_length(batch.column(0)).drop_null()
            if len(lengths):
                return int(lengths[0].as_py())
        return 0

    def _take(self, batch: pa.RecordBatch, first: int) -> TableRows:
        names = self._read_names(batch.column(0), first)
        n_vectors, d = len(self._vectors), self.header.n_dimensions
        numbers = np.empty((batch.num_rows, self.header.n_numbers), dtype=np.float32)
        for i, mark in enumerate(batch.columns[1 + n_vectors :]):
            numbers[:, d + i] = _read_numbers(mark)
        if self._vectors == ["embedding"]:
            numbers[:, :d] = self._read_lists(batch.column(1), first)
        else:
            for i, column in enumerate(batch.columns[1 : 1 + d]):
                numbers[:, i] = _read_numbers(column)
        rows = TableRows(names, numbers, first)
        self._check(rows)
        return rows

    def _read_names(self, column: pa.Array, first: int) -> list[str]:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            self._fail(f"{_EXPECTED}; found names of {column.type}")
        if column.null_count:
            empty = int(np.argmax(np.asarray(column.is_null())))
            self._fail("it has no name; expected one in each row", f", row {first + empty}")
        names: list[str] = column.to_pylist()
        return names

    def _read_lists(self, column: pa.Array, first: int) -> NDArray[np.float32]:
        """Return (r, d) float32, NaN in rows without a vector."""
        d = self.header.n_dimensions
        vectors = np.full((len(column), d), np.nan, dtype=np.float32)
        is_there = np.asarray(column.is_valid())
        lengths = np.asarray(pc.list_value_length(column).fill_null(d))
        if (lengths != d).any():
            row = int(np.argmax(lengths != d))
            self._fail(f"its vector has {lengths[row]} numbers, those above {d}", f", row {first + row}")
        vectors[is_there] = _read_numbers(column.drop_null().flatten()).reshape(-1, d)
        return vectors

    def _check(self, rows: TableRows) -> None:
        """Refuse numbers that are not finite, but for those of a row that is to be ignored."""
        is_finite = np.isfinite(rows.numbers)
        if is_finite.all():
            return
        masked = self.header.find_mark("masked")
        is_masked = np.zeros(len(rows.names), bool) if masked is None else rows.numbers[:, masked] == 1
        bad = ~is_finite.all(axis=1) & ~is_masked
        if bad.any():
            row = int(np.argmax(bad))
            self._fail(
                "it has a number that is missing, not finite or above 3.4e38. Leave out the row of an image that has "
                "no vector, or add a column masked with 1 in its row",
                f", {rows.place(row)}",
            )
        rows.numbers[~is_finite] = 0

    def _explain(self, error: Exception) -> NoReturn:
        reason = " ".join(str(error).split())[:200]
        raise UnusableData(f"{self._where} can't be read as Parquet: it is damaged or cut off ({reason}).") from error

    def _fail(self, problem: str, place: str = "") -> NoReturn:
        raise UnusableData(f"{self._where}{place}: {problem}.")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _read_numbers(column: pa.Array) -> NDArray[Any]:
    """Return (r,) numbers, NaN for null."""
    if not _is_number(column.type):
        raise pa.ArrowInvalid(f"a column of {column.type}, expected numbers")
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    with np.errstate(over="ignore"):
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False).astype(np.float32)
    return values

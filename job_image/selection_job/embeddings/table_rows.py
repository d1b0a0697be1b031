"""The rows of an embeddings table, some ten thousand at a time, each checked for its form; here those of a CSV file."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from selection_job.embeddings.table_header import EmbeddingsHeader
from selection_job.errors import UnusableData
from selection_job.numeric.csv_rows import AFTER_QUOTE, ParsedRows, parse_rows

BLOCK_BYTES = 16 * 1024**2
"""How much is read at a time; a longer row is refused."""

_MOST_ROWS = 65536
_MOST_NUMBERS = 4 * 1024**2
_NUMBER = re.compile(rb"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?[ \t]*")
_LONGEST_NUMBER = 1000


@dataclass(frozen=True, eq=False)
class TableRows:
    """Rows that follow one another. The arrays hold good until the next rows are read."""

    names: list[str]
    numbers: NDArray[np.float32]  # (r, m) finite: the vector, then the marks; 0 for what is no number in a masked row
    first: int
    """The number of the first of them in the file: its line, or its row."""

    def place(self, row: int) -> str:
        """Say where in the file a row is."""
        return f"row {self.first + row}"


@dataclass(frozen=True, eq=False)
class CsvRows(TableRows):
    """Rows of a CSV file, some of which may take more than a line."""

    starts: NDArray[np.int64]  # (r,) first byte of each row in text
    text: bytes

    def line(self, row: int) -> int:
        """Return the line of the file that a row begins on."""
        return self.first + self.text.count(b"\n", 0, int(self.starts[row]))

    def place(self, row: int) -> str:
        """Say where in the file a row is."""
        return f"line {self.line(row)}"


class RowReader:
    """Reads a table's rows after its header. Memory: some 60 MB, whatever the file."""

    def __init__(self, file: BinaryIO, header: EmbeddingsHeader, *, where: str, note: Callable[[bytes], None]) -> None:
        """Read on from where the file is; note is given all that is read."""
        self._file, self._header, self._where, self._note = file, header, where, note
        self._line = 2
        n_rows = min(_MOST_ROWS, max(1, _MOST_NUMBERS // header.n_numbers))
        self._numbers = np.empty((n_rows, header.n_numbers), dtype=np.float32)
        self._places = np.empty((n_rows, 3), dtype=np.int64)
        self._starts = np.empty(n_rows, dtype=np.int64)
        self._slow = np.empty((len(header.columns) + n_rows, 4), dtype=np.int64)

    def read(self) -> Iterator[CsvRows]:
        """Yield all rows. Raises UnusableData for the first that is at fault, with its line."""
        text, is_last = b"", False
        while not is_last:
            content = self._file.read(BLOCK_BYTES)
            self._note(content)
            is_last = len(content) < BLOCK_BYTES
            text += content + (b"\n" if is_last else b"")
            has_more = True
            while has_more:
                rows = self._parse(text)
                text = text[len(rows.text) :]
                has_more = len(rows.names) > 0
                if has_more:
                    yield rows
            if (is_last and text) or len(text) > BLOCK_BYTES:
                self._fail(self._line, "this row does not end: a quote is not closed, or it is longer than 16 MiB")

    def _parse(self, text: bytes) -> CsvRows:
        """Return as many rows as there is room for, none where text does not hold a whole one."""
        content = np.frombuffer(text, dtype=np.uint8)
        parsed = parse_rows(content, self._header.columns, self._numbers, self._places, self._starts, self._slow)
        rows = self._check(text[: parsed.end], parsed)
        self._line += rows.text.count(b"\n")
        if parsed.n_fields != len(self._header.columns):
            self._fail(self._line, _describe_fields(parsed.n_fields, len(self._header.columns)))
        return rows

    def _check(self, text: bytes, parsed: ParsedRows) -> CsvRows:
        n_rows = parsed.n_rows
        rows = CsvRows([], self._numbers[:n_rows], self._line, self._starts[:n_rows], text)
        for row, field, first, end in self._slow[: parsed.n_slow].tolist():
            rows.numbers[row, self._header.columns[field]] = self._read_slowly(text[first:end], rows, row, field)
        for row, (first, end, quotes) in enumerate(self._places[:n_rows].tolist()):
            name = text[first:end] if quotes < 2 else text[first:end].replace(b'""', b'"')
            try:
                rows.names.append(name.decode())
            except UnicodeDecodeError:
                self._fail(rows.line(row), f"the name {name!r} is not UTF-8; save the file as UTF-8")
        return rows

    def _read_slowly(self, text: bytes, rows: CsvRows, row: int, field: int) -> np.float32:
        """Return a number that numeric.csv_rows left: very long, very large or small, or none at all."""
        is_number = len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text)
        with np.errstate(over="ignore"):
            value = np.float32(float(text) if is_number else math.nan)
        if not np.isfinite(value):
            if self._is_masked(rows, row):
                return np.float32(0)
            found = repr(text[:40].decode("utf-8", "backslashreplace")) if text else "empty"
            problem = f"{self._header.names[field]} is {found}; expected a number below 3.4e38, as 0.25 or -1e-3"
            self._fail(rows.line(row), problem + _advise_number(text))
        return value

    def _is_masked(self, rows: CsvRows, row: int) -> bool:
        """Say whether the row is to be ignored, whatever its vector is."""
        place = self._header.find_mark("masked")
        return place is not None and bool(rows.numbers[row, place] == 1)

    def _fail(self, line: int, problem: str) -> NoReturn:
        raise UnusableData(f"{self._where}, line {line}: {problem}.")


def _advise_number(text: bytes) -> str:
    """Return what to do about a field that is no number."""
    word = text.strip().lower()
    if not word or word.lstrip(b"+-") in {b"nan", b"inf", b"infinity", b"none", b"null", b"n/a", b"na"}:
        return ". Leave out the row of an image that has no vector, or add a column masked with 1 in its row"
    if re.fullmatch(rb"[+-]?[0-9]*,[0-9]+(e[+-]?[0-9]+)?", word):
        return ", with a point, not a comma"
    if "\N{MINUS SIGN}".encode() in word:
        return ", with '-' as it stands on the keyboard"
    return ""


def _describe_fields(n_found: int, n_expected: int) -> str:
    if n_found == AFTER_QUOTE:
        return "something stands between a closing quote and the next comma; a quote in a name is written twice"
    hint = "a name that holds a comma is put in quotes" if n_found > n_expected else "write each row in full"
    return f"{n_found} {'field' if n_found == 1 else 'fields'}, where the header has {n_expected}; {hint}"

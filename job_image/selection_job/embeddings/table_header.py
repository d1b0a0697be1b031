"""The header of an embeddings table: filenames, embedding_0 …, labels, and what may stand beside them."""

import csv
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.numeric.csv_rows import NAME, TEXT

MOST_DIMENSIONS = 4096
MARKS = ("masked", "selected", "al_score")
"""Columns with a meaning besides the vector's, in the order of EmbeddingsHeader.marks."""

_EXPECTED = "expected filenames,embedding_0,embedding_1,…,labels"
_PANDAS_INDEX = re.compile(r"|Unnamed: [0-9]+|index|level_[0-9]+")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "'|'"}
COMPONENT = re.compile(r"embedding_(0|[1-9][0-9]{0,4})")


@dataclass(frozen=True)
class EmbeddingsHeader:
    """What each field of a row is."""

    n_dimensions: int
    columns: NDArray[np.int64]
    """(c,) as numeric.csv_rows takes them: components first, then the marks that are there."""
    marks: tuple[str, ...]
    """Of MARKS, those that are there."""
    names: tuple[str, ...]
    """Of the columns, as they stand in the file."""
    unused: tuple[str, ...]
    """Columns behind labels that mean nothing to a run."""

    @property
    def n_numbers(self) -> int:
        """How many numbers a row gives."""
        return self.n_dimensions + len(self.marks)

    def find_mark(self, mark: str) -> int | None:
        """Return which of a row's numbers is the mark; None where the table has no such column."""
        return self.n_dimensions + self.marks.index(mark) if mark in self.marks else None


def parse_header(line: bytes, *, where: str) -> EmbeddingsHeader:
    """Return what the columns are.

    line   the first line of the file, with its end; empty only where the file is
    where  the file as users know it, for messages

    The columns may come in any order between filenames and labels; masked, selected, al_score and columns that are
    not used may also stand behind labels.
    Raises UnusableData where a column is missing, unknown or there twice.
    """
    if not line:
        raise UnusableData(f"{where} is empty; {_EXPECTED} in its first line, and below it a row for each image.")
    names = _split(line, where)
    _check_order(names, where)
    n_dimensions = sum(COMPONENT.fullmatch(name) is not None for name in names)
    if not 1 <= n_dimensions <= MOST_DIMENSIONS:
        raise UnusableData(
            f"{where}, line 1: {_EXPECTED} with 1 to {MOST_DIMENSIONS} components; found {n_dimensions}."
        )
    marks = tuple(mark for mark in MARKS if mark in names)
    places = {f"embedding_{i}": i for i in range(n_dimensions)}
    if missing := [name for name in places if name not in names]:
        raise UnusableData(
            f"{where}, line 1: {n_dimensions} components are there, and {missing[0]} is missing. They count from "
            "embedding_0 without a gap."
        )
    places |= {mark: n_dimensions + i for i, mark in enumerate(marks)}
    known = {"filenames": NAME, "labels": TEXT, **places}
    columns = np.array([known.get(name, TEXT) for name in names], dtype=np.int64)
    return EmbeddingsHeader(
        n_dimensions, columns, marks, tuple(names), tuple(name for name in names if name not in known)
    )


def _split(line: bytes, where: str) -> list[str]:
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        found = "is UTF-16" if line.startswith(_UTF_16) else f"is not UTF-8 (byte {error.start} of its first line)"
        raise UnusableData(f"{where} {found}; save it as UTF-8.") from error
    return next(csv.reader([text]), [])


def _check_order(names: list[str], where: str) -> None:
    if names[:1] != ["filenames"] or "labels" not in names:
        found = quote_some(names) or "an empty line"
        raise UnusableData(f"{where}, line 1: {_EXPECTED}; found {found}.{_advise(names)}")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise UnusableData(f"{where}, line 1: there are two columns {quote_some(repeated)}.")
    between = names[1 : names.index("labels")]
    if odd := [name for name in between if not COMPONENT.fullmatch(name) and name not in MARKS]:
        raise UnusableData(
            f"{where}, line 1: {_EXPECTED}; found {quote_some(odd)} among them. Other columns go behind labels."
        )
    if late := [name for name in names[names.index("labels") :] if COMPONENT.fullmatch(name)]:
        raise UnusableData(f"{where}, line 1: {_EXPECTED}; found {quote_some(late)} behind labels.")


def _advise(names: list[str]) -> str:
    """Return what to do about a header that lacks its first or its last column, as sentences after a blank."""
    first = names[0] if names else ""
    if len(names) == 1 and (used := [words for sign, words in _SEPARATORS.items() if sign in first]):
        return f" The columns are separated by {used[0]}: save the table with commas (pandas: sep=',')."
    if first.startswith("#"):
        return " Delete what stands before the header."
    if any(name != name.strip() for name in names):
        return " Delete the blanks around the names and behind the commas."
    missing = " The column labels is missing: add one, 0 in each row will do." if "labels" not in names else ""
    return (_advise_first(names) + missing) if names else ""


def _advise_first(names: list[str]) -> str:
    if names[0] == "filenames":
        return ""
    if "filenames" not in names:
        return f" The first column is called filenames, not {names[0][:200]!r}."
    if _PANDAS_INDEX.fullmatch(names[0]):
        return " The first column is an index that pandas wrote: save the table with index=False."
    return " filenames is the first column; others that a run is not to use go behind labels."

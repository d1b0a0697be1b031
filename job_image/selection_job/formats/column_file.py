"""Column files: arrays and texts by name in one .npz, uncompressed, so equal columns give equal bytes.

They lie in buckets, so what is read is hostile: nothing is unpickled, no array takes more memory than the file has
bytes, and one is made only where its header, which is bounded too, has the wanted type and shape.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import prod
from operator import gt
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

Default = TypeVar("Default")

_MOST_HEADER_BYTES = 1024  # numpy writes 128
_DAMAGE = (
    KeyError, TypeError, EOFError, RuntimeError, MemoryError, OverflowError, SyntaxError, TokenError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class DamagedFile(ValueError):
    """The file is no column file, or a wanted column is missing. Its cause is the library's error, where one told."""


@dataclass(frozen=True)
class ColumnType:
    """What a column is declared to hold."""

    dtype: DTypeLike
    row: tuple[int | None, ...] = ()
    """Shape of a row; None is any length."""
    is_finite: bool = False
    """Neither NaN nor infinity."""


def write_column_file(file: Path | IO[bytes], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write the columns. A path ends in .npz."""
    np.savez(file, **columns)  # type: ignore[arg-type]  # its options come before, and no column is called so


def pack_texts(name: str, texts: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return texts as one column of bytes and one of their ends: they may hold newlines, NULs and surrogates."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return {name: np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{name}_ends": ends}


@contextmanager
def open_column_file(file: Path | bytes) -> Iterator["ColumnFile"]:
    """Open what write_column_file wrote, for the block.

    Raises DamagedFile for any other file, and in place of what the block trips over in its content: a KeyError or
    TypeError for example. A path that is not there is an OSError.
    """
    n_bytes = len(file) if isinstance(file, bytes) else file.stat().st_size
    try:
        with zipfile.ZipFile(BytesIO(file) if isinstance(file, bytes) else file) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > n_bytes or any(member.compress_type for member in members):
                raise DamagedFile("it is compressed, and no run writes it so")
            yield ColumnFile(archive)
    except _DAMAGE as error:
        raise DamagedFile(str(error)) from error


class ColumnFile:
    """The columns of an open file; each is read when it is taken."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = dict.fromkeys(name.removesuffix(".npy") for name in archive.namelist()).keys()

    def take(self, name: str, column: ColumnType, n: int | None = None, *, otherwise: str = "") -> NDArray[Any]:
        """Return a column of n rows, as it is declared; of any number without n.

        otherwise  the message where it is another one
        Raises KeyError where it is missing, ValueError where it is another.
        """
        values = self._load(name, np.dtype(column.dtype), (n, *column.row))
        if values is None or (column.is_finite and not np.isfinite(values).all()):
            raise ValueError(otherwise or f"{name} is of another form")
        return values

    def take_or(
        self, default: Default, name: str, column: ColumnType, n: int | None = None, *, otherwise: str = ""
    ) -> NDArray[Any] | Default:
        """Return a column as take does, or the default where the file has none of this name. Raises ValueError."""
        return self.take(name, column, n, otherwise=otherwise) if name in self.names else default

    def take_all(self, columns: Mapping[str, ColumnType], n: int, *, fits: str) -> dict[str, NDArray[Any]]:
        """Return columns of n rows each, by name; fits says what the rows are of, for the message: '5 names'."""
        return {
            name: self.take(name, column, n, otherwise=f"{name} does not fit {fits}")
            for name, column in columns.items()
        }

    def take_text(self, name: str) -> str:
        """Return a single text, kept as np.array(text)."""
        value = self._load(name, np.dtype(np.str_), ())
        if value is None:
            raise ValueError(f"{name} is no text")
        return str(value)

    def take_texts(self, name: str) -> list[str]:
        """Return what pack_texts was given. Raises KeyError or ValueError as take does."""
        content = self.take(name, ColumnType(np.uint8)).tobytes()
        ends = self.take(f"{name}_ends", ColumnType(np.int64)).tolist()
        starts = [0, *ends][: len(ends)]
        if any(map(gt, starts, ends)) or (ends[-1] if ends else 0) != len(content):
            raise ValueError(f"its {name} do not add up")
        return [content[start:end].decode("utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=True)]

    def _load(self, name: str, wanted: np.dtype[Any], shape: tuple[int | None, ...]) -> NDArray[Any] | None:
        """Return the array; None where its header speaks of another one, before anything is read of it."""
        member = self._archive.getinfo(f"{name}.npy")
        with self._archive.open(member) as stream:
            edges, dtype = _read_header(stream)
            n_bytes = member.file_size - stream.tell()
        if not (_is_of(dtype, wanted) and _is_within(edges, shape)):
            return None
        if prod(edges) * dtype.itemsize != n_bytes:
            raise DamagedFile(f"{name} is not as long as it says")
        with self._archive.open(member) as stream:
            values: NDArray[Any] = npy.read_array(stream, allow_pickle=False, max_header_size=_MOST_HEADER_BYTES)
        return values


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of the array that follows in the stream."""
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError("no run writes an array so")
        shape, _, dtype = npy.read_array_header_1_0(stream, max_header_size=_MOST_HEADER_BYTES)
    except ValueError as error:
        raise DamagedFile(str(error).partition("\n")[0]) from error
    return shape, dtype


def _is_of(dtype: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Say whether an array has the wanted type; one without a length, as np.str_, stands for all lengths."""
    return dtype == wanted or (wanted.itemsize == 0 < dtype.itemsize and dtype.kind == wanted.kind)


def _is_within(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(edge == most or (most is None and edge >= 0) for edge, most in pairs)

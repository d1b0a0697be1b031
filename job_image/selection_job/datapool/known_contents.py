"""KnownContents: which bytes the listed versions of files stand for, as far as somebody has read them.

A listing tells a file's name, size and version (ETag, or time of change), and the version of equal bytes changes with
every copy. So content decides whether a file is the one that was seen before; what was listed only saves reading it.
All are digests with the file's name in them, so that one set of them answers for all files; b"" is unknown.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Listing
from selection_job.formats.column_file import ColumnType, open_column_file, write_column_file

VERSION, CONTENT, PLACE = np.dtype("S16"), np.dtype("S16"), np.dtype("S8")
"""Of name and version; of name and bytes; of name and size. S16 drops zero bytes at the end and compares as if they
were there, so no two digests are mixed up."""


@dataclass(frozen=True, eq=False)
class KnownContents:
    """Columns of the same length, in any order: 40 bytes a file."""

    versions: NDArray[np.bytes_]  # (m,) S16
    contents: NDArray[np.bytes_]  # (m,) S16
    places: NDArray[np.bytes_]  # (m,) S8

    def find(self, versions: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
        """Return (n,) S16: the content that each version stands for, b"" where that is unknown."""
        found = np.zeros(len(versions), CONTENT)
        is_known = self.contents != b""
        order = np.argsort(self.versions[is_known])
        known, contents = self.versions[is_known][order], self.contents[is_known][order]
        if not len(known) or not len(versions):
            return found
        asked = np.argsort(versions)  # in order, a search takes a tenth of the time
        rows = np.minimum(np.searchsorted(known, versions[asked]), len(known) - 1)
        found[asked] = np.where(known[rows] == versions[asked], contents[rows], b"")
        return found

    def add(self, newer: "KnownContents") -> "KnownContents":
        """Return these and the newer ones, which take the place of what is known of the same names and sizes."""
        return join_known([self.take(~np.isin(self.places, newer.places)), newer])

    def take(self, rows: NDArray[np.bool_]) -> "KnownContents":
        """Return some of the rows."""
        return KnownContents(self.versions[rows], self.contents[rows], self.places[rows])


NOTHING_KNOWN = KnownContents(np.empty(0, VERSION), np.empty(0, CONTENT), np.empty(0, PLACE))


def join_known(parts: Iterable[KnownContents]) -> KnownContents:
    """Return the rows of all parts."""
    every = [NOTHING_KNOWN, *parts]
    return KnownContents(*(np.concatenate([getattr(part, each.name) for part in every]) for each in fields(every[0])))


def digest_versions(listing: Listing) -> NDArray[np.bytes_]:
    """Return (n,) S16: another one for each name and version. 1 µs each."""
    versions = (version.encode("utf-8", "surrogatepass") for version in listing.versions)
    return _digest(listing.names, versions, VERSION)


def digest_places(names: Iterable[str], sizes_bytes: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """Return (n,) S8: another one for each name and size."""
    return _digest(names, (str(size).encode() for size in sizes_bytes.tolist()), PLACE)


def digest_contents(names: Iterable[str], sha256: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return (n,) S16: another one for each name and bytes; b"" where the digest of the bytes, (n, 32), is zeros."""
    contents = _digest(names, (row.tobytes() for row in sha256), CONTENT)
    return np.where(sha256.any(axis=1), contents, np.zeros(1, CONTENT))


def _digest(names: Iterable[str], seconds: Iterable[bytes], dtype: "np.dtype[np.bytes_]") -> NDArray[np.bytes_]:
    digests = bytearray()
    for name, second in zip(names, seconds, strict=True):
        text = name.encode("utf-8", "surrogatepass") + b"\0" + second
        digests += blake2b(text, digest_size=dtype.itemsize).digest()
    return np.frombuffer(bytes(digests), dtype=dtype)


def dump_known(known: KnownContents) -> bytes:
    """Return it as a column file. Equal ones give equal bytes."""
    buffer = io.BytesIO()
    write_column_file(buffer, {each.name: getattr(known, each.name) for each in fields(known)})
    return buffer.getvalue()


def parse_known(content: bytes) -> KnownContents:
    """Read what dump_known returned. Raises ValueError for anything else: a bucket is hostile."""
    with open_column_file(content) as file:
        versions = file.take("versions", ColumnType(VERSION))
        n, fits = len(versions), f"{len(versions)} versions"
        others = file.take_all({"contents": ColumnType(CONTENT), "places": ColumnType(PLACE)}, n, fits=fits)
    return KnownContents(versions, **others)

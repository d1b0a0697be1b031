"""PoolPart: what one run adds to a dataset's datapool, as one file that is written once.

A pool is the set of its parts, so adding to it is writing one object: there is no index that two runs could both
change, and none that a crash could leave behind half written.
"""

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.formats.packed_names import pack_names, unpack_names

FORMAT = 1
_ARRAYS: dict[str, tuple[Any, tuple[int, ...]]] = {  # type, and shape of a row
    "sha256": (np.uint8, (32,)),
    "sizes_bytes": (np.int64, ()),
    "widths_px": (np.int32, ()),
    "heights_px": (np.int32, ()),
    "digests": (np.dtype("S16"), ()),
}
_DAMAGE = (
    KeyError, TypeError, EOFError, NotImplementedError, MemoryError, RecursionError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class PartHeader:
    """Who made the part, and what its vectors are comparable with."""

    run_id: str
    number: int
    """Parts count from 1, in the order in which their runs began."""
    added_at: str
    """ISO 8601 with a zone."""
    encoder: str
    """What tells encoders apart: the fingerprint of a network, or 'given' for vectors from a table."""
    encoder_source: str
    """The encoder in words."""


@dataclass(frozen=True, eq=False)
class PoolPart:
    """The images that a run selected, in the order of choice, and every object that it looked at."""

    header: PartHeader
    names: list[str]
    vectors: NDArray[np.float32]  # (k, d) as they come from the encoder
    sha256: NDArray[np.uint8]  # (k, 32) zeros where no image was read
    sizes_bytes: NDArray[np.int64]  # (k,)
    widths_px: NDArray[np.int32]  # (k,)
    heights_px: NDArray[np.int32]  # (k,)
    digests: NDArray[np.bytes_]  # (k,) S16 of name and version
    seen: NDArray[np.bytes_]  # (m,) S16, sorted: of name and version of every listed object


def dump_part(part: PoolPart) -> bytes:
    """Return the part as an .npz file. Equal parts give equal bytes."""
    header = {"format": FORMAT, **asdict(part.header)}
    columns: dict[str, Any] = {name: getattr(part, name) for name in (*_ARRAYS, "vectors", "seen")}
    columns |= {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **pack_names("names", part.names)}
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    return buffer.getvalue()


def parse_part(content: bytes) -> PoolPart:
    """Read what dump_part returned. Raises ValueError for anything else: a bucket is hostile."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_size(archive, len(content))
        with np.load(io.BytesIO(content), allow_pickle=False) as columns:
            return _check(_read(columns))
    except _DAMAGE as error:
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error


def _check_size(archive: zipfile.ZipFile, n_bytes: int) -> None:
    """Raise ValueError where the archive unpacks to more than it is: dump_part compresses nothing."""
    if sum(info.file_size for info in archive.infolist()) > n_bytes:
        raise ValueError("it is damaged (it is compressed, and no run writes it so)")


def _read(columns: Any) -> PoolPart:
    header = json.loads(columns["header"].tobytes())
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    if header.pop("format") != FORMAT:
        raise ValueError("it is of another version of this program")
    arrays = {name: columns[name] for name in (*_ARRAYS, "vectors", "seen")}
    return PoolPart(PartHeader(**header), unpack_names("names", columns), **arrays)


def _check(part: PoolPart) -> PoolPart:
    k, header = len(part.names), part.header
    for name, (dtype, shape) in _ARRAYS.items():
        values = getattr(part, name)
        if values.dtype != dtype or values.shape != (k, *shape):
            raise ValueError(f"{name} does not fit {k} names")
    vectors, seen = part.vectors, part.seen
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != k or not np.isfinite(vectors).all():
        raise ValueError(f"its vectors are no {k} rows of finite numbers")
    if seen.dtype != np.dtype("S16") or seen.ndim != 1:
        raise ValueError("what it has seen is no list of digests")
    texts = (header.run_id, header.added_at, header.encoder, header.encoder_source)
    if type(header.number) is not int or header.number < 1 or not all(isinstance(text, str) for text in texts):
        raise ValueError("its header is of other types")
    return part

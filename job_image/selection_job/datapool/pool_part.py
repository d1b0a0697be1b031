"""PoolPart: what one run adds to a dataset's datapool, as one file that is written once.

A pool is the set of its parts, so adding to it is writing one object: there is no index that two runs could both
change, and none that a crash could leave behind half written.
"""

import io
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.datapool.known_contents import (
    CONTENT,
    PLACE,
    VERSION,
    KnownContents,
    digest_contents,
    digest_places,
)
from selection_job.formats.column_file import (
    ColumnFile,
    ColumnType,
    DamagedFile,
    open_column_file,
    pack_texts,
    write_column_file,
)

FORMAT = 1
_COLUMNS = {
    "sha256": ColumnType(np.uint8, (32,)),
    "sizes_bytes": ColumnType(np.int64),
    "widths_px": ColumnType(np.int32),
    "heights_px": ColumnType(np.int32),
    "digests": ColumnType("S16"),
}
_ORIENTATIONS = "orientations"
_ORIENTATION = ColumnType(np.uint8)
_VECTORS = ColumnType(np.float32, (None,), is_finite=True)
_SEEN = ColumnType(VERSION)
_READ = {"contents": ColumnType(CONTENT), "places": ColumnType(PLACE)}
"""Parts of 0.1 have none, and 0.1 passes over columns that it does not know."""


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
    widths_px: NDArray[np.int32]  # (k,) of the picture as it is shown, where its orientation is known
    heights_px: NDArray[np.int32]  # (k,)
    orientations: NDArray[np.uint8]  # (k,) by which it was turned, 1 to 8; 0 in parts from before pictures were turned
    digests: NDArray[np.bytes_]  # (k,) S16 of name and version
    seen: NDArray[np.bytes_]  # (m,) S16, sorted: of name and version of every listed object
    contents: NDArray[np.bytes_]  # (m,) S16 of name and bytes of these; b"" where they were not read
    places: NDArray[np.bytes_]  # (m,) S8 of name and size of these; b"" where they were not read

    @property
    def known(self) -> KnownContents:
        """What the run has read. Of 0.1's parts that is what was selected, and of images only."""
        is_image = (self.sizes_bytes > 0) & self.sha256.any(axis=1)
        if not is_image.any() or (self.contents != b"").any():
            return KnownContents(self.seen, self.contents, self.places)
        names = [self.names[row] for row in np.flatnonzero(is_image).tolist()]
        return KnownContents(
            self.digests[is_image],
            digest_contents(names, self.sha256[is_image]),
            digest_places(names, self.sizes_bytes[is_image]),
        )


def dump_part(part: PoolPart) -> bytes:
    """Return the part as an .npz file. Equal parts give equal bytes."""
    header = {"format": FORMAT, **asdict(part.header)}
    arrays = (*_COLUMNS, _ORIENTATIONS, "vectors", "seen", *_READ)
    columns: dict[str, Any] = {name: getattr(part, name) for name in arrays}
    columns |= {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **pack_texts("names", part.names)}
    buffer = io.BytesIO()
    write_column_file(buffer, columns)
    return buffer.getvalue()


def parse_part(content: bytes) -> PoolPart:
    """Read what dump_part returned. Raises ValueError for anything else: a bucket is hostile."""
    try:
        with open_column_file(content) as file:
            return _read(file)
    except DamagedFile as error:
        cause = f"{type(error.__cause__).__name__}: " if error.__cause__ else ""
        raise ValueError(f"it is damaged ({cause}{error})") from error


def _read(file: ColumnFile) -> PoolPart:
    header = json.loads(file.take("header", ColumnType(np.uint8)).tobytes())
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    if header.pop("format") != FORMAT:
        raise ValueError("it is of another version of this program")
    names = file.take_texts("names")
    seen = file.take("seen", _SEEN, otherwise="what it has seen is no list of digests")
    k, m = len(names), len(seen)
    is_told = _READ.keys() <= file.names
    none = {key: np.zeros(m, column.dtype) for key, column in _READ.items()}
    return PoolPart(
        _check_header(PartHeader(**header)),
        names,
        **file.take_all(_COLUMNS, k, fits=f"{k} names"),
        orientations=file.take_or(
            np.zeros(k, np.uint8), _ORIENTATIONS, _ORIENTATION, k, otherwise=f"{_ORIENTATIONS} does not fit {k} names"
        ),
        vectors=file.take("vectors", _VECTORS, k, otherwise=f"its vectors are no {k} rows of finite numbers"),
        seen=seen,
        **(file.take_all(_READ, m, fits=f"{m} files") if is_told else none),
    )


def _check_header(header: PartHeader) -> PartHeader:
    texts = (header.run_id, header.added_at, header.encoder, header.encoder_source)
    if type(header.number) is not int or header.number < 1 or not all(isinstance(text, str) for text in texts):
        raise ValueError("its header is of other types")
    return header

"""The boxes of an MP4 or MOV file, looked through before FFmpeg takes memory for what they promise."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex"}
_COMPRESSED = b"cmov"
_MORE = b""
_MOST_BOXES = 10_000
_DEEPEST = 8
_MOST_TIMES_THE_FILE = 64
"""Samples of one size may promise so many times the bytes that are there: a copy may have been cut off. A kilobyte of
a hostile file could promise 80 million samples otherwise, for which FFmpeg takes 5 GB before it reads the first."""

_MOST_SAMPLES = 20_000_000
"""Of one size: FFmpeg takes 35 bytes for each before it reads the first. Plain sound, of which it takes chunks, may
have more."""

File = io.BytesIO | io.RawIOBase


@dataclass
class _Track:
    """What the boxes of a track say of its samples."""

    n_samples: int = 0
    is_sound: bool = False
    is_other: bool = False

    @property
    def is_plain_sound(self) -> bool:
        """Whether each sample is one number of a sound, so that FFmpeg looks at whole chunks of them."""
        return self.is_sound and not self.is_other

    def note(self, file: File, kind: bytes, start: int) -> None:
        """Note what the track is, and how long its samples last."""
        if kind == b"hdlr":
            *_, handler = _read(file, start, ">II4s")
            self.is_sound |= handler == b"soun"
            self.is_other |= handler == b"vide"
        if kind == b"stts":
            _, n_entries, _, duration = _read(file, start, ">IIII")
            self.is_other |= (n_entries, duration) != (1, 1)


def is_fragmented(file: File) -> bool:
    """Say whether the samples are told fragment by fragment."""
    return any(kind == b"mvex" for kind, _ in _walk_index(file))


def promises_too_much(file: File) -> bool:
    """Say whether a track has more samples of one size than the file could ever hold, or whether nobody can see that.

    It can't be seen where the index is compressed, and behind more boxes than are looked through.
    """
    size_bytes, tracks = file.seek(0, io.SEEK_END), [_Track()]
    for kind, start in _walk_index(file):
        if kind in (_COMPRESSED, _MORE):
            return True
        if kind == b"trak":
            tracks.append(_Track())
        if kind == b"stsz":
            _, sample_bytes, n_samples = _read(file, start, ">III")
            if sample_bytes * n_samples > _MOST_TIMES_THE_FILE * size_bytes:
                return True
            tracks[-1].n_samples = max(tracks[-1].n_samples, n_samples if sample_bytes else 0)
        tracks[-1].note(file, kind, start)
    return any(track.n_samples > _MOST_SAMPLES and not track.is_plain_sound for track in tracks)


def is_index_cut_off(file: File) -> bool:
    """Say whether the index goes on beyond the end of the file."""
    size_bytes = file.seek(0, io.SEEK_END)
    for kind, start, end in _walk(file, 0, size_bytes, [_MOST_BOXES]):
        if kind == b"moov":
            (promised,) = _read(file, start - 8, ">I")
            return bool(start - 8 + promised > end)
    return False


def _walk_index(file: File) -> Iterator[tuple[bytes, int]]:
    """Yield kind and start of the content of each box of the index, and _MORE where these are too many."""
    left = [_MOST_BOXES]
    size_bytes = file.seek(0, io.SEEK_END)
    for kind, start, end in _walk(file, 0, size_bytes, left):
        if kind == b"moov":
            yield from _descend(file, start, end, left, _DEEPEST)
            break
    if left[0] == 0:
        yield _MORE, 0


def _descend(file: File, start: int, end: int, left: list[int], depth: int) -> Iterator[tuple[bytes, int]]:
    for kind, child_start, child_end in _walk(file, start, end, left):
        yield kind, child_start
        if kind in _CONTAINERS and depth > 0:
            yield from _descend(file, child_start, child_end, left, depth - 1)


def _walk(file: File, start: int, end: int, left: list[int]) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the boxes that lie side by side."""
    while start + 8 <= end and left[0] > 0:
        left[0] -= 1
        size, kind = _read(file, start, ">I4s")
        content = start + 8
        if size == 1:
            (size,) = _read(file, content, ">Q")
            content += 8
        elif size == 0:
            size = end - start
        if start + size < content:
            return
        yield kind, content, min(start + size, end)
        start += size


def _read(file: File, start: int, layout: str) -> tuple[Any, ...]:
    """Return numbers of the file; zeros beyond its end."""
    file.seek(start)
    n = struct.calcsize(layout)
    return struct.unpack(layout, b"".join(file.read(1) or b"" for _ in range(n)).ljust(n, b"\0"))  # at a block's end

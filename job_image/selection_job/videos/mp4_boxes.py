"""The boxes of an MP4 or MOV file, looked through before FFmpeg takes memory for what they promise."""

import io
import struct
from collections.abc import Iterator
from typing import Any

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex"}
_MOST_BOXES = 10_000
_DEEPEST = 8
_MOST_TIMES_THE_FILE = 64
"""Samples of one size may promise so many times the bytes that are there: a copy may have been cut off. A kilobyte of
a hostile file could promise 80 million samples otherwise, for which FFmpeg takes 5 GB before it reads the first."""

File = io.BytesIO | io.RawIOBase


def is_fragmented(file: File) -> bool:
    """Say whether the samples are told fragment by fragment."""
    return any(kind == b"mvex" for kind, _ in _walk_index(file))


def promises_too_much(file: File) -> bool:
    """Say whether a track has more samples of one size than the file could ever hold."""
    size_bytes = file.seek(0, io.SEEK_END)
    for kind, start in _walk_index(file):
        if kind == b"stsz":
            _, sample_bytes, n_samples = _read(file, start, ">III")
            if sample_bytes * n_samples > _MOST_TIMES_THE_FILE * size_bytes:
                return True
    return False


def _walk_index(file: File) -> Iterator[tuple[bytes, int]]:
    """Yield kind and start of the content of each box of the index, as far as boxes go."""
    left = [_MOST_BOXES]
    size_bytes = file.seek(0, io.SEEK_END)
    for kind, start, end in _walk(file, 0, size_bytes, left):
        if kind == b"moov":
            yield from _descend(file, start, end, left, _DEEPEST)
            return


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
    return struct.unpack(layout, (file.read(n) or b"").ljust(n, b"\0"))

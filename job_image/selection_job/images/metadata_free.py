"""Files without their metadata: good pixels stay usable where a profile, a text or a maker's note can't be read.

Pillow reads metadata before pixels and refuses a file whose text unpacks to more than 1 MB, whose texts take more than
64 MB, or whose colour profile, resolution or maker's segment is damaged. Nothing here unpacks anything.
"""

import struct
import zlib
from collections.abc import Iterator

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}
_ORIENTATION_CHUNKS = {b"eXIf": b"", b"iTXt": b"XML:com.adobe.xmp\0\0"}  # and how such a chunk begins: not compressed
LARGE_BYTES = 1 << 16
"""Larger metadata of a PNG are not read, even where they hold the orientation; a JPEG's segment holds no more."""

_APPLICATION, _COMMENT, _SCAN = range(0xE0, 0xF0), 0xFE, 0xDA
_EXIF, _ADOBE = 0xE1, 0xEE  # the orientation, and which colours the numbers mean
_ADOBE_BYTES = 12


def leave_out_metadata(content: bytes) -> bytes:
    """Return a PNG or JPEG of what its pixels and its orientation need; other files, and damaged ones, as they are."""
    if content.startswith(_PNG):
        return _join(content, [chunk for chunk in _chunks(content) if _is_needed(content, *chunk)])
    if content.startswith(_JPEG):
        return b"".join([_JPEG, *_needed_segments(content)])
    return content


def leave_out_behind_pixels(content: bytes) -> bytes:
    """Return a PNG without large or compressed metadata behind its pixels, which Pillow reads last of all."""
    if not content.startswith(_PNG):
        return content
    chunks, is_behind, kept = list(_chunks(content)), False, []
    for chunk in chunks:
        is_behind = is_behind or chunk[0] == b"IDAT"
        if not is_behind or _is_needed(content, *chunk):
            kept.append(chunk)
    return content if len(kept) == len(chunks) else _join(content, kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk, the last of which may be cut off."""
    position = len(_PNG)
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        yield kind, position, end
        position = end


def _is_needed(content: bytes, kind: bytes, start: int, end: int) -> bool:
    if kind not in _ORIENTATION_CHUNKS:
        return kind in _PIXEL_CHUNKS
    body_end = end - 4
    is_whole = content[body_end:end] == struct.pack(">I", zlib.crc32(content[start + 4 : body_end]))
    is_plain = content.startswith(_ORIENTATION_CHUNKS[kind], start + 8)
    return end - start <= LARGE_BYTES and is_plain and is_whole


def _join(content: bytes, chunks: list[tuple[bytes, int, int]]) -> bytes:
    return b"".join([_PNG, *(content[start:end] for _, start, end in chunks)])


def _needed_segments(content: bytes) -> Iterator[bytes]:
    """Yield a JPEG's segments before its first scan, and all that follows in one piece."""
    position = len(_JPEG)
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if marker in (0xFF, _SCAN):
            break
        body = content[position + 4 : end]
        is_exif = marker == _EXIF and body.startswith(b"Exif\0\0")
        is_adobe = marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= _ADOBE_BYTES
        if is_exif or is_adobe or not (marker in _APPLICATION or marker == _COMMENT):
            yield content[position:end]
        position = end
    yield content[position:]

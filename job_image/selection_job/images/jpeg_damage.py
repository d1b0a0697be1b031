"""Damage within a JPEG's data: bytes lost or overwritten there decode to some picture; libjpeg's warnings alone tell.

Pillow drops the warnings, so TurboJPEG decodes the data a second time, in grey and at an eighth, for nothing but them.
It keeps the first warning only; a file that has one is therefore listened to again without what cameras and copying
leave in whole files: bytes between the segments, padding before a marker, no end marker, and bytes behind the end.
"""

import re
from dataclasses import dataclass

import simplejpeg

START, END = b"\xff\xd8", b"\xff\xd9"

MAX_STRAY_BYTES = 8
"""So many bytes before a marker are alignment, as webcams write it, rather than data that got out of step."""

_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file")
_STRAY = re.compile(r"(\d+) extraneous bytes before marker 0xd[0-79]")
_BEHIND = "extraneous bytes before marker"
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_ANY_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_KNOWN_END = re.compile(rb"\xff+[\xc0-\xc7\xc9-\xcf\xd9-\xdd\xe0-\xef\xfe]")
_PADDING = re.compile(rb"(?<!\xff)\x00{2,}(?=\xff+[\xd0-\xd9])")
_STOP, _SCAN = 0xD9, 0xDA
_ALONE = {0x01, *range(0xD0, 0xD9)}
_UNUSED = {*range(0xE0, 0xF0), 0xFE}  # application data and comments


def hear_damage(content: bytes) -> str:
    """Return libjpeg's first warning that the image data of a JPEG are damaged, '' for none.

    Silent on what leaves the pixels alone. What TurboJPEG can't decode at all (12 bits, lossless) is not judged.
    """
    return _judge(_strip(content)) if _listen(content) else ""


def end_properly(content: bytes) -> bytes | None:
    """Return a JPEG that lacks its end marker with one behind its data; None where its data are damaged, too."""
    stripped = _strip(content)
    return None if stripped.has_end or _judge(stripped) else content[: stripped.data_end] + END


@dataclass(frozen=True)
class _Stripped:
    """A JPEG of tables and data alone."""

    content: bytes
    has_end: bool
    """Whether its end marker is there; content has one in any case."""
    data_end: int
    """Where the last scan's data end in the file."""


def _judge(stripped: _Stripped) -> str:
    heard = _listen(stripped.content)
    if _BEHIND in heard and not stripped.has_end:
        return ""  # all rows are there, and what follows them stands in the end marker's place
    if _is_stray(heard) or (_BEHIND in heard and _is_padded(stripped.content)):
        return ""
    return heard if heard.startswith(_DAMAGE) else ""


def _is_padded(content: bytes) -> bool:
    """Say whether zeros before markers are all that is wrong; the data themselves may end in one."""
    fewer = (_PADDING.sub(kept, content) for kept in (b"\0", b""))
    return any(not heard or _is_stray(heard) for heard in map(_listen, fewer))


def _is_stray(heard: str) -> bool:
    stray = _STRAY.search(heard)
    return stray is not None and int(stray[1]) <= MAX_STRAY_BYTES


def _listen(content: bytes) -> str:
    """Return what libjpeg says first of all while it decodes, warning or error."""
    try:
        simplejpeg.decode_jpeg(content, "GRAY", fastdct=True, fastupsample=True, min_height=1, min_width=1)
    except ValueError as error:
        return str(error) or "unknown"
    return ""


def _strip(content: bytes) -> _Stripped:
    parts, position, first_scan, data_end = [START], len(START), len(content), len(content)
    content = _without_zeros(content)
    while found := _MARKER.search(content, position):
        marker, position = found[1][0], found.end()
        if marker == _STOP:
            break
        if marker in _ALONE:
            continue
        position += int.from_bytes(content[position : position + 2], "big")
        if marker not in _UNUSED:
            parts.append(content[found.end() - 2 : position])
        if marker == _SCAN:
            first_scan = min(first_scan, position)
            data_end = _find(_ANY_END, content, position)
            scan_end = _find(_KNOWN_END, content, data_end)
            parts.append(content[position:scan_end])
            position = scan_end
    return _Stripped(b"".join([*parts, END]), END in content[first_scan:], data_end)


def _without_zeros(content: bytes) -> bytes:
    """Return the file without the zeros at its end, which a copy leaves that has stopped too early."""
    cut = content.rstrip(b"\0")
    return cut + b"\0" if cut.endswith(b"\xff") else cut


def _find(pattern: re.Pattern[bytes], content: bytes, start: int) -> int:
    found = pattern.search(content, start)
    return found.start() if found else len(content)

"""Thumbnails: small JPEGs of the images, kept on the local disk so that report and plots need not read images again."""

import io
import logging
import os
import threading
import weakref
from pathlib import Path

from PIL import Image

log = logging.getLogger("selection_job")

THUMBNAIL_PX = 128
_QUALITY = 85


def make_thumbnail(image: Image.Image) -> bytes:
    """Return a JPEG that fits in 128 x 128 pixels; never enlarged.

    image    mode RGB, as decode_rgb returns it; is not changed
    """
    scale = min(1.0, THUMBNAIL_PX / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


class Thumbnails:
    """A bounded cache in one append-only file: a million little files would cost inodes and minutes to remove.

    When capacity_bytes is reached, or the disk is full, later thumbnails are dropped: the kept ones never move, and a
    dropped one is made again from its image by whoever needs it. A name's first thumbnail stays. Safe in threads.
    Memory: the index, about 200 bytes a kept thumbnail.
    """

    def __init__(self, folder: Path, capacity_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "thumbnails.bin", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self._descriptor)
        self._capacity_bytes = capacity_bytes
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._lock = threading.Lock()

    def put(self, name: str, jpeg: bytes) -> None:
        """Keep the thumbnail where there is room."""
        with self._lock:
            if name in self._places or self._end + len(jpeg) > self._capacity_bytes:
                return
            try:
                _write_all(self._descriptor, jpeg, self._end)
            except OSError as error:
                log.warning("No more thumbnails are kept on the local disk (%s); images are read again.", error)
                self._capacity_bytes = self._end
                return
            self._places[name] = (self._end, len(jpeg))
            self._end += len(jpeg)

    def get(self, name: str) -> bytes | None:
        """Return the thumbnail, or None where it was never put or was dropped."""
        place = self._places.get(name)
        if place is None:
            return None
        offset, size_bytes = place
        return os.pread(self._descriptor, size_bytes, offset)


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    """Write all bytes at offset; the system may write a part where the disk or a limit ends."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written

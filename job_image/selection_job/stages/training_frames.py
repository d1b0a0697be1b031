"""Frames to train on: a bounded choice, kept as small pictures on the local disk while the training lasts."""

import heapq
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_job.catalog.catalog import Listing
from selection_job.encoder.image_source import ImageSource
from selection_job.errors import UnusableData
from selection_job.reading.images import make_read_options
from selection_job.reading.videos import ReadFrame, VideoEnd, read_frames
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import Noted
from selection_job.stages.videos import make_sampling, open_bytes_bar
from selection_job.stores.local.store import LocalStore

MOST_TRAINING_FRAMES = 20_000
"""Some 600 MB as pictures. Neighbouring frames look alike, so a training gains little from more."""

_SHORTEST_PX = 256
_PER_INPUT_PX = 3  # crops cover at least 15% of an image: 39% of its edge, so nothing is enlarged
_QUALITY = 95


def take_training_frames(context: RunContext, listing: Listing) -> Noted[ImageSource]:
    """Decode the videos once and keep pictures of the frames whose hashes are the lowest: the same in every try.

    Raises UnusableData where no frame is usable.
    """
    folder = context.scratch / "training_frames"
    folder.mkdir(exist_ok=True)
    kept = _LowestHashes(folder, MOST_TRAINING_FRAMES)
    with open_bytes_bar(context, "Decoding frames to train on", listing) as bar:
        for frame in _read(context, listing):
            if isinstance(frame, VideoEnd):
                bar.advance(int(listing.sizes_bytes[frame.video_row]))
            elif frame.image.resized_pixels is not None:
                bar.advance(0)
                kept.offer(frame.video_row, frame.index, frame.image.resized_pixels)
    names = kept.list_names()
    if not names:
        raise UnusableData(f"No frame of the {len(listing.names)} videos can be decoded, so there is none to train on.")
    images = ImageSource(LocalStore(folder), names)
    if kept.n_offered == len(names):
        return Noted(images)
    return Noted(images, (f"{len(names)} of {kept.n_offered} frames were trained on, evenly drawn by a hash.",))


def _read(context: RunContext, listing: Listing) -> Iterator[ReadFrame | VideoEnd]:
    edge_px = max(_SHORTEST_PX, _PER_INPUT_PX * context.spec.lightly_config.collate.input_size)

    def choose_size(width_px: int, height_px: int) -> tuple[int, int]:
        scale = min(1.0, edge_px / min(width_px, height_px))
        return max(1, round(width_px * scale)), max(1, round(height_px * scale))

    options = replace(make_read_options(context.worker, None), choose_size=choose_size, resized_bytes=6 * edge_px**2)
    return read_frames(context.source, listing, options=options, sampling=make_sampling(context))


class _LowestHashes:
    """Keeps the pictures whose names have the lowest hashes, as files."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._heap: list[tuple[int, tuple[int, int]]] = []  # the highest hash first, as its negative
        self.n_offered = 0

    def offer(self, video_row: int, index: int, picture: NDArray[np.uint8]) -> None:
        self.n_offered += 1
        frame = (video_row, index)
        entry = (-int.from_bytes(blake2b(repr(frame).encode(), digest_size=8).digest()), frame)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            _, dropped = heapq.heapreplace(self._heap, entry)
            (self._folder / _name(dropped)).unlink()
        else:
            return
        (self._folder / _name(frame)).write_bytes(_encode(picture))

    def list_names(self) -> list[str]:
        """Return the names of the files, video by video, in time."""
        return [_name(frame) for frame in sorted(frame for _, frame in self._heap)]


def _name(frame: tuple[int, int]) -> str:
    return f"{frame[0]}-{frame[1]}.jpg"


def _encode(picture: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()

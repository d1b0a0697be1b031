"""Selected frames as images, data/sampled/, and thumbnails of frames that fell out of the local cache."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby

from PIL import Image

from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.frame_names import find_thumbnail_key
from selection_job.catalog.frames import Frames
from selection_job.images.decoding import CorruptImage
from selection_job.images.thumbnails import make_thumbnail
from selection_job.process.parallel_calls import call_in_parallel
from selection_job.results.pictures.image_copies import name_copies, write_changed
from selection_job.run.context import RunContext
from selection_job.selection.selection import Selection
from selection_job.videos.exact_frames import WantedFrame, read_exact

_PARALLEL_FRAMES = 8  # each holds a decoded frame: 25 MB of a 4K video


def write_frame_images(context: RunContext, listing: Listing, catalog: Catalog, selection: Selection) -> list[str]:
    """Write the selected frames to data/sampled/ in output_image_format; return notes on what was missing.

    Videos are opened once more, and no more of them is decoded than leads to the selected frames. Each frame is
    compared with what was embedded.
    """
    selected = selection.selected.tolist()
    copies = name_copies([catalog.names[row] for row in selected], context.worker.output_image_format)
    keys = {row: f"{context.run_key}data/sampled/{copy}" for row, copy in zip(selected, copies, strict=True)}
    notes: list[str] = []
    with context.progress.bar("Writing selected frames", len(selected), "frames") as bar:
        for note in call_in_parallel(_plan_writes(context, listing, catalog, keys), _PARALLEL_FRAMES):
            notes.extend(note)
            bar.advance()
    return notes


def _plan_writes(
    context: RunContext, listing: Listing, catalog: Catalog, keys: dict[int, str]
) -> Iterator[Callable[[], list[str]]]:
    """Yield a call for each frame; frames are decoded as calls are taken."""
    for row, image in _read_rows(context, listing, catalog, sorted(keys)):
        context.lock.check_cheaply()
        yield partial(_write, context, catalog.names[row], image, keys[row])


def _write(context: RunContext, name: str, image: Image.Image | str, key: str) -> list[str]:
    if isinstance(image, str):
        return [f"{name} could not be written to {key}: {image}"]
    context.thumbnails.put(find_thumbnail_key(name), make_thumbnail(image))
    try:
        context.target.write(key, write_changed(image, context.worker))
    except CorruptImage as error:
        return [f"{name} could not be written to {key}: {error}"]
    return []


def _read_rows(
    context: RunContext, listing: Listing, catalog: Catalog, rows: list[int]
) -> Iterator[tuple[int, Image.Image | str]]:
    """Yield row and image, or what is wrong, of each of the rows, which come video by video."""
    frames = catalog.frames
    assert frames is not None
    places = {name: place for place, name in enumerate(listing.names)}
    for video_row, group in groupby(rows, key=lambda row: int(frames.video_rows[row])):
        name = frames.videos[video_row]
        at = places[name]
        wanted = {_wanted(catalog, frames, row): row for row in group}
        found = read_exact(context.source, name, int(listing.sizes_bytes[at]), listing.versions[at], list(wanted))
        yield from ((wanted[frame], image) for frame, image in found)


def _wanted(catalog: Catalog, frames: Frames, row: int) -> WantedFrame:
    return WantedFrame(int(frames.indices[row]), int(frames.pts[row]), catalog.sha256[row].tobytes())


class FrameThumbnails:
    """Finds thumbnails of frames: in the local cache, or in the video where they fell out of it."""

    def __init__(self, context: RunContext, listing: Listing, catalog: Catalog) -> None:
        self._context, self._listing, self._catalog = context, listing, catalog
        self._rows: dict[str, int] = {}

    def get(self, name: str) -> bytes | None:
        """Return the JPEG, or None where the frame can't be had any more: one of the pool, a video that is gone."""
        key = find_thumbnail_key(name)
        kept = self._context.thumbnails.get(key)
        if kept is not None:
            return kept
        row = self._row_of(name)
        if row is None:
            return None
        for _, image in _read_rows(self._context, self._listing, self._catalog, [row]):
            if not isinstance(image, str):
                self._context.thumbnails.put(key, make_thumbnail(image))
                return make_thumbnail(image)
        return None

    def _row_of(self, name: str) -> int | None:
        if not self._rows:
            names = self._catalog.names[: self._catalog.n_new]
            self._rows = {name: row for row, name in enumerate(names)}
        return self._rows.get(name)

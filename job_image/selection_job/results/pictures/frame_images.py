"""Selected frames as images, data/sampled/, and thumbnails of frames that fell out of the local cache."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby

from PIL import Image

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.frame_names import find_thumbnail_key
from selection_job.catalog.frames import Frames
from selection_job.images.decoding import CorruptImage
from selection_job.images.thumbnails import Thumbnails, make_thumbnail
from selection_job.manifest.noun import FRAME
from selection_job.process.parallel_calls import call_in_parallel, check_before_each
from selection_job.process.progress import Progress
from selection_job.results.pictures.image_copies import name_copies, write_changed
from selection_job.selection.selection import Selection
from selection_job.stores.store import Store
from selection_job.videos.exact_frames import WantedFrame, read_exact

_PARALLEL_FRAMES = 8  # each holds a decoded frame: 25 MB of a 4K video


@dataclass(frozen=True, eq=False)
class FramePictures:
    """Finds pictures of frames in the videos that they come from, and keeps their thumbnails."""

    source: Store
    listing: Listing
    catalog: Catalog
    thumbnails: Thumbnails

    def read(self, rows: list[int]) -> Iterator[tuple[int, Image.Image | str]]:
        """Yield row and image, or what is wrong, of each of the rows of the catalog, which come video by video."""
        frames = self.catalog.frames
        places = {name: place for place, name in enumerate(self.listing.names)}
        for video_row, group in groupby(rows, key=lambda row: int(frames.video_rows[row])):
            name = frames.videos[video_row]
            at = places[name]
            wanted = {self._want(frames, row): row for row in group}
            size_bytes, version = int(self.listing.sizes_bytes[at]), self.listing.versions[at]
            for frame, image in read_exact(self.source, name, size_bytes, version, list(wanted)):
                yield wanted[frame], image

    def _want(self, frames: Frames, row: int) -> WantedFrame:
        return WantedFrame(int(frames.indices[row]), int(frames.pts[row]), self.catalog.sha256[row].tobytes())

    def keep_thumbnail(self, name: str, image: Image.Image) -> bytes:
        """Make the thumbnail of a frame, keep it, and return the JPEG."""
        made = make_thumbnail(image)
        self.thumbnails.put(find_thumbnail_key(name), made)
        return made

    def find_thumbnail(self, name: str) -> bytes | None:
        """Return the JPEG, from the video where it fell out of the local cache.

        None where the frame can't be had any more: one of the pool, a video that is gone.
        """
        kept = self.thumbnails.get(find_thumbnail_key(name))
        if kept is not None:
            return kept
        row = self._rows.get(name)
        for _, image in self.read([row] if row is not None else []):
            if not isinstance(image, str):
                return self.keep_thumbnail(name, image)
        return None

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.catalog.names[: self.catalog.n_new])}


def write_frame_images(
    pictures: FramePictures,
    target: Store,
    run_key: str,
    *,
    selection: Selection,
    worker: WorkerConfig,
    progress: Progress,
    check_cheaply: Callable[[], None],
) -> list[str]:
    """Write the selected frames to data/sampled/ in output_image_format; return notes on what was missing.

    Videos are opened once more, and no more of them is decoded than leads to the selected frames. Each frame is
    compared with what was embedded.
    check_cheaply  called before each frame is written; what it raises ends the writing after those under way
    """
    selected, names = selection.selected.tolist(), pictures.catalog.names
    copies = name_copies([names[row] for row in selected], worker.output_image_format)
    keys = {row: f"{run_key}data/sampled/{copy}" for row, copy in zip(selected, copies, strict=True)}

    def write(row: int, image: Image.Image | str) -> list[str]:
        if isinstance(image, str):
            return [f"{names[row]} could not be written to {keys[row]}: {image}"]
        pictures.keep_thumbnail(names[row], image)
        try:
            target.write(keys[row], write_changed(image, worker))
        except CorruptImage as error:
            return [f"{names[row]} could not be written to {keys[row]}: {error}"]
        return []

    notes: list[str] = []
    calls = (partial(write, row, image) for row, image in pictures.read(sorted(keys)))  # decoded as calls are taken
    with progress.bar("Writing selected frames", len(selected), FRAME.plural) as bar:
        for note in call_in_parallel(check_before_each(check_cheaply, calls), _PARALLEL_FRAMES):
            notes.extend(note)
            bar.advance()
    return notes

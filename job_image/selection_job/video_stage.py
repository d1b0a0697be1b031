"""The embedding stage of videos: each is read once, front to back, and its frames are embedded as they come."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog, Listing
from selection_job.embedding_stage import Embedded, check_usable, embed_into, fingerprint_embedding, load_embedded
from selection_job.encoder.encoder import Encoder
from selection_job.needs import list_measures
from selection_job.objects.crops import Crops
from selection_job.progress import Bar
from selection_job.videos.frame_catalog import FrameCatalogBuilder
from selection_job.videos.frame_sampling import FrameSampling
from selection_job.videos.reading import VideoEnd, read_frames
from selection_job.videos.thumbnail_keys import make_key
from selection_job.workplace import Workplace


def embed_videos(place: Workplace, listing: Listing, encoder: Encoder) -> Embedded:
    """Decode every video once, and check, hash and embed the frames that are looked at.

    listing  of videos
    Raises UnusableData when no frame is usable.
    """
    sampling = make_sampling(place)
    fingerprint = fingerprint_embedding(place, listing, encoder, sampling=repr(sampling))

    def embed(folder: Path) -> None:
        with open_bytes_bar(place, "Decoding and embedding", listing) as bar:
            embed_into(folder, place, encoder, _VideoReading(place, listing, encoder, sampling), bar)

    embedded = place.stages.reuse_or_make("embedding", fingerprint, embed, load_embedded)
    place.progress.count(input=embedded.catalog.n_input)
    check_usable(place, embedded.catalog)
    if embedded.catalog.frames is not None:
        place.notes.extend(embedded.catalog.frames.notes)
    return embedded


def make_sampling(place: Workplace) -> FrameSampling:
    """Return which frames the run looks at."""
    dataset = place.spec.dataset
    return FrameSampling(every_nth=dataset.every_nth_frame, target_fps=dataset.target_fps)


class _VideoReading:
    """One pass over videos. Progress is in bytes: nobody knows how many frames there are."""

    def __init__(self, place: Workplace, listing: Listing, encoder: Encoder, sampling: FrameSampling) -> None:
        measures = list_measures(place.spec)
        self._builder = FrameCatalogBuilder(listing.names, measures)
        self._place, self._listing = place, listing
        self._start_bytes = place.source.bytes_read
        options = replace(place.read_options(encoder.input_size_px), measures=measures)
        self._frames = read_frames(place.source, listing, options=options, sampling=sampling)

    def pixels(self, bar: Bar) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of the usable frames."""
        for frame in self._frames:
            if isinstance(frame, VideoEnd):
                self._builder.end(frame)
                self.advance(bar, 0)
                continue
            self._builder.add(frame)
            image = frame.image
            if image.thumbnail is not None:
                self._place.thumbnails.put(make_key(self._listing.names[frame.video_row], frame.index), image.thumbnail)
            if image.pixels is not None:
                yield image.pixels

    def advance(self, bar: Bar, n: int) -> None:
        """Count the bytes that were read since the last time."""
        read = self._place.source.bytes_read - self._start_bytes
        bar.advance(max(0, min(read, bar.total) - bar.done))

    def catalog(self) -> Catalog:
        """Return what was read."""
        return self._builder.build()

    def crops(self) -> Iterable[Crops]:
        """Return nothing: objects on frames are not embedded."""
        return ()


def list_frames(catalog: Catalog) -> Listing:
    """Return the frames as a listing of images, for what is known by their names."""
    n = len(catalog.names)
    return Listing(names=catalog.names, sizes_bytes=np.zeros(n, dtype=np.int64), versions=[""] * n)


def open_bytes_bar(place: Workplace, description: str, listing: Listing) -> AbstractContextManager[Bar]:
    """Return a bar over the bytes of all videos."""
    return place.progress.bar(description, int(listing.sizes_bytes.sum()), "bytes")

"""The embedding stage of videos: each is read once, front to back, and its frames are embedded as they come."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.crop_columns import Crops
from selection_job.catalog.embedded import Embedded
from selection_job.catalog.frame_names import make_thumbnail_key
from selection_job.encoder.encoder import Encoder
from selection_job.process.progress import Bar
from selection_job.reading.frame_catalog import FrameCatalogBuilder
from selection_job.reading.half_sample import HalfSample
from selection_job.reading.images import make_read_options
from selection_job.reading.videos import VideoEnd, read_frames
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import KeptStage
from selection_job.stages.embedding import check_usable, embed_into, fingerprint_embedding, load_embedded
from selection_job.videos.frame_sampling import FrameSampling


def embed_videos(context: RunContext, listing: Listing, encoder: Encoder) -> Embedded:
    """Decode every video once, and check, hash and embed the frames that are looked at.

    listing  of videos
    Raises UnusableData when no frame is usable.
    """
    sampling = make_sampling(context)
    fingerprint = fingerprint_embedding(context, listing, encoder, sampling=repr(sampling))

    def embed(folder: Path) -> None:
        with open_bytes_bar(context, "Decoding and embedding", listing) as bar:
            embed_into(folder, context, encoder, _VideoReading(context, listing, encoder, sampling), bar)

    embedded = context.stages.reuse_or_make(KeptStage("embedding", fingerprint, embed, load_embedded)).value
    context.progress.count(input=embedded.catalog.n_input)
    check_usable(context, embedded.catalog)
    return embedded


def make_sampling(context: RunContext) -> FrameSampling:
    """Return which frames the run looks at."""
    dataset = context.spec.dataset
    return FrameSampling(every_nth=dataset.every_nth_frame, target_fps=dataset.target_fps)


class _VideoReading:
    """One pass over videos. Progress is in bytes: nobody knows how many frames there are."""

    def __init__(self, context: RunContext, listing: Listing, encoder: Encoder, sampling: FrameSampling) -> None:
        measures = context.needs.measures
        self._builder = FrameCatalogBuilder(listing.names, measures)
        self._context, self._listing = context, listing
        self._start_bytes = context.source.bytes_read
        self.halves = HalfSample()
        options = replace(
            make_read_options(context.worker, encoder.preprocessing),
            measures=measures,
            wants_halves=self.halves.may_take,
        )
        is_digested = context.worker.use_datapool
        self._frames = read_frames(context.source, listing, options=options, sampling=sampling, is_digested=is_digested)

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
                self._context.thumbnails.put(
                    make_thumbnail_key(self._listing.names[frame.video_row], frame.index), image.thumbnail
                )
            if image.encoder_pixels is not None:
                self.halves.add(image.sha256, image.halves)
                yield image.encoder_pixels

    def advance(self, bar: Bar, n: int) -> None:
        """Count the bytes that were read since the last time."""
        read = self._context.source.bytes_read - self._start_bytes
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


def open_bytes_bar(context: RunContext, description: str, listing: Listing) -> AbstractContextManager[Bar]:
    """Return a bar over the bytes of all videos."""
    return context.progress.bar(description, int(listing.sizes_bytes.sum()), "bytes")

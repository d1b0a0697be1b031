"""Reading videos: each once, frame after frame: decode, and in threads convert, hash, check, resize.

A video is decoded in stretches, by threads that never wait for the consumer (parallel_calls): it asks for the next
stretch when it takes the one before. What a stretch holds is bounded in bytes, and the
first frames of the next videos are the only ones that wait beside it: memory depends on the size of the frames, not on
how many there are.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from av.error import FFmpegError
from PIL import Image

from selection_job.catalog.catalog import Listing
from selection_job.catalog.image_names import is_utf8
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.images.large_images import LargeImages
from selection_job.process.parallel_calls import begin_ahead, open_threads
from selection_job.reading.images import ReadImage, ReadOptions, examine_rgb
from selection_job.stores.store import Store
from selection_job.videos.decoding import DecodedFrame, Decoding
from selection_job.videos.frame_pixels import convert_rgb, digest_rgb
from selection_job.videos.frame_sampling import FrameSampler, FrameSampling
from selection_job.videos.video_bytes import VideoBytes, explain_failure
from selection_job.videos.video_file import CorruptVideo, OpenVideo, explain, open_video

_VIDEOS_AHEAD = 2  # a bucket takes several requests to open a video; meanwhile another one is decoded
_STRETCH_BYTES = 128 * 1024**2
_FRAMES_PER_THREAD = 8
_FIRST_FRAMES = 4  # of a video whose turn has not come
_DECODED_FRAMES = 256  # a stretch ends after so many even where few of them are looked at


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """One frame that is looked at."""

    video_row: int
    index: int
    pts: int  # in units of the stream's time base; -1 where there is none
    seconds: float  # NaN where there is no timestamp
    image: ReadImage
    """Its name is '', for names need the number of frames; its size_bytes is 0; its sha256 is digest_rgb's, and width
    and height are those of the upright picture. With a reason the frame can't be used."""


@dataclass(frozen=True, slots=True)
class VideoEnd:
    """A video is through. A reason stands only where not one frame was decoded."""

    video_row: int
    n_frames: int  # all that were decoded, looked at or not, usable or not
    reason: str | None = None
    notes: tuple[str, ...] = ()
    content: bytes = b""  # 32 bytes that tell its bytes from others; empty where not all were read


@dataclass(frozen=True)
class _Workers:
    """What the threads of one read_frames share."""

    store: Store
    listing: Listing
    options: ReadOptions
    sampling: FrameSampling
    is_digested: bool
    decoders: ThreadPoolExecutor
    threads: ThreadPoolExecutor
    stopped: threading.Event = field(default_factory=threading.Event)
    large: LargeImages = field(default_factory=LargeImages)


@dataclass(frozen=True)
class _Stretch:
    """Some frames of a video (index, pts, seconds), their images in the making; end is set where they are the last."""

    frames: list[tuple[int, int, float, Future[ReadImage]]]
    end: VideoEnd | None


def read_frames(
    store: Store, listing: Listing, *, options: ReadOptions, sampling: FrameSampling, is_digested: bool = False
) -> Iterator[ReadFrame | VideoEnd]:
    """Yield the frames that are looked at in the order of videos and of time, and a VideoEnd behind each video's.

    is_digested  each VideoEnd has the digest of the video's bytes, all of which are then read
    A frame is read as an image is, from RGB as convert_rgb gives it; options.decoder means nothing here. With
    options.check_corruptness, frames that may show damage have a reason. The result does not depend on the number of
    threads, but for the pixels of damaged frames.
    Raises StorageRefused and StorageUnavailable. Closing the iterator, or an exception in the consumer, stops the
    threads and closes the videos.
    """
    open_videos: set[_VideoReading] = set()

    def begin(row: int) -> _VideoReading:
        open_videos.add(video := _VideoReading(workers, row))
        return video

    def close() -> None:
        for video in open_videos:
            video.close()

    with ExitStack() as stack:
        stack.callback(close)  # last: no decoder is at them any more
        threads = stack.enter_context(open_threads(options.num_threads, "read-frame"))
        decoders = stack.enter_context(open_threads(1 + _VIDEOS_AHEAD, "decode-video"))
        workers = _Workers(store, listing, options, sampling, is_digested, decoders, threads)
        stack.callback(workers.stopped.set)
        for video in begin_ahead(range(len(listing.names)), begin, most=1 + _VIDEOS_AHEAD):
            yield from video.frames()
            open_videos.remove(video)


class _VideoReading:
    """One video on its way. At most one decoder thread is at it at a time."""

    def __init__(self, workers: _Workers, row: int) -> None:
        self._workers = workers
        self._row = row
        self._file: VideoBytes | None = None
        self._video: OpenVideo | None = None
        self._decoding: Decoding | None = None
        self._looked_at: Iterator[DecodedFrame | None] = iter(())
        self._next = workers.decoders.submit(self._decode, _FIRST_FRAMES)

    def frames(self) -> Iterator[ReadFrame | VideoEnd]:
        """Yield what is left of the video, asking for the next stretch before this one is taken."""
        most_frames = _FRAMES_PER_THREAD * self._workers.options.num_threads
        while True:
            stretch = self._next.result()
            if stretch.end is None:
                self._next = self._workers.decoders.submit(self._decode, most_frames)
            for index, pts, seconds, image in stretch.frames:
                yield ReadFrame(self._row, index, pts, seconds, image.result())
            if stretch.end is not None:
                yield stretch.end
                return

    def close(self) -> None:
        """Free what the video holds; no decoder thread is at it any more."""
        self._looked_at = iter(())
        self._decoding = None
        for held in (self._video, self._file):
            if held is not None:
                held.close()
        self._video = None

    def _decode(self, most_frames: int) -> _Stretch:
        """Decode on until the stretch is full or the video is through; runs in a decoder thread."""
        begun: list[tuple[int, int, float, Future[ReadImage]]] = []
        end: VideoEnd | None = None
        try:
            if self._decoding is None:
                self._open()
            if not self._fill(begun, most_frames):
                end = self._end()
        except CorruptVideo as error:
            end = VideoEnd(self._row, 0, explain_failure(self._file) or str(error), content=self._digest())
        if end is not None:
            self.close()
        return _Stretch(begun, end)

    def _open(self) -> None:
        listing, row = self._workers.listing, self._row
        name = listing.names[row]
        if not is_utf8(name):
            raise CorruptVideo("name is not UTF-8: rename the file")
        place = name, int(listing.sizes_bytes[row]), listing.versions[row]
        self._file = VideoBytes(self._workers.store, *place, is_digested=self._workers.is_digested)
        self._video = open_video(self._file, num_threads=self._workers.options.num_threads)
        self._decoding = Decoding(self._video, self._workers.stopped.is_set)
        self._looked_at = self._look(self._decoding)

    def _look(self, decoding: Decoding) -> Iterator[DecodedFrame | None]:
        """Yield each frame that is looked at, and None for each other."""
        sampler = FrameSampler(self._workers.sampling, time_base=decoding.time_base, average_rate=decoding.average_rate)
        for frame in decoding.frames():
            yield frame if sampler.takes(frame.index, frame.pts) else None

    def _fill(self, begun: list[tuple[int, int, float, Future[ReadImage]]], most_frames: int) -> bool:
        """Submit frames until there are enough; return False where the video is through."""
        options = self._workers.options
        size_bytes = 0
        for n_decoded, frame in enumerate(self._looked_at, 1):
            if frame is not None:
                image = self._workers.threads.submit(_read_frame, self._workers, frame)
                begun.append((frame.index, -1 if frame.pts is None else frame.pts, frame.seconds, image))
                size_bytes += frame.size_bytes + options.resized_bytes + options.input_bytes + options.halves_bytes
            if len(begun) >= most_frames or size_bytes >= _STRETCH_BYTES or n_decoded >= _DECODED_FRAMES:
                return True
        return False

    def _end(self) -> VideoEnd:
        assert self._decoding is not None
        notes, n_frames = self._decoding.notes(), self._decoding.n_frames
        fault = explain_failure(self._file)
        if n_frames == 0:
            return VideoEnd(self._row, 0, fault or self._decoding.reason(), notes, self._digest())
        return VideoEnd(self._row, n_frames, None, (*notes, fault) if fault else notes, self._digest())

    def _digest(self) -> bytes:
        """Return the digest of all bytes; none where that isn't wanted or the store has failed over them."""
        if self._file is None or self._file.failure is not None or not self._workers.is_digested:
            return b""
        try:
            return self._file.digest_content(self._workers.stopped.is_set)
        except (ObjectMissing, ObjectRefused):
            return b""


def _read_frame(workers: _Workers, frame: DecodedFrame) -> ReadImage:
    """Make the image of a frame; whatever is wrong with it becomes the reason."""
    width_px, height_px = frame.picture.width, frame.picture.height
    if frame.is_damaged and workers.options.check_corruptness:
        return ReadImage("", b"", 0, width_px, height_px, "damaged: it or a frame that it refers to is broken")
    with workers.large.take_turn(width_px * height_px):
        if workers.stopped.is_set():  # nobody takes the result
            return ReadImage("", b"", 0, width_px, height_px, "not read: the reading was stopped")
        try:
            rgb = convert_rgb(frame.picture)
        except FFmpegError as error:
            reason = f"unknown colors: {frame.picture.format.name} can't be converted to RGB ({explain(error)})"
            return ReadImage("", b"", 0, width_px, height_px, reason)
        height_px, width_px, _ = rgb.shape
        return examine_rgb(
            Image.fromarray(rgb), workers.options, ReadImage("", digest_rgb(rgb), 0, width_px, height_px, None)
        )

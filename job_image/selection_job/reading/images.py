"""Reading: each object once, in threads: hash, check, pixels for the encoder, thumbnail.

Workers never wait for the consumer (parallel_calls), and nothing that was begun may block the end. Where the store has
latency to hide, its objects are fetched by threads of their own, many more than cores; a worker then waits for its
bytes at most.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.image_names import escape_name, is_utf8
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.images.crop_pixels import CropPixels, cut_objects
from selection_job.images.decoding import CorruptImage, check_data, load_rgb, open_image
from selection_job.images.halves import Halves, cut_halves
from selection_job.images.image_measures import measure_image
from selection_job.images.large_images import LargeImages
from selection_job.images.preprocessing import Preprocessing
from selection_job.images.thumbnails import make_thumbnail
from selection_job.images.upright import AS_STORED, turn_size
from selection_job.objects.object_boxes import ObjectBoxes
from selection_job.process.machine import count_cores
from selection_job.process.parallel_calls import begin_ahead, open_threads, take_results
from selection_job.stores.store import Store

MAX_OBJECT_BYTES = 512 * 1024**2
"""Larger files are not read where their size is known beforehand, and never decoded."""

READER = 2
"""Part of the fingerprints of what is read: raised when other files are usable, or usable ones give other pixels.

2: pictures are turned by their EXIF orientation, transparent ones are shown on white, damaged JPEGs are not used.
"""

_IN_FLIGHT_BYTES = 1024**3
_IN_FLIGHT_PER_THREAD = 8  # results wait for the slowest image before them; they are small
_IN_FLIGHT_PER_FETCHER = 2  # the next request starts while the last object waits for its worker


@dataclass(frozen=True, slots=True)
class ReadImage:
    """What was found out about one object. reason is None where it is a usable image; then the rest is set."""

    name: str
    sha256: bytes  # 32 bytes; empty where nothing was read
    size_bytes: int
    width_px: int  # of the picture as it is shown; 0 where unknown
    height_px: int
    reason: str | None
    encoder_pixels: NDArray[np.uint8] | None = None  # (s, s, 3) RGB; None without preprocessing
    thumbnail: bytes | None = None  # JPEG
    crop_pixels: tuple[CropPixels, ...] = ()  # the objects, for each of the given boxes
    resized_pixels: NDArray[np.uint8] | None = None  # (h, w, 3) RGB in the size that ReadOptions.choose_size gives
    measures: tuple[float, ...] = ()  # in the order of ReadOptions.measures
    has_left_out: bool = False  # see OpenedImage
    orientation: int = AS_STORED  # by which the stored picture was turned, as EXIF numbers them
    is_transparent: bool = False  # in places: it is shown on white
    halves: Halves | None = None  # where ReadOptions.wants_halves says so


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How images are read."""

    preprocessing: Preprocessing | None  # into the encoder's input, of edge s; None: no pixels are made
    decoder: str = "exact"  # 'exact' | 'fast', see decode_rgb
    check_corruptness: bool = True  # False: damaged files are used as far as they can be decoded
    num_threads: int = 1
    thumbnails: bool = True
    choose_size: Callable[[int, int], tuple[int, int]] | None = None
    """Width and height that the image is resized to, by its own: for a detector, or to train on; None: it is not."""
    resized_bytes: int = 0
    """What a resized image takes at most, so that the bytes in flight stay below their limit."""
    measures: tuple[str, ...] = ()
    """What is measured, among image_measures.MEASURES; an image is then decoded exactly, whatever the decoder."""
    wants_halves: Callable[[bytes], bool] | None = None
    """Whether halves are cut of the image with this digest, where pixels are made; None: of none."""

    @property
    def input_bytes(self) -> int:
        """What one input of the encoder takes: 150 kB at 224 pixels."""
        return 0 if self.preprocessing is None else 3 * self.preprocessing.size_px**2

    @property
    def halves_bytes(self) -> int:
        """What the halves of one image take at most."""
        return 2 * self.input_bytes if self.wants_halves is not None else 0


def make_read_options(worker: WorkerConfig, preprocessing: Preprocessing | None) -> ReadOptions:
    """Return how the configuration wants images to be read; without preprocessing no embedding input is made."""
    return ReadOptions(
        preprocessing=preprocessing,
        decoder=worker.decoder,
        check_corruptness=worker.enable_corruptness_check,
        num_threads=worker.num_threads if worker.num_threads > 0 else count_cores(),
        thumbnails=preprocessing is not None,  # the embedding pass makes them
    )


@dataclass(frozen=True)
class _Workers:
    """What the workers of one read_images share."""

    store: Store
    options: ReadOptions
    threads: ThreadPoolExecutor
    fetchers: ThreadPoolExecutor | None  # None: the threads read by themselves
    boxes: Sequence[ObjectBoxes]
    stopped: threading.Event = field(default_factory=threading.Event)
    large: LargeImages = field(default_factory=LargeImages)


def read_images(
    store: Store,
    names: Sequence[str],
    *,
    options: ReadOptions,
    sizes_bytes: NDArray[np.int64] | None = None,
    boxes: Sequence[ObjectBoxes] = (),
) -> Iterator[ReadImage]:
    """Yield one ReadImage a name, in the order of names; the result does not depend on the number of threads.

    sizes_bytes    (n,) as listed: keeps the bytes in flight below 1 GiB and leaves giants unread
    boxes          objects of the n images that are cut out where pixels are made; an image that has any is decoded
                   exactly, whatever the decoder
    An object that is gone, refused or damaged is a ReadImage with a reason.
    Raises StorageRefused and StorageUnavailable. Closing the iterator, or an exception in the consumer, stops the
    threads after the images they are at.
    """
    n, parallel = options.num_threads, store.parallel_reads
    with ExitStack() as stack:
        threads = stack.enter_context(open_threads(n, "read-image"))
        fetchers = stack.enter_context(open_threads(parallel, "fetch", waits=False)) if parallel > n else None
        workers = _Workers(store, options, threads, fetchers, boxes)
        stack.callback(workers.stopped.set)
        yield from take_results(
            begin_ahead(
                range(len(names)),
                lambda row: _submit(workers, row, names[row], _size_of(sizes_bytes, row)),
                most=max(_IN_FLIGHT_PER_THREAD * n, _IN_FLIGHT_PER_FETCHER * parallel),
                count_bytes=lambda row: _size_of(sizes_bytes, row) + _count_made_bytes(workers, row),
                most_bytes=_IN_FLIGHT_BYTES,
            )
        )


def _size_of(sizes_bytes: NDArray[np.int64] | None, row: int) -> int:
    return 0 if sizes_bytes is None else int(sizes_bytes[row])


def _submit(workers: _Workers, row: int, name: str, size_bytes: int) -> Future[ReadImage]:
    if workers.fetchers is None or not is_utf8(name) or size_bytes > MAX_OBJECT_BYTES:
        return workers.threads.submit(_read_one, workers, row, name, size_bytes, partial(workers.store.read, name))
    fetched = workers.fetchers.submit(workers.store.read, name)
    return workers.threads.submit(_read_one, workers, row, name, size_bytes, fetched.result)


def _count_made_bytes(workers: _Workers, row: int) -> int:
    """Return what else is made of an image: the inputs of its objects and its halves."""
    options = workers.options
    n_objects = sum(len(boxes.corners_of(row)) for boxes in workers.boxes)
    return options.resized_bytes + options.halves_bytes + n_objects * options.input_bytes


def _read_one(workers: _Workers, row: int, name: str, listed_bytes: int, read: Callable[[], bytes]) -> ReadImage:
    """Read and examine one object; whatever is wrong with it becomes the reason."""
    if not is_utf8(name):
        return _refuse(escape_name(name), "name is not UTF-8: rename the file", size_bytes=listed_bytes)
    if listed_bytes > MAX_OBJECT_BYTES:
        return _refuse(name, _too_many_bytes(listed_bytes), size_bytes=listed_bytes)
    try:
        content = read()
    except ObjectMissing:
        return _refuse(name, "gone: it was listed but is not there any more", size_bytes=listed_bytes)
    except ObjectRefused as error:
        return _refuse(name, f"not readable: {error}", size_bytes=listed_bytes)
    return _examine(workers, row, name, content)


def _examine(workers: _Workers, row: int, name: str, content: bytes) -> ReadImage:
    digest = sha256(content).digest()
    if len(content) > MAX_OBJECT_BYTES:
        return _refuse(name, _too_many_bytes(len(content)), size_bytes=len(content), digest=digest)
    options = workers.options
    has_objects = any(len(boxes.corners_of(row)) for boxes in workers.boxes)
    width_px = height_px = 0
    try:
        opened = open_image(content)
        width_px, height_px = opened.width_px, opened.height_px
        with workers.large.take_turn(width_px * height_px):
            if workers.stopped.is_set():  # nobody takes the result: a queue of giants must not hold up the end
                raise CorruptImage("not decoded: the reading was stopped")
            image = load_rgb(
                opened,
                decoder="exact" if options.measures or has_objects else options.decoder,
                target_px=_target_px(options, width_px, height_px),
                allow_truncated=not options.check_corruptness,
            )
            if options.check_corruptness:
                check_data(opened)
            known = _describe(ReadImage(name, digest, len(content), width_px, height_px, None), image)
            read = examine_rgb(image, options, known)
            crops = _cut(workers, row, image)
            return replace(read, crop_pixels=crops, has_left_out=opened.has_left_out)
    except CorruptImage as error:
        return ReadImage(name, digest, len(content), width_px, height_px, str(error))


def _describe(stored: ReadImage, image: Image.Image) -> ReadImage:
    """Return what is known of the shown picture by what the header says of the stored one."""
    orientation = int(image.info["orientation"])
    width_px, height_px = turn_size(stored.width_px, stored.height_px, orientation)
    is_transparent = bool(image.info["is_transparent"])
    return replace(
        stored, width_px=width_px, height_px=height_px, orientation=orientation, is_transparent=is_transparent
    )


def examine_rgb(image: Image.Image, options: ReadOptions, known: ReadImage) -> ReadImage:
    """Return what is known with all that the options want of the image, which has mode RGB and is fully decoded."""
    return replace(
        known,
        encoder_pixels=None if options.preprocessing is None else options.preprocessing.make_pixels(image),
        thumbnail=make_thumbnail(image) if options.thumbnails else None,
        resized_pixels=_resize_as_chosen(image, options),
        measures=measure_image(image, options.measures),
        halves=_cut_halves(image, options, known.sha256),
    )


def _cut_halves(image: Image.Image, options: ReadOptions, digest: bytes) -> Halves | None:
    if options.preprocessing is None or options.wants_halves is None or not options.wants_halves(digest):
        return None
    return cut_halves(image, options.preprocessing)


def _target_px(options: ReadOptions, width_px: int, height_px: int) -> int | None:
    """Return the edge that the image is resized to, so that 'fast' decodes no more than is needed."""
    if options.choose_size is not None:
        return min(options.choose_size(width_px, height_px))
    return None if options.preprocessing is None else options.preprocessing.target_px


def _resize_as_chosen(image: Image.Image, options: ReadOptions) -> NDArray[np.uint8] | None:
    if options.choose_size is None:
        return None
    return np.array(image.resize(options.choose_size(image.width, image.height), Image.Resampling.BILINEAR))


def _cut(workers: _Workers, row: int, image: Image.Image) -> tuple[CropPixels, ...]:
    preprocessing = workers.options.preprocessing
    if preprocessing is None:
        return ()
    orientation = int(image.info["orientation"])
    return tuple(
        cut_objects(
            image,
            boxes.corners_of(row),
            is_relative=boxes.is_relative,
            turned_by=orientation if boxes.is_stored else AS_STORED,
            padding=boxes.padding,
            preprocessing=preprocessing,
        )
        for boxes in workers.boxes
    )


def _too_many_bytes(size_bytes: int) -> str:
    return f"too large: {size_bytes} bytes, the limit is {MAX_OBJECT_BYTES}"


def _refuse(name: str, reason: str, *, size_bytes: int, digest: bytes = b"") -> ReadImage:
    return ReadImage(name, digest, size_bytes, 0, 0, reason)

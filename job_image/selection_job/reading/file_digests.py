"""Digests of whole files: what tells whether a file is the one that was read before, without looking into it."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from hashlib import sha256

from selection_job.catalog.catalog import Listing
from selection_job.catalog.image_names import is_utf8
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.manifest.medium import Medium
from selection_job.process.machine import count_cores
from selection_job.process.parallel_calls import begin_ahead, open_threads, take_results
from selection_job.reading.images import MAX_OBJECT_BYTES
from selection_job.stores.ranged_file import RangedFile
from selection_job.stores.store import Store

_IN_FLIGHT_BYTES = 1024**3
_VIDEOS_AT_A_TIME = 4  # each has requests of its own under way


def digest_files(store: Store, listing: Listing, medium: Medium) -> Iterator[bytes]:
    """Yield 32 bytes for each file, in order, as read_images or read_frames digests its bytes.

    b"" where the file is gone, refused or too large to be read.
    Raises StorageRefused and StorageUnavailable.
    """
    digest = _digest_video if medium.has_many_per_file else _digest_image
    n_threads = _VIDEOS_AT_A_TIME if medium.has_many_per_file else max(store.parallel_reads, count_cores())
    sizes_bytes = listing.sizes_bytes.tolist()
    with open_threads(n_threads, "digest") as threads:

        def begin(row: int) -> "Future[bytes]":
            file = partial(digest, store, listing.names[row], sizes_bytes[row], listing.versions[row])
            return threads.submit(_digest_usable, listing.names[row], file)

        yield from take_results(
            begin_ahead(
                range(len(sizes_bytes)),
                begin,
                most=2 * n_threads,
                count_bytes=lambda row: 0 if medium.has_many_per_file else min(sizes_bytes[row], MAX_OBJECT_BYTES),
                most_bytes=_IN_FLIGHT_BYTES,
            )
        )


def _digest_usable(name: str, digest: "partial[bytes]") -> bytes:
    try:
        return digest() if is_utf8(name) else b""
    except (ObjectMissing, ObjectRefused):
        return b""


def _digest_image(store: Store, name: str, size_bytes: int, _version: str) -> bytes:
    return b"" if size_bytes > MAX_OBJECT_BYTES else sha256(store.read(name)).digest()


def _digest_video(store: Store, name: str, size_bytes: int, version: str) -> bytes:
    with closing(RangedFile(store, name, size_bytes, version, is_digested=True)) as file:
        return file.digest_content()

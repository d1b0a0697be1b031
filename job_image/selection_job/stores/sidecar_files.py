"""Image files: one small JSON an image in a folder of the lightly datasource, found with one listing, read in parallel.

The file of `sub/a.png` is `sub/a.json`. Images whose names differ only by their extensions share a file.
"""

from array import array
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter

from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.process.parallel_calls import begin_ahead, open_threads, take_results
from selection_job.stores.store import Store

_EXTENSION = ".json"
_IN_FLIGHT_BYTES = 64 * 1024**2
_IN_FLIGHT_PER_THREAD = 4
_LEAST_THREADS = 8  # a folder may be a network volume; on a local disk threads cost 6 µs a file
_MOST_EXAMPLES = 10


class ImageRows:
    """Which images a file is about. names are those of the listing; some 60 bytes an image."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._rows = {name: row for row, name in enumerate(names)}
        self._extensions = sorted({name[len(stem_of(name)) :] for name in names})

    def find(self, stem: str) -> list[int]:
        """Return the rows of the images that are called so but for their extension; usually one, or none."""
        rows = (self._rows.get(stem + extension) for extension in self._extensions)
        return [row for row in rows if row is not None]


def stem_of(name: str) -> str:
    """Return the name without its extension.

    >>> stem_of("a.b/c.1.jpg")
    'a.b/c.1'
    """
    folder, _, file = name.rpartition("/")
    stem = file.rpartition(".")[0]
    return f"{folder}/{stem}" if folder else stem


@dataclass
class ImageFiles:
    """The files of a folder that belong to images of the input, as listed."""

    folder: str
    rows: "array[int]" = field(default_factory=lambda: array("q"))
    """Of each file, the first of its images."""
    sizes_bytes: "array[int]" = field(default_factory=lambda: array("q"))
    n_foreign: int = 0
    """Other files of the folder: they belong to no image."""
    foreign: list[str] = field(default_factory=list)
    """The first of their keys."""
    fingerprint: str = ""
    """32 hex digits that change when a file is added, removed or changed; the order of the listing does not matter."""

    def key_of(self, names: Sequence[str], row: int) -> str:
        """Return the key of the file of the image of this row."""
        return f"{self.folder}{stem_of(names[row])}{_EXTENSION}"


def list_image_files(store: Store, folder: str, images: ImageRows, *, others: Collection[str]) -> ImageFiles:
    """Find the images' files with one listing of the folder; 16 bytes a file.

    folder  with a trailing '/'
    others  names in the folder that are no image's file, such as schema.json
    """
    files, digest = ImageFiles(folder), 0
    for info in store.list(folder):
        name = info.key.removeprefix(folder)
        if name in others:
            continue
        rows = images.find(name.removesuffix(_EXTENSION)) if name.endswith(_EXTENSION) else []
        if not rows:
            files.n_foreign += 1
            if len(files.foreign) < _MOST_EXAMPLES:
                files.foreign.append(info.key)
            continue
        files.rows.append(rows[0])
        files.sizes_bytes.append(info.size_bytes)
        text = f"{name}\0{info.size_bytes}\0{info.version}".encode("utf-8", "surrogateescape")
        digest += int.from_bytes(blake2b(text, digest_size=16).digest())
    files.fingerprint = f"{digest % 2**128:032x}"
    return files


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file as read."""

    row: int
    """The first of its images."""
    content: bytes
    reason: str | None
    """Why there is no content; None where there is."""


def read_image_files(
    store: Store, files: ImageFiles, names: Sequence[str], *, most_bytes: int
) -> Iterator[FileContent]:
    """Yield every file in the order of the listing; 64 MB are in flight at most.

    most_bytes  larger files are not read
    A file that is gone, refused or too large has a reason. Raises StorageRefused and StorageUnavailable.
    """
    n_threads = max(store.parallel_reads, _LEAST_THREADS)
    with open_threads(n_threads, "read-file") as threads:

        def begin(file: tuple[int, int]) -> Future[FileContent]:
            row, size_bytes = file
            return threads.submit(_read, store, files.key_of(names, row), row, size_bytes, most_bytes)

        yield from take_results(
            begin_ahead(
                zip(files.rows, files.sizes_bytes, strict=True),
                begin,
                most=_IN_FLIGHT_PER_THREAD * n_threads,
                count_bytes=itemgetter(1),
                most_bytes=_IN_FLIGHT_BYTES,
            )
        )


def _read(store: Store, key: str, row: int, size_bytes: int, most_bytes: int) -> FileContent:
    if size_bytes > most_bytes:
        return FileContent(row, b"", f"too large: {size_bytes} bytes, the limit is {most_bytes}")
    try:
        return FileContent(row, store.read(key), None)
    except ObjectMissing:
        return FileContent(row, b"", "gone: it was listed but is not there any more")
    except ObjectRefused as error:
        return FileContent(row, b"", f"not readable: {error}")

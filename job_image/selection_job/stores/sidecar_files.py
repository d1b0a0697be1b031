"""Image files: one small JSON an image in a folder of the lightly datasource, found with one listing, read in parallel.

The file of `sub/a.png` is `sub/a.json`. Images whose names differ only by their extensions share a file. A file that is
spelled in another Unicode form than its image is the image's where it has no other.
"""

from array import array
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter

from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.formats.spellings import Spellings, compose
from selection_job.process.parallel_calls import begin_ahead, open_threads, take_results
from selection_job.stores.store import ObjectInfo, Store

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
        odd = (stem_of(name) for name in names if not name.isascii())
        self._spellings = Spellings(odd, lambda stem: bool(self.find(stem)))

    def find(self, stem: str) -> list[int]:
        """Return the rows of the images that are called so but for their extension; usually one, or none."""
        rows = (self._rows.get(stem + extension) for extension in self._extensions)
        return [row for row in rows if row is not None]

    def find_other_spelling(self, stem: str) -> list[int]:
        """Return the rows of the images that are called so in another Unicode form; none where that is not clear."""
        other = self._spellings.find_other(stem)
        return [] if other is None else self.find(other)

    def find_named(self, rows: list[int], file_name: str) -> list[int]:
        """Return those of the rows that are called so, in their own spelling or else in another one."""
        if named := [row for row in rows if self.names[row] == file_name]:
            return named
        alike = [row for row in rows if compose(self.names[row]) == compose(file_name)]
        return alike if len(alike) == 1 else []


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
    respelled: dict[int, str] = field(default_factory=dict)
    """By row the key of each file that is spelled in another Unicode form than its image."""

    def key_of(self, names: Sequence[str], row: int) -> str:
        """Return the key of the file of the image of this row."""
        return self.respelled.get(row) or f"{self.folder}{stem_of(names[row])}{_EXTENSION}"


def list_image_files(store: Store, folder: str, images: ImageRows, *, others: Collection[str]) -> ImageFiles:
    """Find the images' files with one listing of the folder; 16 bytes a file.

    folder  with a trailing '/'
    others  names in the folder that are no image's file, such as schema.json
    """
    listed = _Listed(ImageFiles(folder))
    for info in store.list(folder):
        name = info.key.removeprefix(folder)
        if name in others:
            continue
        stem = name.removesuffix(_EXTENSION)
        is_file = name.endswith(_EXTENSION)
        if is_file and (rows := images.find(stem)):
            listed.take(info, rows[0])
        elif is_file and (rows := images.find_other_spelling(stem)):
            listed.wait(info, rows[0])
        else:
            listed.leave(info.key)
    return listed.finish()


class _Listed:
    """What was listed so far."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files
        self._digest = 0
        self._waiting: dict[int, list[ObjectInfo]] = {}

    def take(self, info: ObjectInfo, row: int) -> None:
        """Take a file that is spelled as its image."""
        self._files.rows.append(row)
        self._files.sizes_bytes.append(info.size_bytes)
        name = info.key.removeprefix(self._files.folder)
        text = f"{name}\0{info.size_bytes}\0{info.version}".encode("utf-8", "surrogateescape")
        self._digest += int.from_bytes(blake2b(text, digest_size=16).digest())

    def wait(self, info: ObjectInfo, row: int) -> None:
        """Put a file aside that is spelled otherwise: the image may have one that is spelled as it is."""
        self._waiting.setdefault(row, []).append(info)

    def leave(self, key: str) -> None:
        """Count a file that is no image's."""
        self._files.n_foreign += 1
        if len(self._files.foreign) < _MOST_EXAMPLES:
            self._files.foreign.append(key)

    def finish(self) -> ImageFiles:
        """Return what belongs to the images, each file that was put aside only where its image has no other."""
        has_own = self._waiting.keys() & set(self._files.rows) if self._waiting else set()
        for row, infos in self._waiting.items():
            if row in has_own or len(infos) > 1:
                for info in infos:
                    self.leave(info.key)
            else:
                self.take(infos[0], row)
                self._files.respelled[row] = infos[0].key
        self._files.fingerprint = f"{self._digest % 2**128:032x}"
        return self._files


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

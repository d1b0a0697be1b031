"""Catalog: the images of a run as columns, after each was read and checked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.frames import NO_FRAMES, Frames
from selection_job.formats.spellings import compose
from selection_job.images.upright import AS_STORED
from selection_job.manifest.medium import IMAGES, VIDEOS, Medium

NO_HASHES = np.zeros(0, dtype=np.int64)


def hash_name(name: str) -> int:
    """Return a number that all spellings of a name share, of this process alone; for sets of very many names."""
    return hash(compose(name))


def hash_names(names: Iterable[str]) -> NDArray[np.int64]:
    """Return (n,) int64: hash_name of each."""
    return np.fromiter(map(hash_name, names), np.int64)


@dataclass(frozen=True)
class Listing:
    """What lies in the input datasource and takes part: image keys sorted by name, with sizes and versions."""

    names: list[str]
    sizes_bytes: NDArray[np.int64]  # (n,)
    versions: list[str]
    notes: list[str] = field(default_factory=list)
    """Sentences for the log and report.json: relevant names that are missing, duplicate lines, …"""
    left_out: NDArray[np.int64] = field(default_factory=lambda: NO_HASHES)
    """Hashes of further names that are there and take no part: the relevant list or the datapool leaves them out."""

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits that change when an image is added, removed or changed."""
        digest = sha256()
        for name, size, version in zip(self.names, self.sizes_bytes.tolist(), self.versions, strict=True):
            digest.update(f"{name}\0{size}\0{version}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Catalog:
    """The readable images in the listing's order, and the corrupt ones with their reasons."""

    names: list[str]
    sha256: NDArray[np.uint8]  # (n, 32)
    sizes_bytes: NDArray[np.int64]  # (n,)
    widths_px: NDArray[np.int32]  # (n,) of the picture as it is shown; 0 where unknown
    heights_px: NDArray[np.int32]  # (n,)
    duplicate_of: NDArray[
        np.int64
    ]  # (n,) row of the first image with the same bytes; its own row where it is the first
    corrupt: dict[str, str]
    """Name of each image that can't be used, and why: 'truncated: …', 'too large: …', 'empty', …"""
    measures: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """(n_new,) what the pass over the images measured, by the names of image_measures.MEASURES."""
    n_pool: int = 0
    """The last so many rows are images that were selected before, by earlier runs of the datapool or as the table of
    embeddings says: they count in the selection and are no input."""
    was_read: bool = True
    """False where embeddings were given and no image was opened: then digests, widths and heights are zeros, and
    duplicates are images with equal vectors."""
    frames: Frames = NO_FRAMES
    """Where frames of videos come from."""
    image_notes: tuple[str, ...] = ()
    """What people should know about how images were read, in sentences."""
    orientations: NDArray[np.uint8] | None = None
    """(n,) by which EXIF orientation, 1 to 8, each stored picture was turned; None where none was."""
    n_transparent: int = 0
    """How many pictures of this run's input are not opaque everywhere, and so are shown on white."""
    corrupt_sha256: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 of the bytes of corrupt images, as far as they were read."""

    @property
    def medium(self) -> Medium:
        """What its rows are."""
        return VIDEOS if self.frames.videos else IMAGES

    @property
    def corrupt_files(self) -> dict[str, str]:
        """Name of each input file of which nothing can be used, and why, where a file holds many of what is chosen."""
        return self.frames.corrupt_videos

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know about the input files, in sentences."""
        return (*self.image_notes, *self.frames.notes, *self._note_pictures())

    def _note_pictures(self) -> Iterator[str]:
        of_all, n_turned = f"of {self.n_new:,} images", 0
        if self.orientations is not None:
            n_turned = int(np.count_nonzero(self.orientations[: self.n_new] != AS_STORED))
        if n_turned:
            yield (
                f"Turned by their EXIF orientation: {n_turned:,} {of_all}. Sizes and boxes are those of the pictures "
                "as they are shown."
            )
        if self.n_transparent:
            yield f"Transparent in places, and so shown on white: {self.n_transparent:,} {of_all}."

    def name_files(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the input file that each of these rows is, or comes from; none of the pool's."""
        if not self.medium.has_many_per_file:
            return [self.names[row] for row in rows.tolist()]
        return [self.frames.videos[row] for row in self.frames.video_rows[rows].tolist()]

    @property
    def n_input(self) -> int:
        """How many images were listed, corrupt ones included."""
        return self.n_new + len(self.corrupt)

    @property
    def n_new(self) -> int:
        """How many rows are images of this run's input; the datapool's come behind them."""
        return len(self.names) - self.n_pool

    @property
    def is_duplicate(self) -> NDArray[np.bool_]:
        """(n,) True where an earlier row has the same bytes."""
        is_duplicate: NDArray[np.bool_] = self.duplicate_of != np.arange(len(self.names))
        return is_duplicate


def take_rows(catalog: Catalog, rows: NDArray[np.int64]) -> Catalog:
    """Return the catalog of some of its rows, in order, none of which is of the pool; what is corrupt stays.

    A copy whose first image is not taken is one of the first that is.
    """
    _, first, inverse = np.unique(catalog.duplicate_of[rows], return_index=True, return_inverse=True)
    return replace(
        catalog,
        names=[catalog.names[row] for row in rows.tolist()],
        **{column: getattr(catalog, column)[rows] for column in ("sha256", "sizes_bytes", "widths_px", "heights_px")},
        duplicate_of=first[inverse],
        measures={name: values[rows] for name, values in catalog.measures.items()},
        frames=catalog.frames.take(rows),
        orientations=None if catalog.orientations is None else catalog.orientations[rows],
    )

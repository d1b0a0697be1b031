"""Datapool: what earlier runs of a dataset selected, and which objects they have seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog, Listing, take_rows
from selection_job.catalog.copies import find_copies
from selection_job.catalog.embedded import Embedded
from selection_job.catalog.frame_names import parse_frame_name
from selection_job.datapool.pool_part import PartHeader, PoolPart
from selection_job.errors import UnusableData
from selection_job.formats.spellings import Spellings
from selection_job.images.upright import AS_STORED
from selection_job.manifest.medium import IMAGES, Medium

GIVEN = "given"
"""The encoder of vectors that come from a table: nothing tells whether two tables are of one network."""

_DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False)
class Datapool:
    """The parts that a run builds on, oldest first. `own` is what this very run has added in an earlier try."""

    dataset: str
    url: str
    """Where the parts lie, as users know it."""
    parts: tuple[PoolPart, ...]
    own: PoolPart | None = None

    @property
    def number(self) -> int:
        """The number of this run's part."""
        if self.own is not None:
            return self.own.header.number
        return 1 + max((part.header.number for part in self.parts), default=0)

    def find_new(self, digests: NDArray[np.bytes_], *, process_all: bool, medium: Medium = IMAGES) -> NDArray[np.bool_]:
        """Return (n,) which of the listed objects this run looks at.

        digests      (n,) as digest_objects gives them
        process_all  look at all but those that are in the pool, not only at what no earlier run has seen
        medium       of videos, process_all looks at each, for it has frames that are not in the pool
        A run that has added its part already, and then was cut off, looks at the same objects again.
        """
        if self.own is not None:
            return np.isin(digests, self.own.seen)
        if process_all and medium.has_many_per_file:
            return np.ones(len(digests), dtype=np.bool_)
        known = [part.digests if process_all else part.seen for part in self.parts]
        return ~np.isin(digests, np.concatenate([np.empty(0, digests.dtype), *known]))

    def find_members(self, names: Sequence[str], digests: NDArray[np.bytes_], *, medium: Medium = IMAGES) -> "Members":
        """Return the images of the pool in the order in which they were selected.

        names    all that is listed, also what this run does not look at: an image that has changed since, or a frame of
                 a video that has, is no member any more
        digests  (n,) of these
        medium   of videos, the names are theirs and the pool's members are frames
        An image that was selected twice, because it had changed, counts as it was the last time. One that is listed in
        another spelling has the name that is listed, where that is clear.
        """
        if not self.parts:
            return Members()
        every = _spell_as_listed([name for part in self.parts for name in part.names], names, medium)
        columns = {column: np.concatenate([getattr(part, column) for part in self.parts]) for column in _COLUMNS}
        objects = np.concatenate([part.digests for part in self.parts])
        present = dict(zip(names, digests.tolist(), strict=True))
        last = {name: place for place, name in enumerate(every)}
        find = (lambda name: present.get(name_video(name))) if medium.has_many_per_file else present.get
        places = sorted(place for name, place in last.items() if find(name) in (None, objects.item(place)))
        taken = {key: values[places] for key, values in columns.items()}
        return Members([every[place] for place in places], taken if medium.has_many_per_file else _forget_sizes(taken))

    def check_encoder(self, encoder: str, source: str, dimensions: int) -> None:
        """Raise UnusableData where this run's vectors can't be compared with those of the pool."""
        for part in self.parts:
            if (part.header.encoder, part.vectors.shape[1]) == (encoder, dimensions):
                continue
            is_alike = (part.header.encoder_source, part.vectors.shape[1]) == (source, dimensions)
            changed = " Its file, or lightlyConfig.collate.input_size, has changed since." if is_alike else ""
            raise UnusableData(
                f"The datapool of {self.dataset!r} ({self.url}) was embedded by {part.header.encoder_source} in "
                f"{part.vectors.shape[1]} dimensions (run {part.header.run_id}), and this run embeds by {source} in "
                f"{dimensions}: their distances mean nothing to each other.{changed} Use that encoder "
                "(workerConfig.checkpoint), give the dataset another name (dataset.name), or delete that folder to "
                "begin a new pool."
            )


def _spell_as_listed(names: list[str], listed: Sequence[str], medium: Medium) -> list[str]:
    """Return the pool's names, each as the listing spells it or its video."""
    find_file = name_video if medium.has_many_per_file else str
    known, there = {find_file(name) for name in names}, set(listed)
    spellings = Spellings(listed, there.__contains__)

    def spell(name: str) -> str:
        file = find_file(name)
        other = None if file in there else spellings.find_other(file)
        if other is None or other in known:
            return name
        stem, new_stem = file.rpartition(".")[0], other.rpartition(".")[0]
        return new_stem + name[len(stem) :]

    return [spell(name) for name in names]


@dataclass(frozen=True, eq=False)
class Members:
    """Images that earlier runs selected, in columns, each (p, ...)."""

    names: list[str] = field(default_factory=list)
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)


_COLUMNS = ("vectors", "sha256", "sizes_bytes", "widths_px", "heights_px", "orientations")
_UNKNOWN = 0


def _forget_sizes(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the columns without the sizes of stored pictures: parts from before pictures were turned have these."""
    is_known = columns["orientations"] != _UNKNOWN
    return columns | {name: np.where(is_known, columns[name], 0) for name in ("widths_px", "heights_px")}


def join(embedded: Embedded, members: Members) -> Embedded:
    """Return the images with the pool's behind them; a new image with the bytes of one of these is its copy."""
    if not members.names:
        return embedded
    catalog, taken = embedded.catalog, members.columns
    columns: dict[str, Any] = {name: np.concatenate([_column(catalog, name), taken[name]]) for name in _COLUMNS[1:]}
    joined = replace(
        catalog,
        names=[*catalog.names, *members.names],
        n_pool=catalog.n_pool + len(members.names),
        duplicate_of=_find_copies(catalog, taken["sha256"]),
        **columns,
    )
    return replace(embedded, catalog=joined, embeddings=np.concatenate([embedded.embeddings, taken["vectors"]]))


def _column(catalog: Catalog, name: str) -> NDArray[Any]:
    """Return a column of the catalog; where no picture was turned, their orientations say so."""
    column: NDArray[Any] | None = getattr(catalog, name)
    return np.full(len(catalog.names), AS_STORED, dtype=np.uint8) if column is None else column


def _find_copies(catalog: Catalog, pool: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (n + p,) the row that each is a copy of: of the pool's where it has one, never among the pool's own."""
    n, p = len(catalog.names), len(pool)
    own_rows = np.arange(n, n + p)
    if not catalog.was_read or not pool.any():  # nothing is known of the bytes
        return np.concatenate([catalog.duplicate_of, own_rows])
    return find_copies(np.concatenate([catalog.sha256, pool]), p)


def name_video(frame: str) -> str:
    """Return the video that a frame comes from, by the frame's name; '' where it names none."""
    parsed = parse_frame_name(frame)
    return parsed[0] if parsed else ""


def without_members(embedded: Embedded, members: Members) -> Embedded:
    """Return the images without those that are in the pool: frames of a video that is looked at once more."""
    known = set(members.names)
    rows = [row for row, name in enumerate(embedded.catalog.names) if name not in known] if known else []
    if not known or len(rows) == len(embedded.catalog.names):
        return embedded
    taken = np.array(rows, dtype=np.int64)
    return Embedded(take_rows(embedded.catalog, taken), embedded.embeddings[taken])


def make_part(
    header: PartHeader, listing: Listing, embedded: Embedded, selected: NDArray[np.int64], digests: NDArray[np.bytes_]
) -> PoolPart:
    """Return what a run adds to the pool.

    listing   what the run looked at
    selected  rows of the catalog: what the table of embeddings marks as selected before, then the order of choice
    digests   (n,) of the listing
    """
    catalog = embedded.catalog
    names = [catalog.names[row] for row in selected.tolist()]
    places = {name: place for place, name in enumerate(listing.names)}
    own = digests[[places[name] for name in catalog.name_files(selected)]] if names else digests[:0]
    return PoolPart(
        header,
        names,
        vectors=embedded.embeddings[selected],
        sha256=catalog.sha256[selected],
        sizes_bytes=catalog.sizes_bytes[selected],
        widths_px=catalog.widths_px[selected],
        heights_px=catalog.heights_px[selected],
        orientations=_column(catalog, "orientations")[selected],
        digests=own,
        seen=np.sort(digests),
    )


def digest_objects(listing: Listing) -> NDArray[np.bytes_]:
    """Return (n,) S16: another one for each name and version. 1 µs each.

    S16 drops zero bytes at the end and compares as if they were there, so no two digests are mixed up.
    """
    content = bytearray()
    for name, version in zip(listing.names, listing.versions, strict=True):
        text = f"{name}\0{version}".encode("utf-8", "surrogatepass")
        content += blake2b(text, digest_size=_DIGEST_BYTES).digest()
    return np.frombuffer(bytes(content), dtype=f"S{_DIGEST_BYTES}")


def take_listing(listing: Listing, is_taken: NDArray[np.bool_]) -> Listing:
    """Return the part of a listing."""
    rows = np.flatnonzero(is_taken).tolist()
    return Listing(
        names=[listing.names[row] for row in rows],
        sizes_bytes=listing.sizes_bytes[is_taken],
        versions=[listing.versions[row] for row in rows],
        notes=listing.notes,
    )

"""Datapool: what earlier runs of a dataset selected, and which objects they have seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog, Listing, hash_names, take_rows
from selection_job.catalog.copies import find_copies
from selection_job.catalog.embedded import Embedded
from selection_job.catalog.frame_names import parse_frame_name
from selection_job.datapool.known_contents import (
    NOTHING_KNOWN,
    PLACE,
    VERSION,
    KnownContents,
    digest_contents,
    digest_places,
    digest_versions,
    join_known,
)
from selection_job.datapool.pool_encoder import advise_encoder, explain_change
from selection_job.datapool.pool_part import PartHeader, PoolPart
from selection_job.datapool.respelled import spell_as_known, spell_as_listed
from selection_job.errors import UnusableData
from selection_job.images.upright import AS_STORED
from selection_job.manifest.medium import IMAGES, Medium

GIVEN = "given"
"""The encoder of vectors that come from a table: nothing tells whether two tables are of one network."""


@dataclass(frozen=True, eq=False)
class Datapool:
    """The parts that a run builds on, oldest first. `own` is what this very run has added in an earlier try."""

    dataset: str
    url: str
    """Where the parts lie, as users know it."""
    parts: tuple[PoolPart, ...]
    own: PoolPart | None = None
    recognized: KnownContents = NOTHING_KNOWN
    """What earlier runs compared because only its version was new. It saves reading, and nothing else."""

    @property
    def number(self) -> int:
        """The number of this run's part."""
        if self.own is not None:
            return self.own.header.number
        return 1 + max((part.header.number for part in self.parts), default=0)

    @cached_property
    def known(self) -> KnownContents:
        """What this run and those before have read."""
        return join_known([*(part.known for part in self._every_part), self.recognized])

    @property
    def _every_part(self) -> tuple[PoolPart, ...]:
        return self.parts if self.own is None else (*self.parts, self.own)

    @cached_property
    def _seen(self) -> NDArray[np.bytes_]:
        return np.concatenate([np.empty(0, VERSION), *(part.seen for part in self._every_part)])

    @cached_property
    def _versions(self) -> NDArray[np.bytes_]:
        """Whatever is one of these needs no reading."""
        return np.concatenate([self._seen, self.recognized.versions])

    @cached_property
    def _places(self) -> NDArray[np.bytes_]:
        places: NDArray[np.bytes_] = self.known.places[self.known.places != b""]
        return places

    def spell(self, listing: Listing) -> Listing:
        """Return the listing under the names that the pool has for its files: all digests are made of these."""
        return spell_as_known(listing, self._versions, self._places)

    def find_unclear(self, listing: Listing, versions: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Return the rows whose version is new, while a file of that name and size was read before: read these.

        listing   as spell gives it
        versions  (n,) as digest_versions gives them of that
        """
        rows = np.flatnonzero(~np.isin(versions, self._versions))
        places = digest_places([listing.names[row] for row in rows.tolist()], listing.sizes_bytes[rows])
        return rows[np.isin(places, self._places)]

    def find_seen(self, listed: "ListedFiles") -> NDArray[np.bool_]:
        """Return (n,) which of the listed objects a run has seen, be it this one."""
        contents = [self.known.find(self._seen), *(part.known.contents for part in self._every_part)]
        return listed.are_among(self._seen, np.concatenate(contents))

    def find_new(self, listed: "ListedFiles", *, process_all: bool, medium: Medium = IMAGES) -> NDArray[np.bool_]:
        """Return (n,) which of the listed objects this run looks at.

        process_all  look at all but those that are in the pool, not only at what no earlier run has seen
        medium       of videos, process_all looks at each, for it has frames that are not in the pool
        A run that has added its part already, and then was cut off, looks at the same objects again.
        """
        if self.own is not None:
            return listed.are_among(self.own.seen, self.own.known.contents)
        if process_all and medium.has_many_per_file:
            return np.ones(len(listed.names), dtype=np.bool_)
        if not process_all:
            return ~self.find_seen(listed)
        selected = np.concatenate([np.empty(0, VERSION), *(part.digests for part in self.parts)])
        return ~listed.are_among(selected, self.known.find(selected))

    def find_members(self, listed: "ListedFiles", *, medium: Medium = IMAGES) -> "Members":
        """Return the images of the pool in the order in which they were selected.

        listed  also what this run does not look at: an image whose bytes are others now, or a frame of a video whose
                are, is no member any more
        medium  of videos, the names are theirs and the pool's members are frames
        An image that was selected several times, because it had changed, counts as it was when it was what it is now;
        one that is not listed any more as it was the last time. One that is listed in another spelling has the name
        that is listed, where that is clear.
        """
        if not self.parts:
            return Members()
        find_file = name_video if medium.has_many_per_file else str
        every = spell_as_listed([name for part in self.parts for name in part.names], listed.names, find_file)
        columns = {column: np.concatenate([getattr(part, column) for part in self.parts]) for column in _COLUMNS}
        objects = np.concatenate([part.digests for part in self.parts])
        files = [find_file(name) for name in every]
        is_same = listed.are_still(files, objects, self.known.find(objects))
        last = {name: place for place, name in enumerate(every) if is_same[place]}
        places = sorted(last.values())
        taken = {key: values[places] for key, values in columns.items()}
        return Members([every[place] for place in places], taken if medium.has_many_per_file else _forget_sizes(taken))

    def check_encoder(self, encoder: str, source: str, dimensions: int) -> None:
        """Raise UnusableData where this run's vectors can't be compared with those of the pool."""
        for part in self.parts:
            if (part.header.encoder, part.vectors.shape[1]) == (encoder, dimensions):
                continue
            is_alike = (part.header.encoder_source, part.vectors.shape[1]) == (source, dimensions)
            changed = explain_change(source) if is_alike else ""
            raise UnusableData(
                f"The datapool of {self.dataset!r} ({self.url}) was embedded by {part.header.encoder_source} in "
                f"{part.vectors.shape[1]} dimensions (run {part.header.run_id}), and this run embeds by {source} in "
                f"{dimensions}: their distances mean nothing to each other.{changed} To go on with the pool, "
                f"{advise_encoder(part.header.encoder_source)}; or give the dataset another name (dataset.name), or "
                "delete that folder to begin a new pool."
            )


@dataclass(frozen=True, eq=False)
class ListedFiles:
    """What is listed, and as much of its content as is known."""

    names: Sequence[str]  # as they are listed
    versions: NDArray[np.bytes_]  # (n,) S16 as digest_versions gives them of what Datapool.spell does
    contents: NDArray[np.bytes_]  # (n,) S16 as digest_contents does; b"" where nobody has read that version

    def are_among(self, versions: NDArray[np.bytes_], contents: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        """Return (n,) which of them have one of the versions or one of the contents."""
        return np.isin(self.versions, versions) | np.isin(self.contents, contents[contents != b""])

    def are_still(
        self, names: Sequence[str], versions: NDArray[np.bytes_], contents: NDArray[np.bytes_]
    ) -> NDArray[np.bool_]:
        """Return (k,) which of these files, as they once were, are so now or are not listed any more."""
        rows = {name: row for row, name in enumerate(self.names)}
        places = np.array([rows.get(name, -1) for name in names], dtype=np.int64)
        if not rows:
            return np.ones(len(places), dtype=np.bool_)
        is_known = (contents != b"") & (self.contents[places] == contents)
        is_still: NDArray[np.bool_] = (places < 0) | (self.versions[places] == versions) | is_known
        return is_still


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
    return replace(embedded, catalog=take_rows(embedded.catalog, taken), embeddings=embedded.embeddings[taken])


def make_part(
    header: PartHeader,
    listing: Listing,
    embedded: Embedded,
    selected: NDArray[np.int64],
    *,
    known_as: Listing,
    sha256: NDArray[np.uint8],
) -> PoolPart:
    """Return what a run adds to the pool.

    listing   what the run looked at
    selected  rows of the catalog: what the table of embeddings marks as selected before, then the order of choice
    known_as  the listing as Datapool.spell gives it
    sha256    (n, 32) of its files; zeros where they were not read
    """
    catalog, digests, is_read = embedded.catalog, digest_versions(known_as), sha256.any(axis=1)
    order = np.argsort(digests)
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
        seen=digests[order],
        contents=digest_contents(known_as.names, sha256)[order],
        places=np.where(is_read, digest_places(known_as.names, known_as.sizes_bytes), np.zeros(1, PLACE))[order],
    )


def leave_out(listing: Listing, is_taken: NDArray[np.bool_]) -> Listing:
    """Return the part of a listing that takes part; of the rest it is still known that it is there."""
    others = hash_names(listing.names[row] for row in np.flatnonzero(~is_taken).tolist())
    return replace(take_listing(listing, is_taken), left_out=np.concatenate([listing.left_out, others]))


def take_listing(listing: Listing, is_taken: NDArray[np.bool_]) -> Listing:
    """Return the part of a listing."""
    rows = np.flatnonzero(is_taken).tolist()
    return Listing(
        names=[listing.names[row] for row in rows],
        sizes_bytes=listing.sizes_bytes[is_taken],
        versions=[listing.versions[row] for row in rows],
        notes=listing.notes,
        left_out=listing.left_out,
    )

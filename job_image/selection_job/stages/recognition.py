"""Recognition: which files with a new version are, by their bytes, those that the datapool knows."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_api import Stage
from selection_job.catalog.catalog import Catalog, Listing
from selection_job.datapool.datapool import Datapool, ListedFiles, take_listing
from selection_job.datapool.known_contents import (
    NOTHING_KNOWN,
    KnownContents,
    digest_contents,
    digest_places,
    digest_versions,
    dump_known,
    parse_known,
)
from selection_job.errors import ObjectMissing
from selection_job.formats.spellings import IN_ANOTHER_FORM
from selection_job.manifest.noun import agree
from selection_job.process.progress import Bar
from selection_job.reading.file_digests import digest_files
from selection_job.run.context import RunContext
from selection_job.stores.lease import Lease

log = logging.getLogger("selection_job")

_FILE = "recognized.cache"
"""Beside the parts, whose names end in .npz. It may be deleted: what it says is then read again where it is needed."""

_FILES_AT_A_TIME = 20_000  # what a run that is stopped while it compares reads again, at most


@dataclass(frozen=True, eq=False)
class Recognized:
    """What the listed files hold, as far as this run or an earlier one has read them."""

    listed: ListedFiles
    known_as: Listing
    """The listing under the names that the pool has for it."""
    notes: tuple[str, ...]


def load_recognized(context: RunContext, folder: str) -> KnownContents:
    """Return what earlier runs compared. A damaged file is nothing.

    folder  of the pool, with a trailing '/'
    """
    try:
        return parse_known(context.target.read(folder + _FILE))
    except ObjectMissing:
        return NOTHING_KNOWN
    except ValueError as error:
        log.warning("%s%s%s is damaged (%s) and is made again.", context.target.url, folder, _FILE, error)
        return NOTHING_KNOWN


def recognize(context: RunContext, listing: Listing, pool: Datapool, lease: Lease) -> Recognized:
    """Find out what the pool knows of the listed files, whatever their names' Unicode form and their versions are.

    Files whose version alone is new are read: a copy, a restore or a new upload of equal bytes gives them another.
    """
    known_as = pool.spell(listing)
    versions = digest_versions(known_as)
    contents, unclear = pool.known.find(versions), pool.find_unclear(known_as, versions)
    notes = []
    if len(unclear):
        contents[unclear] = _compare(context, listing, known_as, unclear, pool, lease)
        notes.append(_note_compared(context, pool, contents[unclear]))
        log.info("%s", notes[-1])
    listed = ListedFiles(listing.names, versions, contents)
    is_respelled = np.array(
        [name != known for name, known in zip(listing.names, known_as.names, strict=True)], np.bool_
    )
    if n_respelled := int((is_respelled & pool.find_seen(listed)).sum()):
        noun = context.medium.file_noun
        notes.append(
            f"Datapool {pool.dataset}: {n_respelled:,} listed {noun.form(n_respelled)} {agree(n_respelled, 'are')} "
            f"{IN_ANOTHER_FORM} than in the pool, and {agree(n_respelled, 'count')} as the same."
        )
    return Recognized(listed, known_as, tuple(notes))


def _note_compared(context: RunContext, pool: Datapool, contents: NDArray[np.bytes_]) -> str:
    n, known, noun = len(contents), pool.known.contents, context.medium.file_noun
    n_same = int(np.isin(contents, known[known != b""]).sum())
    return (
        f"Datapool {pool.dataset}: of {noun.count(n)} with a new date or ETag, {n_same:,} {agree(n_same, 'hold')} "
        "the same bytes as before."
    )


def _compare(
    context: RunContext, listing: Listing, known_as: Listing, rows: NDArray[np.int64], pool: Datapool, lease: Lease
) -> NDArray[np.bytes_]:
    """Return (r,) S16: the contents of some of the listed files, which are read now, and keep them."""
    noun, contents, recognized = context.medium.file_noun, [], pool.recognized
    with (
        context.progress.stage(Stage.LOADING_DATASET),
        context.progress.bar(f"Comparing {noun.plural} with a new date", len(rows), noun.plural) as bar,
    ):
        for start in range(0, len(rows), _FILES_AT_A_TIME):
            some = rows[start : start + _FILES_AT_A_TIME]
            known = _read(context, _take(listing, some), _take(known_as, some), bar)
            contents.append(known.contents)
            recognized = recognized.add(known)
            lease.check()
            context.target.write(f"{pool.url.removeprefix(context.target.url)}{_FILE}", dump_known(recognized))
    return np.concatenate(contents)


def _read(context: RunContext, listing: Listing, known_as: Listing, bar: Bar) -> KnownContents:
    """Read the files."""
    digests = bytearray()
    for digest in digest_files(context.source, listing, context.medium):
        digests += digest or bytes(32)
        bar.advance()
    sha256 = np.frombuffer(bytes(digests), np.uint8).reshape(-1, 32)
    places = digest_places(known_as.names, known_as.sizes_bytes)
    return KnownContents(digest_versions(known_as), digest_contents(known_as.names, sha256), places)


def _take(listing: Listing, rows: NDArray[np.int64]) -> Listing:
    return take_listing(listing, np.isin(np.arange(len(listing.names)), rows))


def digest_read(
    context: RunContext, listing: Listing, catalog: Catalog, selected: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return (n, 32) uint8: SHA-256 of the listed files as this run read them, zeros where it did not.

    selected  rows of the catalog. Where a table gives the embeddings these alone are read, now: what was selected is
              to be known again.
    """
    found = np.zeros((len(listing.names), 32), np.uint8)
    if context.medium.has_many_per_file:
        return catalog.frames.contents if len(catalog.frames.contents) else found
    rows = {name: row for row, name in enumerate(listing.names)}
    if catalog.was_read:
        found[[rows[name] for name in catalog.names[: catalog.n_new]]] = catalog.sha256[: catalog.n_new]
        for name, digest in catalog.corrupt_sha256.items():
            found[rows[name]] = np.frombuffer(digest, np.uint8)
        return found
    is_selected = np.zeros(len(listing.names), np.bool_)
    is_selected[[rows[catalog.names[row]] for row in selected.tolist()]] = True
    digests = digest_files(context.source, take_listing(listing, is_selected), context.medium)
    for row, digest in zip(np.flatnonzero(is_selected).tolist(), digests, strict=True):
        found[row] = np.frombuffer(digest or bytes(32), np.uint8)
    return found

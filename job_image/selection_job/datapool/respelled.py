"""Names to and fro between a listing and the pool, where a copy or a restore spelled them otherwise.

The pool knows what was seen by digests with the name in them, so a file is found again by the digests of the forms
that file systems and tools write: composed (NFC) and decomposed (NFD). What it selected it knows by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Listing
from selection_job.datapool.known_contents import digest_places, digest_versions
from selection_job.formats.spellings import Spellings, compose, decompose

_FORMS: tuple[Callable[[str], str], ...] = (str, compose, decompose)


def spell_as_known(listing: Listing, versions: NDArray[np.bytes_], places: NDArray[np.bytes_]) -> Listing:
    """Return the listing with the names under which its files are known: their own, else those of another form.

    versions  (v,) S16 that are known: they show which file it is
    places    (p,) S8 that are: one that is known by it alone may have changed, and is to be compared
    Files that differ from another listed one by their spelling alone are none but themselves.
    """
    rows = _find_respellable(listing.names)
    if not len(rows):
        return listing
    names = list(listing.names)
    for digest, known in ((digest_versions, versions), (_digest_places, places)):
        for spell in _FORMS:
            files = _respell(listing, rows, spell)
            is_known = np.isin(digest(files), known)
            for place in np.flatnonzero(is_known).tolist():
                names[rows[place]] = files.names[place]
            rows = rows[~is_known]
    return replace(listing, names=names)


def _find_respellable(names: list[str]) -> NDArray[np.int64]:
    """Return the rows of names that have another form, which is not listed itself."""
    spellings = Spellings(names, set(names).__contains__)
    rows = [
        row
        for row, name in enumerate(names)
        if not name.isascii() and {compose(name), decompose(name)} != {name} and not spellings.list_others(name)
    ]
    return np.array(rows, dtype=np.int64)


def _respell(listing: Listing, rows: NDArray[np.int64], spell: Callable[[str], str]) -> Listing:
    versions = [listing.versions[row] for row in rows]
    return Listing([spell(listing.names[row]) for row in rows], listing.sizes_bytes[rows], versions)


def _digest_places(listing: Listing) -> NDArray[np.bytes_]:
    return digest_places(listing.names, listing.sizes_bytes)


def spell_as_listed(names: Sequence[str], listed: Sequence[str], find_file: Callable[[str], str]) -> list[str]:
    """Return the pool's names, each as the listing spells it, or its video.

    find_file  gives the file that a name is of, or from: its video's
    """
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

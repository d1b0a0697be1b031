"""The pool's images under the names that the listing has for them, where a copy or a restore spelled them otherwise.

The pool knows what was seen by digests of name and version alone, so an image is found again by the digests of the
forms that file systems and tools write: composed (NFC) and decomposed (NFD).
"""

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Listing
from selection_job.datapool.datapool import Datapool, digest_objects
from selection_job.formats.spellings import Spellings, compose, decompose


def recognize(pool: Datapool, listing: Listing) -> tuple[NDArray[np.bytes_], int]:
    """Return (n,) digests of the listing, and how many are those of another spelling, in which the pool has seen them.

    Images that differ from another listed one by their spelling alone are none but themselves.
    """
    digests = digest_objects(listing)
    parts = pool.parts if pool.own is None else (*pool.parts, pool.own)
    known = np.concatenate([digests[:0], *(part.seen for part in parts)])
    spellings = Spellings(listing.names, set(listing.names).__contains__)
    rows: list[int] = []
    names: list[str] = []
    for row in np.flatnonzero(~np.isin(digests, known)).tolist():
        name = listing.names[row]
        forms = {compose(name), decompose(name)} - {name}
        if forms and not spellings.list_others(name):
            rows += [row] * len(forms)
            names += sorted(forms)
    others = digest_objects(
        Listing(names=names, sizes_bytes=listing.sizes_bytes[rows], versions=[listing.versions[row] for row in rows])
    )
    is_known, found = np.isin(others, known), digests.copy()
    found[np.array(rows, dtype=np.int64)[is_known]] = others[is_known]
    return found, int((found != digests).sum())

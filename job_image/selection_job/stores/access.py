"""Access: whether a datasource gives what the run needs, asked before any work is done."""

import logging
import secrets
from itertools import islice

from selection_job.errors import ObjectMissing, StorageRefused
from selection_job.stores.cloud.bucket import BucketStore

log = logging.getLogger("selection_job")

PROBE_KEY = ".lightly/access-check"
"""Written and deleted in the lightly datasource at the start of each run."""

_SEEN = 100


def check_reading(store: BucketStore) -> None:
    """List the first objects and read the smallest of them. Raises StorageRefused naming what is not allowed."""
    seen = [info for info in islice(store.list(), _SEEN) if info.size_bytes > 0]
    for info in sorted(seen, key=lambda info: info.size_bytes)[:1]:
        try:
            store.read(info.key)
        except ObjectMissing:
            log.debug("%s is gone since it was listed", info.key)


def check_writing(store: BucketStore) -> None:
    """List, read, write, overwrite and delete a probe. Raises StorageRefused naming what is not allowed.

    Without permission to delete the run goes on: what it would delete is emptied instead.
    """
    next(store.list(".lightly/"), None)
    content = b"selection-job " + secrets.token_hex(8).encode()
    if _read_probe(store) is None:  # else an earlier run that might not delete has left it
        store.write(PROBE_KEY, b"")
    store.write(PROBE_KEY, content, permission="OVERWRITE")
    if _read_probe(store) != content:
        log.info("%s%s was written or deleted by another run at the same time.", store.url, PROBE_KEY)
    try:
        store.delete(PROBE_KEY)
    except StorageRefused as error:
        store.can_delete = False
        log.warning("%s What the run would delete there is emptied instead.", error)


def _read_probe(store: BucketStore) -> bytes | None:
    """Return None where it is not there: behind a write, because another run that starts now has just deleted it."""
    try:
        return store.read(PROBE_KEY)
    except ObjectMissing:
        return None

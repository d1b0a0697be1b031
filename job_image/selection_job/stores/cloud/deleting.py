"""Deleting many objects: each is a request that mostly waits, so several are under way at a time."""

from collections.abc import Iterable
from functools import partial

from selection_job.process.parallel_calls import call_in_parallel
from selection_job.stores.store import Store

PARALLEL_DELETES = 16


def delete_keys(store: Store, keys: Iterable[str]) -> None:
    """Delete the objects, in no order; raises what the first that can't be deleted raises, some of the others done."""
    for _ in call_in_parallel((partial(store.delete, key) for key in keys), PARALLEL_DELETES):
        pass

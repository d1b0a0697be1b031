"""Store: the few verbs the pipeline needs from a datasource, whichever cloud or disk is behind it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from selection_job.process.parallel_calls import call_in_parallel

PARALLEL_DELETES = 16
"""Each is a request that mostly waits."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as listed: its key relative to the datasource, its size, a version that changes with its content."""

    key: str
    size_bytes: int
    version: str


class Store(Protocol):
    """Objects under one datasource. Keys are relative to it, with '/' between parts, never starting with '/'.

    Every verb raises StorageRefused (permission, no such bucket), StorageUnavailable (a passing fault), and
    where an object is named ObjectMissing.
    """

    url: str
    """What users know it by, with a trailing '/': s3://bucket/prefix/ or an absolute folder."""

    parallel_reads: int
    """How many requests at a time it takes to hide the latency; 1 where there is none to hide."""

    @property
    def credentials(self) -> str:
        """How the run came to its credentials, for people; never a secret."""

    def list(self, prefix: str = "", *, unreadable: "list[str] | None" = None) -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with prefix, in no particular order, streaming.

        unreadable  gets the keys, with a '/' at their end, of folders that may not be read; None: they end the listing
        """

    def read(self, key: str) -> bytes:
        """Return the whole object."""

    def read_range(self, key: str, start: int, end: int, *, version: str) -> bytes:
        """Return the bytes from start up to, and without, end; fewer where the object ends before.

        version  as listed: ObjectMissing where the object is another one by now
        """

    def exists(self, key: str) -> bool:
        """Say whether the object is there."""

    def write(self, key: str, content: bytes) -> None:
        """Create or replace the object; readers see the old or the new content, never a part."""

    def create(self, key: str, content: bytes) -> bool:
        """Create the object; return False where there is one already. Of several writers one gets True.

        content    unlike any other writer's, so that an answer that got lost can be told
        """

    def upload(self, key: str, path: Path) -> None:
        """Create or replace the object from a local file, never a part; a large file is not read into memory."""

    def copy_to(self, key: str, target: "Store", target_key: str) -> bool:
        """Copy the object into another store without carrying its bytes; return False where that can't be done."""

    def download(self, key: str, path: Path) -> None:
        """Write the object into a local file; a large object is not read into memory."""

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is fine."""

    def delete_folder(self, prefix: str) -> None:
        """Remove all objects below prefix (which ends in '/')."""


def delete_keys(store: Store, keys: Iterable[str]) -> None:
    """Delete the objects, in no order; raises what the first that can't be deleted raises, some of the others done."""
    for _ in call_in_parallel((partial(store.delete, key) for key in keys), PARALLEL_DELETES):
        pass

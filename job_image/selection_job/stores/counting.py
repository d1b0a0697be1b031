"""CountingStore: a store that knows how many bytes were read from it."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

from selection_job.stores.store import ObjectInfo, Store


class CountingStore:
    """Passes every verb on to another store and counts what was read, by this process and by those it starts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # shared memory: training reads in worker processes; a lock of this kind serves those of every start method
        self._counter = multiprocessing.get_context("forkserver").Value("q", 0)
        self.url = store.url
        self.parallel_reads = store.parallel_reads

    @property
    def credentials(self) -> str:
        """How the store came to its credentials."""
        return self._store.credentials

    @property
    def bytes_read(self) -> int:
        """Sum of the sizes of all objects, and parts of them, that were returned."""
        return int(self._counter.get_obj().value)  # without the lock: one who was killed with it would hold it for ever

    def list(self, prefix: str = "", *, unreadable: "list[str] | None" = None) -> Iterator[ObjectInfo]:
        """List as the store does; listing counts nothing."""
        return self._store.list(prefix, unreadable=unreadable)

    def read(self, key: str) -> bytes:
        """Read and count."""
        content = self._store.read(key)
        self._count(len(content))
        return content

    def read_range(self, key: str, start: int, end: int, *, version: str) -> bytes:
        """Read a part and count it."""
        content = self._store.read_range(key, start, end, version=version)
        self._count(len(content))
        return content

    def exists(self, key: str) -> bool:
        """Ask the store."""
        return self._store.exists(key)

    def write(self, key: str, content: bytes) -> None:
        """Write as the store does."""
        self._store.write(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Create as the store does."""
        return self._store.create(key, content)

    def upload(self, key: str, path: Path) -> None:
        """Upload as the store does."""
        self._store.upload(key, path)

    def copy_to(self, key: str, target: Store, target_key: str) -> bool:
        """Copy as the store does; what it copies is not read."""
        return self._store.copy_to(key, target, target_key)

    def download(self, key: str, path: Path) -> None:
        """Download and count."""
        self._store.download(key, path)
        self._count(path.stat().st_size)

    def delete(self, key: str) -> None:
        """Delete as the store does."""
        self._store.delete(key)

    def delete_folder(self, prefix: str) -> None:
        """Delete as the store does."""
        self._store.delete_folder(prefix)

    def _count(self, size_bytes: int) -> None:
        with self._counter.get_lock():
            self._counter.value += size_bytes

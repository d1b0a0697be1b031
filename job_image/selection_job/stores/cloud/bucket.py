"""BucketStore: a prefix of a bucket as a datasource, on S3, Google Cloud Storage and Azure alike.

Two ways lead to an object. The fast one is obstore: a fraction of an SDK's CPU time, no waiting for Python's lock. It
can't request every key, and its errors don't say what the provider said. So whatever it can't do, and whatever it
failed at, goes through the provider's SDK, with our own retries, whose errors have the provider's code. The listing
always goes through the SDK: obstore would list `/lead` as `lead`.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore

from selection_job.process.waiting import WAITS, Wait
from selection_job.stores.cloud import multi_step_calls
from selection_job.stores.cloud.adaptive_limit import MOST, AdaptiveLimit
from selection_job.stores.cloud.bucket_errors import Attempt, translate
from selection_job.stores.cloud.fast_client import PART_BYTES, FastClients, get_into, get_part, read_md5, translated
from selection_job.stores.cloud.keys import is_plain
from selection_job.stores.cloud.listing import list_rows
from selection_job.stores.cloud.provider_client import Page, ProviderClient, VendorError
from selection_job.stores.cloud.retrying import RetryPolicy
from selection_job.stores.local.errors import translate_write_errors
from selection_job.stores.store import ObjectInfo, Store, delete_keys

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger("selection_job")

T = TypeVar("T")

_PARALLEL_PARTS = 4


@dataclass(frozen=True)
class Connection:
    """Both ways to a bucket, with the same credentials."""

    fast: FastClients
    vendor: ProviderClient


class BucketStore:
    """Store over a bucket's prefix.

    connect    makes a Connection from the credentials as they are now; called again when those have expired, and once
               in each forked process, where obstore can't work and sockets must not be shared
    url        s3://bucket/prefix/, with a trailing '/'
    prefix     'prefix/', or '' for the whole bucket
    can_delete    where False, delete leaves an empty object
    It can be pickled where connect can: the other process connects at its first request.
    """

    parallel_reads = MOST

    def __init__(
        self, connect: Callable[[], Connection], *, url: str, prefix: str, retry_policy: RetryPolicy | None = None
    ) -> None:
        self.url = url
        self.can_delete = True
        self._connect = connect
        self._prefix = prefix
        self._retry_policy = retry_policy or RetryPolicy()
        self._etag_is_md5 = True
        self._not_copied_from: set[str] = set()
        self._connections: dict[int, Connection] = {}
        self._begin(os.getpid())
        try:
            with WAITS.on(f"the credentials of {url}"):
                self._connected()
        except VendorError as error:  # a bucket's name that the SDK does not take
            raise translate(error, Attempt("LIST", url)) from error

    def _begin(self, process: int) -> None:
        """Set what belongs to one process. obstore works where it has not been at work before a fork."""
        self._process = process
        self._lock = threading.Lock()
        self._limit = AdaptiveLimit(now=self._retry_policy.now, sleep=self._retry_policy.sleep)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what another process can't use."""
        own = {"_connections", "_lock", "_limit", "_process"}
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up the work in another process."""
        self.__dict__.update(state)
        self._connections = {}
        self._begin(os.getpid())

    @property
    def credentials(self) -> str:
        """How the run came to its credentials, for the log and the report."""
        return self._connected().vendor.credentials

    def list(self, prefix: str = "", *, unreadable: "list[str] | None" = None) -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with prefix, page by page. The datasource's own folder marker is none.

        unreadable  stays as it is: a bucket is listed as a whole or not at all
        """

        def ask(full_prefix: str, token: str | None, by_folder: bool) -> Page:
            return self._ask(lambda vendor: vendor.list_page(full_prefix, token, by_folder), "LIST")

        for rows in list_rows(ask, self._prefix + prefix):
            for key, size_bytes, version in rows:
                if key != self._prefix:
                    yield ObjectInfo(key.removeprefix(self._prefix), size_bytes, version)

    def read(self, key: str) -> bytes:
        """Return the whole object, its length and, where the provider names it, its MD5 checked."""
        full = self._prefix + key
        content = self._try_fast(full, self._get_whole)
        return self._ask(lambda vendor: vendor.get(full), "READ", key) if content is None else content

    def read_range(self, key: str, start: int, end: int, *, version: str) -> bytes:
        """Return the bytes from start to end of the listed version; fewer where the object ends before."""
        if start >= end:
            return b""
        full, pinned = self._prefix + key, self._connected().vendor.pin(version)
        content = self._try_fast(full, lambda store, name: get_part(store, name, start, end, pinned))
        if content is not None:
            return content
        return self._ask(lambda vendor: multi_step_calls.get_range(vendor, full, start, end, version), "READ", key)

    def exists(self, key: str) -> bool:
        """Say whether the object is there."""
        full = self._prefix + key
        if self._try_fast(full, obstore.head) is not None:
            return True
        return self._ask(lambda vendor: multi_step_calls.is_there(vendor, full), "READ", key)

    def write(self, key: str, content: bytes, *, permission: str = "WRITE") -> None:
        """Create or replace the object; permission is what a refusal calls it."""
        full = self._prefix + key
        if self._try_fast(full, lambda store, path: obstore.put(store, path, content, use_multipart=False)) is None:
            self._ask(lambda vendor: vendor.put(full, content), permission, key)

    def create(self, key: str, content: bytes) -> bool:
        """Create the object; return False where there is one already. Exactly one of several writers gets True.

        content    unlike any other writer's: an answer that got lost is told by it
        """
        full = self._prefix + key
        return self._ask(lambda vendor: multi_step_calls.create(vendor, full, content), "WRITE", key)

    def upload(self, key: str, path: Path) -> None:
        """Create or replace the object from a local file, in parts where it is large."""
        full = self._prefix + key

        def put(store: "ObjectStore", name: str) -> object:
            return obstore.put(store, name, path, chunk_size=PART_BYTES, max_concurrency=_PARALLEL_PARTS)

        if self._try_fast(full, put, in_pieces=True) is None:
            self._ask(lambda vendor: vendor.put_from(full, path), "WRITE", key)

    def download(self, key: str, path: Path) -> None:
        """Write the object into a local file, in pieces; by the SDK, which knows more checksums, without an MD5."""
        full = self._prefix + key
        with translate_write_errors(f"{path.parent}/", path.name):
            path.open("wb").close()  # a disk without room or permission is not the bucket's fault
        if self._try_fast(full, lambda store, name: get_into(store, name, path), in_pieces=True) is None:
            self._ask(lambda vendor: vendor.get_into(full, path), "READ", key)

    def copy_to(self, key: str, target: Store, target_key: str) -> bool:
        """Have the provider copy the object; return False where it can't or may not, which is asked once a target."""
        return isinstance(target, BucketStore) and target._copy_from(self, key, target_key)

    def _copy_from(self, source: "BucketStore", key: str, own_key: str) -> bool:
        if source.url in self._not_copied_from:
            return False
        full, own = source._prefix + key, self._prefix + own_key
        try:
            with WAITS.on(f"{self.url} to copy from {source.url}") as wait:
                self._insist(lambda vendor: vendor.copy_from(source._connected().vendor, full, own), wait)
        except VendorError as error:
            if error.forbids_copies:
                self._not_copied_from.add(source.url)
                log.info(
                    "The provider does not copy from %s to %s (%s): read and written.", source.url, self.url, error
                )
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is fine. Without permission to delete it is emptied."""
        if not self.can_delete:
            if self.exists(key):
                self.write(key, b"")
            return
        full = self._prefix + key
        self._ask(lambda vendor: multi_step_calls.delete(vendor, full), "DELETE", key)

    def delete_folder(self, prefix: str) -> None:
        """Remove all objects below prefix (which ends in '/')."""
        if not prefix.endswith("/"):
            raise ValueError(f"prefix must end in '/', got {prefix!r}")
        delete_keys(self, [info.key for info in self.list(prefix)])

    def _ask(self, call: Callable[[ProviderClient], T], permission: str, key: str = "") -> T:
        """Return what the vendor's SDK answers. Raises the job's errors."""
        with WAITS.on(f"{self.url} to answer {permission}") as wait:
            try:
                return self._insist(call, wait)
            except VendorError as error:
                first = error
            try:
                if first.is_expired:
                    self._reconnect()
                    return self._insist(call, wait)
            except VendorError as error:
                first = error
        raise translate(first, Attempt(permission, self.url, key, self.credentials)) from first

    def _insist(self, call: Callable[[ProviderClient], T], wait: Wait) -> T:
        """Return what the vendor's SDK answers, asked again where it failed in passing. Raises VendorError."""

        def ask_once() -> T:
            connection = self._connected()
            with self._limit.request():
                return call(connection.vendor)

        return self._retry_policy.insist(ask_once, note=wait.note)

    def _try_fast(self, full_key: str, act: "Callable[[ObjectStore, str], T]", *, in_pieces: bool = False) -> T | None:
        """Return what obstore answers; None where it can't or should not be asked, or failed for whatever reason."""
        if os.getpid() != self._process or not is_plain(full_key):
            return None
        fast = self._connected().fast
        try:
            with WAITS.on(f"{self.url} to answer"), self._limit.request(), translated():
                return act(fast.pieces if in_pieces else fast.whole, full_key)
        except VendorError as error:
            log.debug("obstore failed on %s: %s", full_key, error)
            return None

    def _get_whole(self, store: "ObjectStore", full_key: str) -> bytes | None:
        result = obstore.get(store, full_key)
        content = result.bytes().to_bytes()
        if len(content) != result.meta["size"]:
            return None
        expected = read_md5(result.meta["e_tag"]) if self._etag_is_md5 else None
        if expected and hashlib.md5(content, usedforsecurity=False).hexdigest() != expected:
            return self._read_again(full_key, content)
        return content

    def _read_again(self, full_key: str, content: bytes) -> bytes | None:
        """Return content where the SDK reads the same: then ETags are no MD5 here (KMS); else None."""
        if self._connected().vendor.get(full_key) != content:
            return None
        self._etag_is_md5 = False
        return content

    def _connected(self) -> Connection:
        """Return this process's own connection."""
        process = os.getpid()
        if process not in self._connections:
            if self._connections:  # forked: the parent may have held its locks
                self._begin(self._process)
            with self._lock:
                if process not in self._connections:
                    self._connections = {process: self._connect()}
        return self._connections[process]

    def _reconnect(self) -> None:
        """Read the credentials anew."""
        stale = self._connected()
        with self._lock:
            if self._connected() is stale:
                self._connections = {os.getpid(): self._connect()}

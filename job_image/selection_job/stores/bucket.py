"""BucketStore: a prefix of a bucket as a datasource, on S3, Google Cloud Storage and Azure alike.

Two ways lead to an object. The fast one is obstore: a fraction of an SDK's CPU time, no waiting for Python's lock. It
can't request every key, and its errors don't say what the provider said. So whatever it can't do, and whatever it
failed at, goes the careful way: the vendor's SDK, with our own patience, whose errors have the provider's code. The
listing always goes the careful way: obstore would list `/lead` as `lead`.
"""

import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError

from selection_job.errors import StorageUnavailable
from selection_job.stores.bucket_errors import Attempt, translate
from selection_job.stores.deleting import delete_keys
from selection_job.stores.keys import is_plain
from selection_job.stores.local_errors import translate_write_errors
from selection_job.stores.patience import Patience
from selection_job.stores.store import ObjectInfo, Store
from selection_job.stores.vendor import Page, Vendor, VendorError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger("selection_job")

T = TypeVar("T")

PARALLEL_READS = 48
"""How many requests hide the latency of a bucket (10 to 50 ms to the first byte)."""

_PART_BYTES = 16 * 1024**2
_PARALLEL_PARTS = 4
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass(frozen=True)
class Connection:
    """Both ways to a bucket, with the same credentials."""

    fast: "ObjectStore"
    vendor: Vendor


class BucketStore:
    """Store over a bucket's prefix.

    connect    makes a Connection from the credentials as they are now; called again when those have expired, and once
               in each forked process, where obstore can't work and sockets must not be shared
    url        s3://bucket/prefix/, with a trailing '/'
    prefix     'prefix/', or '' for the whole bucket
    can_delete    where False, delete leaves an empty object
    """

    parallel_reads = PARALLEL_READS

    def __init__(
        self, connect: Callable[[], Connection], *, url: str, prefix: str, patience: Patience | None = None
    ) -> None:
        self.url = url
        self.can_delete = True
        self._connect = connect
        self._prefix = prefix
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._process = os.getpid()
        try:
            self._connections = {self._process: connect()}
        except VendorError as error:  # a bucket's name that the SDK does not take
            raise translate(error, Attempt("LIST", url)) from error
        self._etag_is_md5 = True
        self._not_copied_from: set[str] = set()

    @property
    def credentials(self) -> str:
        """How the run came to its credentials, for the log and the report."""
        return self._connected().vendor.credentials

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with prefix, page by page. The datasource's own folder marker is none."""
        token, seen = None, set[str]()
        begun = set[int]()  # hashes of the tokens: a listing of a million keys has a thousand
        while True:
            page = self._list_page(prefix, token)
            keys = {info.key for info in page.objects}
            for info in page.objects:
                if info.key not in seen and info.key != self._prefix:  # a page given twice counts once
                    yield ObjectInfo(info.key.removeprefix(self._prefix), info.size_bytes, info.version)
            if page.next_token is None:
                return
            if hash(page.next_token) in begun:
                raise StorageUnavailable(f"LIST on {self.url}{prefix} goes in a circle: the same page again.")
            begun.add(hash(page.next_token))
            token, seen = page.next_token, keys

    def _list_page(self, prefix: str, token: str | None) -> Page:
        return self._ask(lambda vendor: vendor.list_page(self._prefix + prefix, token), "LIST")

    def read(self, key: str) -> bytes:
        """Return the whole object, its length and, where the provider names it, its MD5 checked."""
        full = self._prefix + key
        content = self._try_fast(full, self._get_whole)
        return self._ask(lambda vendor: vendor.get(full), "READ", key) if content is None else content

    def exists(self, key: str) -> bool:
        """Say whether the object is there."""
        full = self._prefix + key
        if self._try_fast(full, obstore.head) is not None:
            return True
        return self._ask(lambda vendor: _is_there(vendor, full), "READ", key)

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
        return self._ask(lambda vendor: _create(vendor, full, content), "WRITE", key)

    def upload(self, key: str, path: Path) -> None:
        """Create or replace the object from a local file, in parts where it is large."""
        full = self._prefix + key

        def put(store: "ObjectStore", name: str) -> object:
            return obstore.put(store, name, path, chunk_size=_PART_BYTES, max_concurrency=_PARALLEL_PARTS)

        if self._try_fast(full, put) is None:
            self._ask(lambda vendor: vendor.put_from(full, path), "WRITE", key)

    def download(self, key: str, path: Path) -> None:
        """Write the object into a local file, in pieces."""
        full = self._prefix + key
        with translate_write_errors(f"{path.parent}/", path.name):
            path.open("wb").close()  # a disk without room or permission is not the bucket's fault
        if self._try_fast(full, lambda store, name: _get_into(store, name, path)) is None:
            self._ask(lambda vendor: vendor.get_into(full, path), "READ", key)

    def copy_to(self, key: str, target: Store, target_key: str) -> bool:
        """Have the provider copy the object; return False where it can't or may not, which is asked once a target."""
        return isinstance(target, BucketStore) and target._copy_from(self, key, target_key)

    def _copy_from(self, source: "BucketStore", key: str, own_key: str) -> bool:
        if source.url in self._not_copied_from:
            return False
        full, own = source._prefix + key, self._prefix + own_key
        try:
            self._patience.insist(lambda: self._connected().vendor.copy_from(source._connected().vendor, full, own))
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
        self._ask(lambda vendor: _delete(vendor, full), "DELETE", key)

    def delete_folder(self, prefix: str) -> None:
        """Remove all objects below prefix (which ends in '/')."""
        if not prefix.endswith("/"):
            raise ValueError(f"prefix must end in '/', got {prefix!r}")
        delete_keys(self, [info.key for info in self.list(prefix)])

    def _ask(self, call: Callable[[Vendor], T], permission: str, key: str = "") -> T:
        """Return what the vendor's SDK answers. Raises the job's errors."""
        try:
            return self._patience.insist(lambda: call(self._connected().vendor))
        except VendorError as error:
            first = error
        try:
            if first.is_expired:
                self._reconnect()
                return self._patience.insist(lambda: call(self._connected().vendor))
        except VendorError as error:
            first = error
        raise translate(first, Attempt(permission, self.url, key, self.credentials)) from first

    def _try_fast(self, full_key: str, act: "Callable[[ObjectStore, str], T]") -> T | None:
        """Return what obstore answers; None where it can't or should not be asked, or failed for whatever reason."""
        if os.getpid() != self._process or not is_plain(full_key):
            return None
        try:
            return act(self._connected().fast, full_key)
        except (BaseError, OSError, ValueError) as error:
            log.debug("obstore failed on %s: %s", full_key, error)
            return None

    def _get_whole(self, store: "ObjectStore", full_key: str) -> bytes | None:
        result = obstore.get(store, full_key)
        content = result.bytes().to_bytes()
        if len(content) != result.meta["size"]:
            return None
        named = _MD5.fullmatch(result.meta["e_tag"] or "") if self._etag_is_md5 else None
        if named and hashlib.md5(content, usedforsecurity=False).hexdigest() != named[1]:
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
            self._lock = threading.Lock()  # the parent may have held its own when it forked
            self._connections = {process: self._connect()}
        return self._connections[process]

    def _reconnect(self) -> None:
        """Read the credentials anew."""
        stale = self._connected()
        with self._lock:
            if self._connected() is stale:
                self._connections = {os.getpid(): self._connect()}


def _is_there(vendor: Vendor, full_key: str) -> bool:
    try:
        vendor.head(full_key)
    except VendorError as error:
        if error.status == 404 and error.code != "NoSuchBucket":
            return False
        raise
    return True


def _create(vendor: Vendor, full_key: str, content: bytes) -> bool:
    try:
        vendor.put(full_key, content, only_new=True)
    except VendorError as error:
        if error.status in (409, 412):
            return _holds(vendor, full_key, content)
        raise
    return True


def _holds(vendor: Vendor, full_key: str, content: bytes) -> bool:
    try:
        return vendor.get(full_key) == content
    except VendorError as error:
        if error.status == 404:
            return False
        raise


def _delete(vendor: Vendor, full_key: str) -> None:
    try:
        vendor.delete(full_key)
    except VendorError as error:
        if error.status != 404 or error.code == "NoSuchBucket":
            raise


def _get_into(store: "ObjectStore", full_key: str, path: Path) -> bool | None:
    result = obstore.get(store, full_key)
    size_bytes = 0
    with path.open("wb") as file:
        for chunk in result.stream(min_chunk_size=_PART_BYTES):
            size_bytes += file.write(chunk)
    return True if size_bytes == result.meta["size"] else None

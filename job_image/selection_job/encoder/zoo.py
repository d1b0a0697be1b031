"""lightly's model zoo: pretrained checkpoints over HTTP, hash-checked and cached where lightly caches them."""

import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path

import torch
from lightly.models import ZOO

from selection_api.lightly_config import ModelShape
from selection_job.errors import JobError, StorageUnavailable, UnusableData
from selection_job.process.waiting import WAITS
from selection_job.stores.cloud.http_client import read_retry_after
from selection_job.stores.cloud.provider_client import VendorError
from selection_job.stores.cloud.retrying import RetryPolicy

log = logging.getLogger("selection_job")

_CHUNK_BYTES = 1 << 20
_HASH = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


class ZooUnavailable(Exception):
    """No pretrained checkpoint could be had; str() says why. Its caller decides what that means."""

    def __init__(self, why: str, *, is_passing: bool = False) -> None:
        super().__init__(why)
        self.is_passing = is_passing
        """Whether the same download may succeed later."""

    def explain(self, sentence: str) -> JobError:
        """Return the end of a run that can't go on without it: a later try's where the fault passes, else final."""
        return StorageUnavailable(sentence) if self.is_passing else UnusableData(sentence)


@dataclass(frozen=True)
class Zoo:
    """Where pretrained checkpoints come from, and how long to wait for them."""

    urls: Mapping[str, str] = field(default_factory=lambda: dict(ZOO))
    """By key, as lightly names them. Each file name ends in the first hex digits of its SHA-256."""
    folder: Path = field(default_factory=lambda: Path(torch.hub.get_dir()) / "checkpoints")
    """torch's hub cache, so that a file which lightly has fetched is not fetched again."""
    connect_seconds: float = 10.0
    total_seconds: float = 300.0
    max_bytes: int = 1 << 30
    clock: Callable[[], float] = time.monotonic
    retry_policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=6))
    """About 15 s, which an interrupted name service takes: whoever has no network waits for that too."""

    def fetch(self, config: ModelShape) -> Path:
        """Return a local copy of the zoo's checkpoint for this network.

        Raises ZooUnavailable where the zoo has none, can't be reached in time, or sends something else;
        StorageUnavailable where the cache can't be written.
        """
        key = zoo_key(config)
        if key not in self.urls:
            raise ZooUnavailable(f"lightly's model zoo has nothing for {key} (it has {', '.join(sorted(self.urls))})")
        return self.fetch_url(self.urls[key])

    def fetch_url(self, url: str) -> Path:
        """Return a local copy of a file whose name ends in the first hex digits of its SHA-256, as in torch's hub.

        Raises as fetch does.
        """
        path = self.folder / url.rpartition("/")[2]
        if path.is_file() and _has_hash(path.read_bytes(), path.name):
            return path
        content = self._download(url)
        if not _has_hash(content, path.name):
            raise ZooUnavailable(f"{url} sent {len(content)} bytes whose SHA-256 is not the one in its name")
        _write_whole(path, content)
        return path

    def _download(self, url: str) -> bytes:
        if not url.startswith(("https://", "http://")):
            raise ZooUnavailable(f"{url} is neither https nor http")
        log.info("Downloading %s", url)
        try:
            with WAITS.on(f"the download of {url}") as wait:
                return self.retry_policy.insist(lambda: self._ask(url), note=wait.note)
        except VendorError as error:
            why = f"{url} can't be reached: {error.message or error.code}"
            raise ZooUnavailable(why, is_passing=error.is_passing) from error

    def _ask(self, url: str) -> bytes:
        """Return what the server sends. Raises VendorError, with the status where there is one."""
        try:
            with urllib.request.urlopen(url, timeout=self.connect_seconds) as response:  # noqa: S310
                content = self._read(response.read1, url)
                promised = response.headers.get("Content-Length", "")
        except urllib.error.HTTPError as error:
            error.close()
            wait_s = read_retry_after(dict(error.headers))
            raise VendorError(error.code, f"HTTP {error.code}", str(error.reason), retry_after_s=wait_s) from error
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            reason = getattr(error, "reason", None) or error
            raise VendorError(None, type(reason).__name__, str(reason) or type(reason).__name__) from error
        if promised.isdigit() and len(content) < int(promised):
            raise VendorError(None, "IncompleteRead", f"{len(content)} of {promised} bytes came")
        return content

    def _read(self, read: Callable[[int], bytes], url: str) -> bytes:
        deadline = self.clock() + self.total_seconds
        content = bytearray()
        while chunk := read(_CHUNK_BYTES):
            content += chunk
            if len(content) > self.max_bytes:
                raise ZooUnavailable(f"{url} sends more than {self.max_bytes} bytes")
            if self.clock() > deadline:
                raise ZooUnavailable(f"{url} took longer than {self.total_seconds:g} s", is_passing=True)
        return bytes(content)


def zoo_key(config: ModelShape) -> str:
    """Return the zoo's name for a network: resnet-18/simclr/d32/w1.0 for the default one."""
    return f"{config.name}/simclr/d{config.num_ftrs}/w{float(config.width)}"


def _has_hash(content: bytes, file_name: str) -> bool:
    digits = _HASH.search(file_name)
    return digits is not None and sha256(content).hexdigest().startswith(digits[1])


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageUnavailable(f"The checkpoint cache {path.parent} can't be written: {error.strerror}.") from error

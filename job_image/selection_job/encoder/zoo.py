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
from selection_job.errors import StorageUnavailable

log = logging.getLogger("selection_job")

_CHUNK_BYTES = 1 << 20
_HASH = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


class ZooUnavailable(Exception):
    """No pretrained checkpoint could be had; str() says why. Its caller decides what that means."""


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
            with urllib.request.urlopen(url, timeout=self.connect_seconds) as response:  # noqa: S310
                return self._read(response.read1, url)
        except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
            reason = getattr(error, "reason", None) or error
            raise ZooUnavailable(f"{url} can't be reached: {reason}") from error

    def _read(self, read: Callable[[int], bytes], url: str) -> bytes:
        deadline = self.clock() + self.total_seconds
        content = bytearray()
        while chunk := read(_CHUNK_BYTES):
            content += chunk
            if len(content) > self.max_bytes:
                raise ZooUnavailable(f"{url} sends more than {self.max_bytes} bytes")
            if self.clock() > deadline:
                raise ZooUnavailable(f"{url} took longer than {self.total_seconds:g} s")
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

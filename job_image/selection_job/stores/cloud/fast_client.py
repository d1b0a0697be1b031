"""obstore's clients: their options, which are the same for every cloud, and what their errors mean."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from selection_job.stores.cloud.adaptive_limit import MOST
from selection_job.stores.cloud.http_client import CONNECT_TIMEOUT_S, READ_TIMEOUT_S
from selection_job.stores.cloud.provider_client import VendorError

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

PART_BYTES = 16 * 1024**2

_BACKOFF: "RetryConfig" = {
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
_STATUS = re.compile(r"status code: (\d{3})")
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass(frozen=True)
class FastClients:
    """obstore's clients of one bucket."""

    whole: "ObjectStore"
    """For one request an object. Tries nothing again: what fails goes through the SDK and a RetryPolicy."""

    pieces: "ObjectStore"
    """For files in pieces, of which one that fails is tried again, and not all of them."""


def make_clients(make: "Callable[[RetryConfig], ObjectStore]") -> FastClients:
    """Return the clients; make builds one with the given retries."""
    return FastClients(make({**_BACKOFF, "max_retries": 0}), make({**_BACKOFF, "max_retries": 2}))


def client_options(endpoint: str, certificates: str | None) -> "ClientConfig":
    """Return timeouts for pieces rather than for whole objects, the certificates, and plain http where asked for."""
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "read_timeout": timedelta(seconds=READ_TIMEOUT_S),
        "timeout": timedelta(hours=6),
        "pool_max_idle_per_host": str(2 * MOST),
        "user_agent": "selection-operator",
    }
    if certificates:
        options["root_certificate"] = Path(certificates).read_bytes()
    return options


@contextmanager
def translated() -> Iterator[None]:
    """Raise VendorError in place of obstore's errors, with the status where one came; its code is obstore's."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        said = str(error).partition("\n")[0]
        found = _STATUS.search(said)
        # without a status and not about the transport it is about the request: a key, a redirect
        status = int(found[1]) if found else (None if "HTTP error" in said else 400)
        raise VendorError(status, type(error).__name__, said) from error


def read_md5(e_tag: str | None) -> str | None:
    """Return the MD5 of the bytes where the ETag may be one, in hexadecimal digits."""
    named = _MD5.fullmatch(e_tag or "")
    return named[1] if named else None


def get_part(store: "ObjectStore", full_key: str, start: int, end: int, pinned: "GetOptions") -> bytes | None:
    """Return the bytes from start to end; None where other ones came. pinned names the version."""
    result = obstore.get(store, full_key, options={**pinned, "range": (start, end)})
    content = result.bytes().to_bytes()
    return content if len(content) == min(end, result.meta["size"]) - start else None


def get_into(store: "ObjectStore", full_key: str, path: Path) -> bool | None:
    """Write the object into the file; None where it has no MD5 to check it by, or another than its ETag names."""
    result = obstore.get(store, full_key)
    expected = read_md5(result.meta["e_tag"])
    if expected is None:
        return None
    digest, size_bytes = hashlib.md5(usedforsecurity=False), 0
    with path.open("wb") as file:
        for chunk in result.stream(min_chunk_size=PART_BYTES):
            size_bytes += file.write(chunk)
            digest.update(chunk)
    return True if (size_bytes, digest.hexdigest()) == (result.meta["size"], expected) else None

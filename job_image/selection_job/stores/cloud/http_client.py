"""HTTP for what the SDKs do too slowly: listing. One pool of connections per bucket, no retries of its own."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import urllib3
from urllib3.exceptions import HTTPError

from selection_job.stores.cloud.provider_client import VendorError

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0


def make_pool(certificates: str | None) -> urllib3.PoolManager:
    """Return a pool that trusts the system's certificates, or those of the file."""
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
        retries=False,
        ca_certs=certificates,
    )


def fetch(pool: urllib3.PoolManager, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, "Headers"]:
    """Return status, body and headers of a GET. Raises VendorError without a status where no whole answer came."""
    try:
        answer = pool.request("GET", url, headers=headers or {})
    except HTTPError as error:
        raise VendorError(None, type(error).__name__, str(error)) from error
    return answer.status, answer.data, answer.headers


Headers = urllib3.HTTPHeaderDict


def read_retry_after(headers: "Headers | dict[str, str] | None", *, now: datetime | None = None) -> float:
    """Return the seconds that Retry-After asks for, given as a number or a date; 0 where it is absent or nonsense."""
    value = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, TypeError):
        return 0.0

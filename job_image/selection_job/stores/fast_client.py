"""Options of obstore that are the same for every cloud."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from selection_job.stores.http_client import CONNECT_TIMEOUT_S, READ_TIMEOUT_S

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

RETRIES: "RetryConfig" = {
    "max_retries": 2,  # what still fails goes the careful way, which knows Retry-After and the provider's code
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}


def client_options(endpoint: str, certificates: str | None) -> "ClientConfig":
    """Return timeouts for pieces rather than for whole objects, the certificates, and plain http where asked for."""
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "read_timeout": timedelta(seconds=READ_TIMEOUT_S),
        "timeout": timedelta(hours=6),
        "pool_max_idle_per_host": "128",
        "user_agent": "selection-operator",
    }
    if certificates:
        options["root_certificate"] = Path(certificates).read_bytes()
    return options

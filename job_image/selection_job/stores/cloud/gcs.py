"""Google Cloud Storage: a bucket through google-cloud-storage, with credentials of google-auth for both ways to it."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google.auth.exceptions
import requests
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage  # type: ignore[import-untyped]
from google.resumable_media import DataCorruption, InvalidResponse
from obstore.store import GCSStore

from selection_api.datasource import Datasource
from selection_job.stores.cloud.adaptive_limit import MOST
from selection_job.stores.cloud.bucket import Connection
from selection_job.stores.cloud.certificates import TrustingAdapter, find_certificates
from selection_job.stores.cloud.fast_client import client_options, make_clients
from selection_job.stores.cloud.gcs_credentials import FreshToken, find_credentials
from selection_job.stores.cloud.http_client import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, read_retry_after
from selection_job.stores.cloud.provider_client import OtherServiceError, Page, ProviderClient, VendorError

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import RetryConfig

PUBLIC_ADDRESS = "https://storage.googleapis.com"

_TIMEOUT = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
_FIELDS = "nextPageToken,prefixes,items(name,size,generation)"
_HIDDEN_VARIABLES = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY")
_construction = threading.Lock()


def connect_gcs(datasource: Datasource, bucket: str, purpose: str) -> Connection:
    """Return both ways to the bucket, with credentials of their own. Raises StorageRefused where there are none."""
    certificates = find_certificates(datasource, purpose)
    token = find_credentials(datasource, purpose, certificates)
    address = (datasource.endpoint or PUBLIC_ADDRESS).rstrip("/")
    session = AuthorizedSession(token.credentials, auth_request=token.request)  # type: ignore[no-untyped-call]
    session.mount(f"{address}/", TrustingAdapter(certificates, connections=MOST))
    client = storage.Client(
        project=datasource.project_id,
        credentials=token.credentials,
        _http=session,
        client_options=ClientOptions(api_endpoint=address, universe_domain=token.credentials.universe_domain),
    )
    fast = make_clients(partial(_make_fast, bucket, address, token, certificates))
    return Connection(fast, GcsVendor(client, session, bucket, address, token.method))


def _make_fast(
    bucket: str, address: str, token: FreshToken, certificates: str | None, retries: "RetryConfig"
) -> GCSStore:
    """Return obstore's client. It reads its environment even where it is given credentials, and fails on some."""
    config: dict[str, Any] = {"bucket": bucket, "base_url": address}
    with _construction:
        hidden = {name: os.environ.pop(name) for name in _HIDDEN_VARIABLES if name in os.environ}
        try:
            return GCSStore(
                config=config,  # type: ignore[arg-type]
                client_options=client_options(address, certificates),
                retry_config=retries,
                credential_provider=token,
            )
        finally:
            os.environ.update(hidden)


class GcsVendor:
    """ProviderClient over google-cloud-storage; listing by the same JSON API, without an object of its own per blob."""

    def __init__(
        self, client: storage.Client, session: AuthorizedSession, bucket: str, address: str, method: str
    ) -> None:
        self.credentials = method
        self._bucket = client.bucket(bucket)
        self._session = session
        self._address = address
        self._listing = f"{address}/storage/v1/b/{bucket}/o"

    def list_page(self, prefix: str, token: str | None, by_folder: bool = False) -> Page:
        """Return up to 1000 objects."""
        parameters = {"prefix": prefix, "maxResults": "1000", "fields": _FIELDS, "projection": "noAcl"}
        if by_folder:
            parameters["delimiter"] = "/"
        if token is not None:
            parameters["pageToken"] = token
        with _translated():
            answer = self._session.get(self._listing, params=parameters, timeout=_TIMEOUT)
        if answer.status_code != 200:
            raise _read_error(answer)
        return _read_page(answer.content)

    def get(self, key: str) -> bytes:
        """Return the object, its checksum verified by the SDK."""
        with _translated():
            content: bytes = self._bucket.blob(key).download_as_bytes(raw_download=True, timeout=_TIMEOUT, retry=None)
        return content

    def get_range(self, key: str, start: int, end: int, version: str) -> bytes:
        """Return the bytes from start to end of this generation of the object; there is no checksum of a part."""
        with _translated():
            content: bytes = self._bucket.blob(key, generation=int(version)).download_as_bytes(
                start=start, end=end - 1, raw_download=True, checksum=None, timeout=_TIMEOUT, retry=None
            )
        return content

    def pin(self, version: str) -> "GetOptions":
        """Return the generation."""
        return {"version": version}

    def get_into(self, key: str, path: Path) -> None:
        """Write the object into the file, in pieces."""
        with _translated():
            self._bucket.blob(key).download_to_filename(str(path), raw_download=True, timeout=_TIMEOUT, retry=None)

    def put(self, key: str, content: bytes, *, only_new: bool = False) -> None:
        """Write the object in one request."""
        condition = {"if_generation_match": 0} if only_new else {}
        with _translated():
            self._bucket.blob(key).upload_from_string(
                content, content_type="application/octet-stream", timeout=_TIMEOUT, retry=None, **condition
            )

    def put_from(self, key: str, path: Path) -> None:
        """Write the object from the file, resumable where it is large."""
        with _translated():
            self._bucket.blob(key).upload_from_filename(
                str(path), content_type="application/octet-stream", timeout=_TIMEOUT, retry=None
            )

    def copy_from(self, source: ProviderClient, source_key: str, key: str) -> None:
        """Have the provider copy the object: this bucket's credentials must read the other."""
        if not isinstance(source, GcsVendor) or source._address != self._address:
            raise OtherServiceError
        other, token = source._bucket.blob(source_key), None
        with _translated():
            while True:
                token, _, _ = self._bucket.blob(key).rewrite(other, token=token, timeout=_TIMEOUT, retry=None)
                if token is None:
                    return

    def head(self, key: str) -> None:
        """Ask for the object without its content."""
        with _translated():
            self._bucket.blob(key).reload(timeout=_TIMEOUT, retry=None)

    def delete(self, key: str) -> None:
        """Remove the object."""
        with _translated():
            self._bucket.blob(key).delete(timeout=_TIMEOUT, retry=None)


def _read_page(body: bytes) -> Page:
    try:
        answer = json.loads(body)
        objects = [(item["name"], int(item["size"]), str(item["generation"])) for item in answer.get("items", ())]
        folders = tuple(str(folder) for folder in answer.get("prefixes", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VendorError(None, "MalformedListing", repr(error)) from error
    return Page(objects, answer.get("nextPageToken") or None, folders)


def _read_error(answer: requests.Response) -> VendorError:
    try:
        error = answer.json()["error"]
        reasons = error.get("errors") or [{}]
        code, message = str(reasons[0].get("reason") or f"HTTP {answer.status_code}"), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        code, message = f"HTTP {answer.status_code}", answer.text[:200]
    return VendorError(answer.status_code, code, message, retry_after_s=read_retry_after(dict(answer.headers)))


@contextmanager
def _translated() -> Iterator[None]:
    """Raise VendorError in place of the errors of google-cloud-storage, google-auth and requests."""
    try:
        yield
    except GoogleAPICallError as error:
        response = error.response
        if isinstance(response, requests.Response):
            raise _read_error(response) from error
        raise VendorError(int(error.code or 0) or None, type(error).__name__, error.message or "") from error
    except InvalidResponse as error:
        raise _read_error(error.response) from error
    except google.auth.exceptions.TransportError as error:
        raise VendorError(None, "TransportError", str(error)) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise VendorError(403, type(error).__name__, str(error)) from error
    except (DataCorruption, requests.RequestException) as error:
        raise VendorError(None, type(error).__name__, str(error)) from error

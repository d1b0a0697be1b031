"""Azure Blob Storage: a container through azure-storage-blob, with the same credentials for both ways to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode
from xml.etree import ElementTree

import urllib3
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.storage.blob import ContainerClient
from obstore.store import AzureStore

from selection_api.datasource import Datasource
from selection_job.stores.cloud.azure_credentials import AzureAccess, find_access
from selection_job.stores.cloud.bucket import Connection
from selection_job.stores.cloud.certificates import find_certificates
from selection_job.stores.cloud.fast_client import client_options, make_clients
from selection_job.stores.cloud.http_client import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    fetch,
    make_pool,
    read_retry_after,
)
from selection_job.stores.cloud.keys import has_dot_parts
from selection_job.stores.cloud.provider_client import (
    UNNAMEABLE,
    OtherServiceError,
    Page,
    ProviderClient,
    Row,
    VendorError,
)

if TYPE_CHECKING:
    from obstore import GetOptions

_API_VERSION = "2021-12-02"  # the first that gives blob names in a listing percent-encoded where XML can't hold them
_PARALLEL_PARTS = 4


def connect_azure(datasource: Datasource, container: str, purpose: str) -> Connection:
    """Return both ways to the container, with credentials of their own. Raises StorageRefused where there are none."""
    account = datasource.account_name or ""
    address = (datasource.endpoint or f"https://{account}.blob.core.windows.net").rstrip("/")
    certificates = find_certificates(datasource, purpose)
    access = find_access(datasource, container, purpose, certificates)
    client = ContainerClient(
        address,
        container,
        credential=access.for_sdk,
        retry_total=0,  # RetryPolicy does
        connection_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        connection_verify=certificates or True,
        max_single_put_size=64 * 1024**2,
        max_block_size=16 * 1024**2,
    )
    config: dict[str, Any] = {"container_name": container, "account_name": account, "endpoint": address}
    fast = make_clients(
        lambda retries: AzureStore(
            config=config,  # type: ignore[arg-type]
            client_options=client_options(address, certificates),
            retry_config=retries,
            credential_provider=access,
        )
    )
    vendor = AzureVendor(
        client, f"{address}/{quote(container)}", access, make_pool(certificates), service=datasource.endpoint or "Azure"
    )
    return Connection(fast, vendor)


class AzureVendor:
    """ProviderClient over azure-storage-blob. Listing is read by us: the SDK's own parser takes ten times as long."""

    def __init__(
        self, client: ContainerClient, address: str, access: AzureAccess, pool: urllib3.PoolManager, *, service: str
    ) -> None:
        self.credentials = access.method
        self._service = service
        self._client = client
        self._address = address
        self._access = access
        self._pool = pool

    def list_page(self, prefix: str, token: str | None, by_folder: bool = False) -> Page:
        """Return up to 5000 objects."""
        parameters = {"restype": "container", "comp": "list", "prefix": prefix, "maxresults": "5000"}
        if by_folder:
            parameters["delimiter"] = "/"
        if token is not None:
            parameters["marker"] = token
        with _translated():
            signature, headers = self._access.sign_reading()
        url = f"{self._address}?{urlencode(parameters, quote_via=quote)}{signature}"
        status, body, answered = fetch(self._pool, url, {"x-ms-version": _API_VERSION, **headers})
        if status != 200:
            raise _read_error(status, body, dict(answered))
        return _read_page(body)

    def get(self, key: str) -> bytes:
        """Return the blob."""
        with _translated(key):
            content: bytes = self._client.download_blob(key).readall()
        return content

    def get_range(self, key: str, start: int, end: int, version: str) -> bytes:
        """Return the bytes from start to end of the blob with this ETag."""
        with _translated(key):
            content: bytes = self._client.download_blob(
                key,
                offset=start,
                length=end - start,
                etag=f'"{version}"',
                match_condition=MatchConditions.IfNotModified,
            ).readall()
        return content

    def pin(self, version: str) -> "GetOptions":
        """Return the condition on the ETag."""
        return {"if_match": f'"{version}"'}

    def get_into(self, key: str, path: Path) -> None:
        """Write the blob into the file, in pieces, each with an MD5 from the server."""
        with _translated(key), path.open("wb") as file:
            self._client.download_blob(key, validate_content=True).readinto(file)

    def put(self, key: str, content: bytes, *, only_new: bool = False) -> None:
        """Write the blob."""
        with _translated(key):
            self._client.upload_blob(key, content, overwrite=not only_new)

    def put_from(self, key: str, path: Path) -> None:
        """Write the blob from the file, in blocks where it is large."""
        with _translated(key), path.open("rb") as file:
            self._client.upload_blob(key, file, overwrite=True, max_concurrency=_PARALLEL_PARTS)

    def copy_from(self, source: ProviderClient, source_key: str, key: str) -> None:
        """Have the provider copy the blob (up to 256 MB), which it reads with the other container's credentials."""
        if not isinstance(source, AzureVendor) or source._service != self._service:  # it is shown the signature
            raise OtherServiceError
        with _translated(source_key, key):
            signature, headers = source._access.sign_reading()
            url = f"{source._address}/{quote(source_key)}?{signature.removeprefix('&')}"
            options: dict[str, Any] = {"source_authorization": headers["Authorization"]} if headers else {}
            self._client.get_blob_client(key).start_copy_from_url(url, requires_sync=True, **options)

    def head(self, key: str) -> None:
        """Ask for the blob without its content."""
        with _translated(key):
            self._client.get_blob_client(key).get_blob_properties()

    def delete(self, key: str) -> None:
        """Remove the blob."""
        with _translated(key):
            self._client.delete_blob(key)


def _read_page(body: bytes) -> Page:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  expat limits entities
        objects = [_read_object(item) for item in root.iter("Blob")]
        folders = tuple(_read_name(item) for item in root.iter("BlobPrefix"))
        token = root.findtext("NextMarker") or None
    except (ElementTree.ParseError, ValueError) as error:
        raise VendorError(None, "MalformedListing", str(error)) from error
    return Page(objects, token, folders)


def _read_name(item: ElementTree.Element) -> str:
    name = item.find("Name")
    if name is None or name.text is None:
        return ""
    return unquote(name.text) if name.get("Encoded") == "true" else name.text


def _read_object(item: ElementTree.Element) -> Row:
    size = item.findtext("Properties/Content-Length", "")
    return _read_name(item), int(size), item.findtext("Properties/Etag", "").strip('"')


def _read_error(status: int, body: bytes, headers: dict[str, str]) -> VendorError:
    code, message = headers.get("x-ms-error-code", ""), ""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314
        code, message = code or root.findtext("Code", ""), root.findtext("Message", "").partition("\n")[0]
    except ElementTree.ParseError:
        pass
    return VendorError(status, code or f"HTTP {status}", message, retry_after_s=read_retry_after(headers))


@contextmanager
def _translated(*keys: str) -> Iterator[None]:
    """Raise VendorError in place of the SDK's errors, and before it is asked for a key that would name another."""
    if any(has_dot_parts(key) for key in keys):
        raise VendorError(400, UNNAMEABLE, "Azure takes no '.' and '..' between slashes")
    try:
        yield
    except HttpResponseError as error:
        if isinstance(error, ClientAuthenticationError) and error.status_code is None:  # the identity, not the storage
            raise VendorError(403, "ClientAuthenticationError", (error.message or "").partition("\n")[0]) from error
        headers = dict(getattr(error.response, "headers", {}))
        code = str(headers.get("x-ms-error-code") or type(error).__name__)
        raise VendorError(
            error.status_code, code, (error.message or "").partition("\n")[0], retry_after_s=read_retry_after(headers)
        ) from error
    except AzureError as error:
        raise VendorError(None, type(error).__name__, str(error.message)) from error
    except ValueError as error:  # an answer without the headers that the SDK expects, as a proxy's own
        raise VendorError(None, "MalformedAnswer", str(error)) from error

"""S3 and what speaks like it: a bucket through boto3, which also finds the credentials for both ways to it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree

import boto3  # type: ignore[import-untyped]
import urllib3
from boto3.exceptions import Boto3Error, S3UploadFailedError  # type: ignore[import-untyped]
from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    EndpointProviderError,
    NoCredentialsError,
    ParamValidationError,
)
from obstore.store import S3Store

from selection_api.datasource import Datasource
from selection_job.stores.cloud.adaptive_limit import MOST
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
from selection_job.stores.cloud.provider_client import OtherServiceError, Page, ProviderClient, Row, VendorError
from selection_job.stores.cloud.s3_credentials import find_credentials

if TYPE_CHECKING:
    from obstore import GetOptions

log = logging.getLogger("selection_job")

_SIGNED_FOR_S = 900
_WRONG_REGION = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",  # of a signed address, as our listing's
    "IllegalLocationConstraint",
    "IllegalLocationConstraintException",
}
_TRANSFER = {"multipart_threshold": 64 * 1024**2, "multipart_chunksize": 16 * 1024**2, "use_threads": False}


def connect_s3(datasource: Datasource, bucket: str, purpose: str) -> Connection:
    """Return both ways to the bucket, with credentials of their own. Raises StorageRefused where there are none."""
    certificates = find_certificates(datasource, purpose)
    session, credentials = find_credentials(datasource, purpose, certificates)
    client = _make_client(session, datasource, certificates)
    base = _find_address(client, bucket)
    config: dict[str, Any] = {
        "bucket": bucket,
        "region": datasource.region or session.region_name or "us-east-1",
        "endpoint": base,  # exactly where boto3 goes, whatever the environment says
        "virtual_hosted_style_request": True,
    }
    if datasource.kms_key_arn:
        config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": datasource.kms_key_arn}
    fast = make_clients(
        lambda retries: S3Store(
            config=config,  # type: ignore[arg-type]
            client_options=client_options(base, certificates),
            retry_config=retries,
            credential_provider=credentials,
        )
    )
    return Connection(fast, S3Vendor(client, bucket, credentials.method, make_pool(certificates), datasource))


def _make_client(session: boto3.Session, datasource: Datasource, certificates: str | None) -> Any:
    client = session.client(
        "s3",
        endpoint_url=datasource.endpoint,
        verify=certificates,
        config=Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=MOST,
            retries={"total_max_attempts": 1},  # RetryPolicy does
            s3={"addressing_style": "path" if datasource.endpoint else "auto"},
            request_checksum_calculation="when_required",  # older S3-compatible stores refuse the newer ones
            response_checksum_validation="when_supported",
        ),
    )
    client.meta.events.register("before-call.s3.HeadBucket", _take_no_redirect)
    return client


def _take_no_redirect(context: dict[str, Any], **_: Any) -> None:
    """Say to botocore that HEAD on the bucket was redirected once.

    It asks so for the region where a redirect names none; a redirect of that too it would follow without end.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _find_address(client: Any, bucket: str) -> str:
    """Return the address below which the bucket's keys lie, as boto3 resolves it."""
    with _translated():
        url: str = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    return url.partition("?")[0].removesuffix("/key")


class S3Vendor:
    """ProviderClient over boto3. Listing is signed by boto3 and read by us: its own parser takes ten times as long."""

    def __init__(
        self, client: Any, bucket: str, credentials: str, pool: urllib3.PoolManager, datasource: Datasource
    ) -> None:
        kms_key_arn = datasource.kms_key_arn
        self._service = datasource.endpoint or "AWS"
        self.credentials = credentials
        self._client = client
        self._bucket = bucket
        self._pool = pool
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_arn} if kms_key_arn else {}

    def list_page(self, prefix: str, token: str | None, by_folder: bool = False) -> Page:
        """Return up to 1000 objects."""
        parameters = {"Bucket": self._bucket, "Prefix": prefix, "EncodingType": "url"}
        if by_folder:
            parameters["Delimiter"] = "/"
        if token is not None:
            parameters["ContinuationToken"] = token
        with _translated():
            url = self._client.generate_presigned_url("list_objects_v2", Params=parameters, ExpiresIn=_SIGNED_FOR_S)
        status, body, headers = fetch(self._pool, url)
        if status != 200:
            raise _read_error(status, body, dict(headers))
        return _read_page(body)

    def get(self, key: str) -> bytes:
        """Return the object, its length and checksum verified by botocore."""
        with _translated():
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return content

    def get_range(self, key: str, start: int, end: int, version: str) -> bytes:
        """Return the bytes from start to end of the object with this ETag."""
        with _translated():
            answer = self._client.get_object(
                Bucket=self._bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{version}"'
            )
            content: bytes = answer["Body"].read()
        return content

    def pin(self, version: str) -> "GetOptions":
        """Return the condition on the ETag."""
        return {"if_match": f'"{version}"'}

    def get_into(self, key: str, path: Path) -> None:
        """Write the object into the file, in pieces."""
        with _translated(), path.open("wb") as file:
            for chunk in self._client.get_object(Bucket=self._bucket, Key=key)["Body"].iter_chunks(1024**2):
                file.write(chunk)

    def put(self, key: str, content: bytes, *, only_new: bool = False) -> None:
        """Write the object in one request."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        with _translated():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content, **condition, **self._encryption)

    def put_from(self, key: str, path: Path) -> None:
        """Write the object from the file, in parts above 64 MB."""
        config = TransferConfig(**_TRANSFER)
        with _translated():
            self._client.upload_file(str(path), self._bucket, key, ExtraArgs=self._encryption, Config=config)

    def copy_from(self, source: ProviderClient, source_key: str, key: str) -> None:
        """Have S3 copy the object (up to 5 GB): this bucket's credentials must read the other. Its tags stay behind."""
        if not isinstance(source, S3Vendor) or source._service != self._service:
            raise OtherServiceError
        place = {"Bucket": source._bucket, "Key": source_key}
        with _translated():
            self._client.copy_object(
                Bucket=self._bucket, Key=key, CopySource=place, TaggingDirective="REPLACE", **self._encryption
            )

    def head(self, key: str) -> None:
        """Ask for the object without its content."""
        with _translated():
            self._client.head_object(Bucket=self._bucket, Key=key)

    def delete(self, key: str) -> None:
        """Remove the object."""
        with _translated():
            self._client.delete_object(Bucket=self._bucket, Key=key)


def _read_page(body: bytes) -> Page:
    """Return the objects of a ListObjectsV2 answer; keys as they are. Raises VendorError where it is none."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  expat limits entities; the bucket's owner is whom we work for
        namespace = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
        encoded = root.findtext(f"{namespace}EncodingType") == "url"
        objects = [_read_object(item, namespace, encoded) for item in root.iter(f"{namespace}Contents")]
        found = (item.findtext(f"{namespace}Prefix", "") for item in root.iter(f"{namespace}CommonPrefixes"))
        folders = tuple(unquote_plus(folder) if encoded else folder for folder in found)
        is_truncated = root.findtext(f"{namespace}IsTruncated", "").strip() == "true"
        token = root.findtext(f"{namespace}NextContinuationToken") if is_truncated else None
    except (ElementTree.ParseError, ValueError) as error:
        raise VendorError(None, "MalformedListing", str(error)) from error
    if is_truncated and not token:
        raise VendorError(None, "MalformedListing", "there are more objects, but it does not say where to go on")
    return Page(objects, token, folders)


def _read_object(item: ElementTree.Element, namespace: str, encoded: bool) -> Row:
    key = item.findtext(f"{namespace}Key", "")
    etag = item.findtext(f"{namespace}ETag", "").strip('"')
    return unquote_plus(key) if encoded else key, int(item.findtext(f"{namespace}Size", "")), etag


def _read_error(status: int, body: bytes, headers: dict[str, str]) -> VendorError:
    """Return the error of an answer that is not 200."""
    found: dict[str, str] = {}
    try:
        for item in ElementTree.fromstring(body).iter():  # noqa: S314
            found[item.tag.rpartition("}")[2]] = item.text or ""
    except ElementTree.ParseError:
        pass
    region = found.get("Region") or headers.get("x-amz-bucket-region", "")
    return VendorError(
        status,
        found.get("Code") or f"HTTP {status}",
        found.get("Message", ""),
        retry_after_s=read_retry_after(headers),
        region=region if _is_about_region(status, found.get("Code", "")) else "",
    )


def _is_about_region(status: int, code: str) -> bool:
    return status == 301 or code in _WRONG_REGION


@contextmanager
def _translated() -> Iterator[None]:
    """Raise VendorError in place of boto3's errors."""
    try:
        yield
    except ClientError as error:
        raise _from_client_error(error) from error
    except S3UploadFailedError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ClientError):
            raise _from_client_error(cause) from error
        raise VendorError(None, type(error).__name__, str(error)) from error
    except (ParamValidationError, EndpointProviderError) as error:  # the SDK's own refusal, of a bucket's name mostly
        raise VendorError(400, type(error).__name__, str(error).replace("\n", " ")) from error
    except NoCredentialsError as error:
        raise VendorError(403, "NoCredentials", "boto3 found no credentials") from error
    except (BotoCoreError, Boto3Error) as error:
        raise VendorError(None, type(error).__name__, str(error)) from error


def _from_client_error(error: ClientError) -> VendorError:
    answer = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    status, code = int(metadata.get("HTTPStatusCode", 0)), str(answer.get("Code", ""))
    if status == 200:  # an error in the body of a 200, as CompleteMultipartUpload may give
        status = 500
    region = answer.get("Region") or headers.get("x-amz-bucket-region", "")
    return VendorError(
        status or None,
        code,
        str(answer.get("Message", "")),
        retry_after_s=read_retry_after(headers),
        region=region if _is_about_region(status, code) else "",
    )

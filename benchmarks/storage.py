"""GETs a second and listed keys a second against each vendor's SDK, in one run, on emulators on loopback.

Usage: python benchmarks/storage.py [OBJECTS]. Use the ratios: the emulators share the machine with the clients.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "storage"), str(ROOT / "tests" / "cluster")]

import conftest  # type: ignore[import-not-found]  # noqa: E402
import storage_servers  # type: ignore[import-not-found]  # noqa: E402

from selection_api.datasource import Datasource  # noqa: E402
from selection_job.stores.opening import open_bucket  # noqa: E402

CONTENT = os.urandom(30_000)
ACCESS_KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
THREADS = 8


def main() -> None:
    """Measure S3 (rclone), Google Cloud Storage (fake-gcs-server) and Azure (azurite) and print a table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    print(f"{n} objects of {len(CONTENT)} bytes, {THREADS} threads, best of 3\n")
    print("| storage | what | ours | SDK | ratio |\n|---|---|---|---|---|")
    for name, case in (("S3 (rclone)", on_s3), ("GCS (fake-gcs-server)", on_gcs), ("Azure (azurite)", on_azure)):
        with case() as (store, get, list_keys):
            keys = [f"{i:06}.jpg" for i in range(n)]
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(store.write, keys, [CONTENT] * n))
                report(name, "GET/s", n / best(pool.map, store.read, keys), n / best(pool.map, get, keys))
            report(name, "keys listed/s", n / best(store.list), n / best(list_keys))


def report(name: str, what: str, ours: float, theirs: float) -> None:
    """Print a row."""
    print(f"| {name} | {what} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.1f} |", flush=True)


def best(act: Callable[..., Iterable[object]], *arguments: Any) -> float:
    """Return the shortest of three times that act's whole result takes, in seconds."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        list(act(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


@contextmanager
def on_s3() -> Iterator[tuple[Any, Callable[[str], bytes], Callable[[], list[str]]]]:
    """Give our store, boto3's get and boto3's list over one bucket."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(storage_servers.start_rclone(folder, ACCESS_KEY, SECRET)).url
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET,
            config=Config(max_pool_connections=THREADS),
        )  # fmt: skip
        client.create_bucket(Bucket="bucket")
        secret = {"access_key": ACCESS_KEY, "secret_access_key": SECRET}
        fields = {"type": "S3", "resourcePath": "s3://bucket/", "region": "us-east-1", "endpoint": url}
        pages = client.get_paginator("list_objects_v2")
        yield (
            open_ours(folder, fields, secret),
            lambda key: client.get_object(Bucket="bucket", Key=key)["Body"].read(),
            lambda: [item["Key"] for page in pages.paginate(Bucket="bucket") for item in page["Contents"]],
        )


@contextmanager
def on_gcs() -> Iterator[tuple[Any, Callable[[str], bytes], Callable[[], list[str]]]]:
    """Give our store, the SDK's get and the SDK's list over one bucket."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage  # type: ignore[import-untyped]

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(storage_servers.start_fake_gcs(folder)).url
        tokens = stack.enter_context(storage_servers.answering(lambda request: (200, {}, conftest.TOKEN)))
        anyone = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client = storage.Client("a-project", anyone, client_options={"api_endpoint": url})
        bucket = client.create_bucket("bucket")
        fields = {"type": "GCS", "resourcePath": "gs://bucket/", "projectId": "a-project", "endpoint": url}
        yield (
            open_ours(folder, fields, {"credentials": conftest.make_service_account(f"{tokens}/token")}),
            lambda name: bucket.blob(name).download_as_bytes(),
            lambda: [blob.name for blob in client.list_blobs("bucket")],
        )


@contextmanager
def on_azure() -> Iterator[tuple[Any, Callable[[str], bytes], Callable[[], list[str]]]]:
    """Give our store, the SDK's get and the SDK's list over one container."""
    from azure.storage.blob import BlobServiceClient

    account, key = storage_servers.ACCOUNT, storage_servers.ACCOUNT_KEY
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(storage_servers.start_azurite(folder)).url
        service = BlobServiceClient(url, {"account_name": account, "account_key": key})
        container = service.create_container("bucket")
        fields = {"type": "AZURE", "containerName": "bucket", "accountName": account, "endpoint": url}
        yield (
            open_ours(folder, fields, {"account_key": key}),
            lambda name: container.download_blob(name).readall(),
            lambda: [blob.name for blob in container.list_blobs()],
        )


def open_ours(folder: Path, fields: dict[str, Any], secret: dict[str, str]) -> Any:
    """Return our store, its credentials laid where the job reads them."""
    (folder / "secrets" / "input").mkdir(parents=True)
    for name, value in secret.items():
        (folder / "secrets" / "input" / name).write_text(value)
    os.environ["SELECTION_SECRETS"] = str(folder / "secrets")
    datasource = Datasource.model_validate({**fields, "credentialsSecretRef": {"name": "benchmark"}})
    return open_bucket(datasource, purpose="input")


if __name__ == "__main__":
    main()

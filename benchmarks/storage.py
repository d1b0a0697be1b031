"""GETs a second and listed keys a second against each vendor's SDK, in one run, on emulators on loopback.

Usage: python benchmarks/storage.py [OBJECTS]. Use the ratios: the emulators share the machine with the clients. Since
an emulator may be slower than any client, each figure is taken twice: from the emulator, and from a server that gives
the emulator's answers again from memory. The SDKs have the number of threads that suits them best.
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
import replaying_server  # type: ignore[import-not-found]  # noqa: E402
import storage_servers  # type: ignore[import-not-found]  # noqa: E402
from requests import Session  # noqa: E402
from requests.adapters import HTTPAdapter  # noqa: E402

from selection_api.datasource import Datasource  # noqa: E402
from selection_job.stores.opening import open_bucket  # noqa: E402

CONTENT = os.urandom(30_000)
ACCESS_KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
THREADS = 48
FEW_THREADS = 8
ROUNDS = 5
LISTED = 5000
FIELDS = "nextPageToken,items(name,size,generation)"

Client = tuple[Callable[[str], bytes], Callable[[], Iterable[object]]]
"""How one object is read, and how all are listed."""


def main() -> None:
    """Measure S3 (rclone), Google Cloud Storage (fake-gcs-server) and Azure (azurite) and print a table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
    print(f"{n} objects of {len(CONTENT)} bytes, {max(n, LISTED)} keys, best of {ROUNDS} in turns\n")
    print("| storage | answers | what | ours | SDK | ratio |\n|---|---|---|---|---|---|")
    for name, case in (("S3 (rclone)", on_s3), ("GCS (fake-gcs-server)", on_gcs), ("Azure (azurite)", on_azure)):
        with case() as (url, connect, folder):
            store, sdk = connect(url)
            keys = [f"{i:06}.jpg" for i in range(n)]
            others = [f"other/{i:06}.jpg" for i in range(LISTED - n)]
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(store.write, keys, [CONTENT] * n))
                list(pool.map(store.write, others, [b""] * len(others)))
            compare(f"| {name} | emulator", (store.read, store.list), sdk, keys)
            with replaying_server.replaying(url, folder) as replayed:
                store, sdk = connect(replayed)
                compare(f"| {name} | recorded", (store.read, store.list), sdk, keys)


def compare(begin: str, ours: Client, theirs: Client, keys: list[str]) -> None:
    """Time both clients in turns, after one round that counts for nothing, and print the rows."""
    with ThreadPoolExecutor(THREADS) as many, ThreadPoolExecutor(FEW_THREADS) as few:
        reads = take_turns(
            lambda: many.map(ours[0], keys), lambda: many.map(theirs[0], keys), lambda: few.map(theirs[0], keys)
        )
    report(f"{begin} | GET/s", len(keys), reads[0], min(reads[1:]))
    report(f"{begin} | keys listed/s", max(len(keys), LISTED), *take_turns(ours[1], theirs[1]))


def report(begin: str, n: int, ours_s: float, theirs_s: float) -> None:
    """Print a row."""
    print(f"{begin} | {n / ours_s:,.0f} | {n / theirs_s:,.0f} | {theirs_s / ours_s:.1f} |", flush=True)


def take_turns(*acts: Callable[[], Iterable[object]]) -> list[float]:
    """Return for each act the shortest time that its whole result takes, in seconds."""
    times: list[list[float]] = [[] for _ in acts]
    for _ in range(1 + ROUNDS):
        for act, own in zip(acts, times, strict=True):
            start = time.perf_counter()
            for _item in act():
                pass
            own.append(time.perf_counter() - start)
    return [min(own[1:]) for own in times]


Case = tuple[str, Callable[[str], tuple[Any, Client]], Path]
"""The emulator's address, how our store and the SDK are opened on an address, a folder."""


@contextmanager
def on_s3() -> Iterator[Case]:
    """Run rclone; boto3 with a pool of as many connections as threads."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(storage_servers.start_rclone(folder, ACCESS_KEY, SECRET)).url
        (folder / "buckets" / "bucket").mkdir()

        def connect(url: str) -> tuple[Any, Client]:
            client = boto3.client(
                "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET, config=Config(max_pool_connections=THREADS),
            )  # fmt: skip
            secret = {"access_key": ACCESS_KEY, "secret_access_key": SECRET}
            fields = {"type": "S3", "resourcePath": "s3://bucket/", "region": "us-east-1", "endpoint": url}
            pages = client.get_paginator("list_objects_v2")
            return open_ours(folder, fields, secret), (
                lambda key: client.get_object(Bucket="bucket", Key=key)["Body"].read(),
                lambda: [
                    (item["Key"], item["Size"], item["ETag"])
                    for page in pages.paginate(Bucket="bucket")
                    for item in page["Contents"]
                ],
            )

        yield url, connect, folder


@contextmanager
def on_gcs() -> Iterator[Case]:
    """Run fake-gcs-server; google-cloud-storage with a pool of as many connections as threads."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage  # type: ignore[import-untyped]

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(storage_servers.start_fake_gcs(folder)).url
        tokens = stack.enter_context(storage_servers.answering(lambda request: (200, {}, conftest.TOKEN)))
        storage_servers.post(f"{url}/storage/v1/b?project=a-project", b'{"name": "bucket"}')
        secret = {"credentials": conftest.make_service_account(f"{tokens}/token")}

        def connect(url: str) -> tuple[Any, Client]:
            anyone = AnonymousCredentials()  # type: ignore[no-untyped-call]
            client = storage.Client("a-project", anyone, client_options={"api_endpoint": url})
            client._http.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
            bucket = client.bucket("bucket")
            fields = {"type": "GCS", "resourcePath": "gs://bucket/", "projectId": "a-project", "endpoint": url}
            return open_ours(folder, fields, secret), (
                lambda name: bucket.blob(name).download_as_bytes(),
                lambda: [
                    (blob.name, blob.size, blob.generation)
                    for blob in client.list_blobs("bucket", page_size=1000, fields=FIELDS)
                ],
            )

        yield url, connect, folder


@contextmanager
def on_azure() -> Iterator[Case]:
    """Run azurite; azure-storage-blob with a pool of as many connections as threads."""
    from azure.core.pipeline.transport import RequestsTransport
    from azure.storage.blob import BlobServiceClient

    account, key = storage_servers.ACCOUNT, storage_servers.ACCOUNT_KEY
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(storage_servers.start_azurite(folder)).url
        BlobServiceClient(url, {"account_name": account, "account_key": key}).create_container("bucket")

        def connect(url: str) -> tuple[Any, Client]:
            session = Session()
            session.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
            transport = RequestsTransport(session=session, session_owner=False)
            service = BlobServiceClient(url, {"account_name": account, "account_key": key}, transport=transport)
            container = service.get_container_client("bucket")
            fields = {"type": "AZURE", "containerName": "bucket", "accountName": account, "endpoint": url}
            return open_ours(folder, fields, {"account_key": key}), (
                lambda name: container.download_blob(name).readall(),
                lambda: [(blob.name, blob.size, blob.etag) for blob in container.list_blobs()],
            )

        yield url, connect, folder


def open_ours(folder: Path, fields: dict[str, Any], secret: dict[str, str]) -> Any:
    """Return our store, its credentials laid where the job reads them."""
    (folder / "secrets" / "input").mkdir(parents=True, exist_ok=True)
    for name, value in secret.items():
        (folder / "secrets" / "input" / name).write_text(value)
    os.environ["SELECTION_SECRETS"] = str(folder / "secrets")
    datasource = Datasource.model_validate({**fields, "credentialsSecretRef": {"name": "benchmark"}})
    return open_bucket(datasource, purpose="input")


if __name__ == "__main__":
    main()

"""Memory that listing a million keys takes, and bytes that a whole run reads, on S3 servers on loopback.

Usage: python benchmarks/storage_footprint.py [KEYS]. The listing comes from a server made for it, which gives
ListObjectsV2 pages of 1000 keys and has no objects: all keys lie in one folder, or in folders of 10,000. Its answers
take 50 ms, as those of a bucket do, where listing is compared with boto3. The run reads 400 JPEGs from rclone and
trains nothing.
"""

import itertools
import multiprocessing
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests" / "storage"), str(ROOT / "tests" / "cluster")]

import storage_servers  # type: ignore[import-not-found]  # noqa: E402
from memory import make_images, make_manifest, measure  # noqa: E402
from storage import ACCESS_KEY, SECRET, open_ours  # noqa: E402

from selection_api.lightly_config import LightlyConfig  # noqa: E402
from selection_job.catalog.listing import list_images  # noqa: E402
from selection_job.encoder.architecture import build_model  # noqa: E402

PAGE = 1000
IN_A_FOLDER = 10_000
LATENCY_S = 0.05
N_PHOTOS = 400
FIELDS = {"type": "S3", "resourcePath": "s3://bucket/", "region": "us-east-1"}
KEYS = {"access_key": ACCESS_KEY, "secret_access_key": SECRET}
ENTRY = (
    "<Contents><Key>{2}{0:012}.jpg</Key><LastModified>2026-11-23T02:00:00.000Z</LastModified>"
    "<ETag>&quot;{0:032x}&quot;</ETag><Size>{1}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
FLAT = "camera_front/2026-11-23/"


def main() -> None:
    """Measure both and print a table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print("| what | measured | goal |\n|---|---|---|")
    for name, make_folder in (("in one folder", name_flat), ("in folders", name_folder)):
        growth_mb, seconds = run_apart(measure_listing, n, make_folder)
        print(f"| peak memory while {n:,} keys {name} are listed, MB | {growth_mb:.0f} | 300 |", flush=True)
        print(f"| keys {name} listed a second | {n / seconds:,.0f} | |", flush=True)
    few = min(n, 100_000)
    ours = few / run_apart(measure_listing, few, name_folder, LATENCY_S)[1]
    theirs = few / run_apart(measure_boto3, few, name_folder, LATENCY_S)
    print(f"| the same, {few:,} keys, answers after 50 ms | {ours:,.0f} | |")
    print(f"| the same by boto3 | {theirs:,.0f} | |")
    print(f"| ratio | {ours / theirs:.1f} | 5 |", flush=True)
    print(f"| bytes read by a run without training, over the images' size | {measure_run():.3f} | 1.0 |", flush=True)


def name_flat(i: int) -> str:
    """Return the one folder."""
    return FLAT


def name_folder(i: int) -> str:
    """Return the folder of the i-th key; keys are in order."""
    return f"camera_front/2026/{i // IN_A_FOLDER:04}/"


def run_apart(measure_it: Callable[..., Any], n: int, make_folder: Callable[[int], str], latency_s: float = 0) -> Any:
    """Return what a process of its own measures with a server of n keys."""
    server = serve_listing(n, make_folder, latency_s)
    with server as url, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure_it, url, n).result()


def measure_boto3(url: str, n: int) -> float:
    """Return the seconds that boto3 takes to list the keys with sizes and ETags."""
    import boto3  # type: ignore[import-untyped]

    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket")
    start = time.perf_counter()
    found = [(item["Key"], item["Size"], item["ETag"]) for page in pages for item in page["Contents"]]
    if len(found) != n:
        raise SystemExit(f"{len(found)} keys were listed, expected {n}.")
    return time.perf_counter() - start


def find_range(n: int, make_folder: Callable[[int], str], prefix: str) -> tuple[int, int]:
    """Return the first key below the prefix and the first after those; folders come in order."""
    if not prefix or make_folder(0).startswith(prefix):
        return 0, n if not prefix or make_folder(n - 1).startswith(prefix) else IN_A_FOLDER
    begin = int(prefix.rstrip("/").rpartition("/")[2]) * IN_A_FOLDER
    return begin, min(begin + IN_A_FOLDER, n)


@contextmanager
def serve_listing(n: int, make_folder: Callable[[int], str], latency_s: float) -> Iterator[str]:
    """Run a server whose bucket lists n keys of about 38 characters; no page is kept."""

    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        time.sleep(latency_s)
        query = {name.lower(): values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        prefix = query.get("prefix", "")
        first, last = find_range(n, make_folder, prefix)
        if "delimiter" in query:
            folders = {make_folder(i)[len(prefix) :].partition("/")[0] for i in range(first, last, IN_A_FOLDER)}
            found = "".join(f"<CommonPrefixes><Prefix>{prefix}{f}/</Prefix></CommonPrefixes>" for f in sorted(folders))
            return 200, {}, f"<ListBucketResult>{found}</ListBucketResult>".encode()
        begin = int(query.get("continuation-token", first))
        end = min(begin + PAGE, last)
        token = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{end}</NextContinuationToken>"
        more = token if end < last else ""
        entries = "".join(ENTRY.format(i, 100_000 + i % 50_000, make_folder(i)) for i in range(begin, end))
        xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
        return 200, {}, f'<ListBucketResult xmlns="{xmlns}">{more}{entries}</ListBucketResult>'.encode()

    with storage_servers.answering(answer) as url:
        yield url


def measure_listing(url: str, n: int) -> tuple[float, float]:
    """Return by how many MB this process grows at its peak while it lists n images, and the seconds that takes."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_ours(Path(folder), {**FIELDS, "endpoint": url}, KEYS)
        list(itertools.islice(store.list(), 1))  # what the first request loads is no part of a listing
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before_kb = read_status_kb("VmRSS")
        start = time.perf_counter()
        listing = list_images(store, store)
        seconds = time.perf_counter() - start
        peak_kb = read_status_kb("VmHWM")
        if len(set(listing.names)) != n:
            raise SystemExit(f"{len(listing.names)} images were listed, expected {n}.")
        return (peak_kb - before_kb) * 1024 / 1e6, seconds


def read_status_kb(name: str) -> int:
    """Return a figure of this process, in units of 1024 bytes: VmRSS (resident), VmHWM (its peak so far)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit(f"This kernel does not say {name}.")
    return int(found[1])


def measure_run() -> float:
    """Return the bytes of the images that a run with an untrained model asked for, over those of all images."""
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_images(base / "bucket", N_PHOTOS)
        sizes = {path.name: path.stat().st_size for path in (base / "bucket").iterdir()}
        asked_bytes, counting = [0], threading.Lock()

        def count(request: Any) -> None:
            name = unquote(urlsplit(request.path).path).rpartition("/")[2]
            if request.method == "GET" and name in sizes:
                with counting:
                    asked_bytes[0] += count_asked(request.headers.get("range"), sizes[name])

        server = stack.enter_context(storage_servers.start_rclone(base, ACCESS_KEY, SECRET))
        (base / "buckets" / "bucket").mkdir()
        url = stack.enter_context(storage_servers.proxying(server.url, count))
        store = open_ours(base, {**FIELDS, "endpoint": server.url}, KEYS)
        for name in sizes:
            store.upload(name, base / "bucket" / name)
        measure(over_s3(make_manifest(base / "run", base / "unused"), url, base / "run" / "output"))
        return asked_bytes[0] / sum(sizes.values())


def count_asked(span: str | None, size_bytes: int) -> int:
    """Return how many bytes a GET asks for; span: its Range, None for the whole object."""
    if span is None:
        return size_bytes
    first, last = span.removeprefix("bytes=").split("-")
    return (min(int(last), size_bytes - 1) if last else size_bytes - 1) - int(first) + 1


def over_s3(manifest: Path, url: str, output: Path) -> Path:
    """Return the manifest with the bucket as its input, and a checkpoint in place of the training."""
    document = yaml.safe_load(manifest.read_text())
    spec = document["spec"]
    spec["datasources"]["input"] = {**FIELDS, "endpoint": url, "credentialsSecretRef": {"name": "benchmark"}}
    spec["workerConfig"] |= {"enable_training": False, "checkpoint": "start.ckpt"}
    model = build_model(LightlyConfig.model_validate({"model": spec["lightlyConfig"]["model"]}).model)
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state}, output / "start.ckpt")
    manifest.write_text(yaml.safe_dump(document))
    return manifest


if __name__ == "__main__":
    main()

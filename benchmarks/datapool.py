"""How long a datapool takes to open: python benchmarks/datapool.py [n images]

A pool of n images with vectors of 32 numbers, all selected by one run, beside the same vectors in a CSV table as
data/selected_embeddings.csv. The first three rows are all that a run does with its pool before it reads an image: read
the part and find its images, tell which of n listed objects are new, and which of them are to be compared because all n
have a new version.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from selection_job.catalog.catalog import Listing
from selection_job.datapool.datapool import Datapool, ListedFiles
from selection_job.datapool.known_contents import digest_contents, digest_places, digest_versions
from selection_job.datapool.pool_part import PartHeader, PoolPart, dump_part, parse_part
from selection_job.embeddings.table_reading import read_table
from selection_job.results.tables.tables import write_embeddings

D = 32


def main() -> None:
    """Make the pool, open it, read the table, print."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    names = [f"camera-{i % 7}/{i:08}.jpg" for i in range(n)]
    vectors = np.random.default_rng(0).normal(size=(n, D)).astype(np.float32)
    listing = Listing(names, np.full(n, 1000), [f"etag-{i}" for i in range(n)])
    content = dump_part(make_part(listing, vectors))
    began = time.process_time()
    pool = Datapool("cameras", "", (parse_part(content),))
    versions = digest_versions(listing)
    listed = ListedFiles(names, versions, pool.known.find(versions))
    members = pool.find_members(listed)
    opened = time.process_time() - began
    unclear = pool.find_unclear(listing, versions)
    is_new = pool.find_new(listed, process_all=False)
    told = time.process_time() - began - opened
    assert members.names == names
    assert not is_new.any()
    assert not len(unclear)
    began = time.process_time()
    restored = Listing(names, listing.sizes_bytes, [f"copy-{i}" for i in range(n)])
    assert len(pool.find_unclear(restored, digest_versions(restored))) == n
    compared = time.process_time() - began
    table, size_bytes = read_csv(names, vectors)
    print(f"| {n:,} images, d = {D} | CPU seconds | MB |\n|---|---|---|")
    print(f"| read the pool and find its images | {opened:.1f} | {len(content) / 1e6:.0f} |")
    print(f"| tell which of {n:,} listed objects are new | {told:.1f} | |")
    print(f"| tell which of {n:,} objects with a new version are to be compared | {compared:.1f} | |")
    print(f"| the same vectors from a CSV table | {table:.1f} | {size_bytes / 1e6:.0f} |")


def make_part(listing: Listing, vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> PoolPart:
    """Return a part in which every listed image is selected."""
    n, digests = len(vectors), digest_versions(listing)
    sha256 = np.ones((n, 32), np.uint8)
    order = np.argsort(digests)
    header = PartHeader("monday-1", 1, "2026-11-23T00:00:00+00:00", "f" * 64, "checkpoint cameras.ckpt")
    return PoolPart(
        header,
        listing.names,
        vectors,
        sha256=sha256,
        sizes_bytes=listing.sizes_bytes,
        widths_px=np.ones(n, np.int32),
        heights_px=np.ones(n, np.int32),
        orientations=np.ones(n, np.uint8),
        digests=digests,
        seen=digests[order],
        contents=digest_contents(listing.names, sha256)[order],
        places=digest_places(listing.names, listing.sizes_bytes)[order],
    )


def read_csv(names: list[str], vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> tuple[float, int]:
    """Return the CPU seconds that reading the table takes, and its size in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "embeddings.csv"
        write_embeddings(path, names, vectors, np.arange(len(names)))
        began = time.process_time()
        read_table(path, names, where=path.name)
        return time.process_time() - began, path.stat().st_size


if __name__ == "__main__":
    main()

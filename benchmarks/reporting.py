"""How long a report takes: python benchmarks/reporting.py [n images ...]

n images with vectors of 32 numbers: clusters whose sizes follow a power law, walks of near-duplicates as a camera makes
them, and uniform noise, a third each; a tenth is selected, by coreset up to 100,000 images and by chance beyond (the
selection itself is not measured here). All have a thumbnail.

"measure" is what report.json holds without the time of UMAP, which stands beside it; "all" is without UMAP too, and
"CPU" its seconds on all cores. Each size has a process of its own, so each pays for loading and compiling.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_api import SelectionRun, parse_manifest
from selection_job.catalog.catalog import Catalog
from selection_job.manifest.goal import make_goal
from selection_job.report import writing
from selection_job.report.facts import RunFacts
from selection_job.report.measures import maps
from selection_job.report.report_json import report_json_bytes
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.image_selection import select_images
from selection_job.selection.selection import Selection

D = 32
SHARE = 0.1
LARGEST_CORESET = 100_000

_MEASURE, _UMAP = (writing, "build_report"), (maps, "_make_umaps")
_WRITERS = ((writing, "write_figures"), (writing, "write_report_pdf"), (writing, "write_report_html"))
_HEADS = (
    *("measure s", "plots s", "PDF s", "HTML s", "all s", "CPU s", "UMAP s"),
    *("PDF MB", "HTML MB", "JSON MB", "memory MB"),
)
_FILES = ("report.pdf", "report.html", "report.json")

Seconds = dict[str, tuple[float, float]]
"""By part: of wall time and of CPU time."""


def main() -> None:
    """Print a row for each number of images."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [1_000, 20_000, 100_000]
    print(f"| images | {' | '.join(_HEADS)} |")
    print("|---" * (1 + len(_HEADS)) + "|")
    for n in sizes:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            print(process.submit(measure, n).result(), flush=True)


def measure(n: int) -> str:
    """Return the row for n images."""
    vectors, catalog, run = make_vectors(n), make_catalog(n), parse_manifest(make_manifest(n))
    selection = select_images(
        make_goal(run.spec).resolve(n), catalog, vectors, GatheredSources(n), run.spec.worker_config
    )
    with tempfile.TemporaryDirectory() as folder, watch_parts() as seconds:
        with stopwatch(seconds, "all"):
            write_report(Path(folder), n, vectors, catalog, selection, run)
        sizes_mb = [(Path(folder) / name).stat().st_size / 1e6 for name in _FILES]
    umap, umap_cpu = seconds[_UMAP[1]]
    whole, whole_cpu = seconds["all"]
    parts = [seconds[_MEASURE[1]][0] - umap, *[seconds[name][0] for _, name in _WRITERS]]
    numbers = [*parts, whole - umap, whole_cpu - umap_cpu, umap, *sizes_mb]
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"| {n:,} | {' | '.join(f'{number:.1f}' for number in numbers)} | {memory_mb:.0f} |"


def write_report(
    folder: Path, n: int, vectors: NDArray[np.float32], catalog: Catalog, selection: Selection, run: SelectionRun
) -> None:
    """Write all of the report, as the pipeline does."""
    report = writing.write_report(
        folder,
        facts=make_facts(n),
        catalog=catalog,
        embeddings=vectors,
        selection=selection,
        thumbnail=make_thumbnail,
        worker=run.spec.worker_config,
    )
    (folder / "report.json").write_bytes(report_json_bytes(report))


@contextmanager
def watch_parts() -> Iterator[Seconds]:
    """Give the seconds of each part of the report that is made meanwhile."""
    seconds: Seconds = {}
    with ExitStack() as stack:
        for module, name in (_MEASURE, _UMAP, *_WRITERS):
            stack.enter_context(patch.object(module, name, _timed(getattr(module, name), name, seconds)))
        yield seconds


def _timed(function: Callable[..., Any], name: str, seconds: Seconds) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        with stopwatch(seconds, name):
            return function(*arguments, **options)

    return call


@contextmanager
def stopwatch(seconds: Seconds, name: str) -> Iterator[None]:
    """Note how long the block takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    seconds[name] = (time.perf_counter() - wall, time.process_time() - cpu)


def make_vectors(n: int) -> NDArray[np.float32]:
    """Return (n, D) float32: clusters, walks, noise."""
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, 51)
    centres = rng.normal(size=(50, D))
    clusters = centres[rng.choice(50, n // 3, p=shares / shares.sum())] + 0.2 * rng.normal(size=(n // 3, D))
    steps = 0.02 * rng.normal(size=(n // 3, D))
    walks = np.cumsum(steps, axis=0) + np.repeat(rng.normal(size=(n // 300 + 1, D)), 100, axis=0)[: n // 3]
    noise = rng.uniform(-2, 2, size=(n - 2 * (n // 3), D))
    return np.concatenate([clusters, walks, noise]).astype(np.float32)


def make_catalog(n: int) -> Catalog:
    """Return n images, one in fifty of which is an exact copy."""
    rows = np.arange(n)
    return Catalog(
        names=[f"camera-{row % 7}/{row:08}.jpg" for row in rows.tolist()],
        sha256=np.zeros((n, 32), np.uint8),
        sizes_bytes=np.full(n, 100_000),
        widths_px=np.full(n, 1280, np.int32),
        heights_px=np.full(n, 720, np.int32),
        duplicate_of=np.where(rows % 50 == 1, rows - 1, rows),
        corrupt={f"broken/{row}.jpg": "truncated: 7 bytes missing" for row in range(n // 100)},
    )


def make_manifest(n: int) -> dict[str, object]:
    """Return a run that takes a tenth of n images."""
    folder = {"type": "LOCAL", "resourcePath": "/data"}
    method = "coreset" if n <= LARGEST_CORESET else "random"
    worker = {"stopping_condition": {"n_samples": SHARE}, "method": method}
    return {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": "reporting"},
        "spec": {"datasources": {"input": folder, "lightly": folder}, "workerConfig": worker},
    }


def make_facts(n: int) -> RunFacts:
    """Return what a run would say about itself."""
    return RunFacts(
        run_id="reporting-12345678",
        name="reporting",
        dataset_name="synthetic",
        started_at="2026-11-23T00:00:00+00:00",
        finished_at="2026-11-23T01:00:00+00:00",
        stage_seconds={"EMBEDDING": 3600.0},
        device="CPU",
        threads=1,
        versions={},
        input_url="/data/",
        output_url="/data/",
        credentials={"input": "none, it is a folder", "lightly": "none, it is a folder"},
        encoder_source="synthetic",
        encoder_fingerprint="00" * 32,
        decoder="exact",
        bytes_read=n * 100_000,
        bytes_reread=0,
        n_input=n + n // 100,
        seed=1,
    )


def make_thumbnail(name: str) -> bytes:
    """Return a JPEG of 128 x 72 pixels that depends on the name."""
    rng = np.random.default_rng(sum(name.encode()))
    small = rng.integers(0, 256, (9, 16, 3)).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(small).resize((128, 72)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


if __name__ == "__main__":
    main()

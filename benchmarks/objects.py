"""What objects cost when they are selected: python benchmarks/objects.py [n objects]

n objects (a million) with vectors of 32 numbers, ten an image, in clusters of power-law sizes with a tenth of noise.
Chosen as object_level does: 5,000 by DIVERSITY, and 1,000 by DIVERSITY and a score; then data/crops.csv is written.
CPU seconds of one thread; memory is the largest that was resident beyond what was before (Linux only).
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from selection_api import parse_manifest
from selection_api.spec import SelectionRunSpec
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.manifest.goal import make_goal
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.results.tables.crops_table import write_crops_table
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import ObjectSelection, select_objects

D = 32
PER_IMAGE = 10
DIVERSITY: dict[str, Any] = {"input": {"type": "EMBEDDINGS", "task": "cars"}, "strategy": {"type": "DIVERSITY"}}
SCORE: dict[str, Any] = {
    "input": {"type": "SCORES", "task": "cars", "score": "objectness_least_confidence"},
    "strategy": {"type": "WEIGHTS"},
}


def main() -> None:
    """Make the objects, select among them, write their table, print."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    crops, catalog, task = make_objects(n)
    kept_bytes = sum(value.nbytes for value in vars(crops).values() if isinstance(value, np.ndarray))
    for strategies in ([DIVERSITY], [DIVERSITY, SCORE]):  # compiles
        choose(*make_objects(20_000), strategies, 1000)
    print(f"| {n:,} objects, {D} numbers each | CPU seconds | MB |\n|---|---|---|")
    print(f"| kept in memory | | {kept_bytes / 1e6:.0f} |")
    objects = None
    for words, strategies, k in (("DIVERSITY", [DIVERSITY], 5000), ("DIVERSITY and a score", [DIVERSITY, SCORE], 1000)):
        work = partial(choose, crops, catalog, task, strategies, k)
        before_mb = read_memory("VmRSS")
        objects, seconds = measure(work)
        more_mb = read_memory("VmHWM") - before_mb
        print(f"| {k:,} of them by {words} | {seconds:.1f} | {more_mb:.0f} more |")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crops.csv"
        _, seconds = measure(lambda: write_crops_table(path, catalog, (crops,), objects))
        print(f"| data/crops.csv | {seconds:.1f} | {path.stat().st_size / 1e6:.0f} |")


def make_objects(n: int) -> tuple[Crops, Catalog, TaskPredictions]:
    """Return n objects, the images that they are on, and the predictions that they were cut out by."""
    rng = np.random.default_rng(0)
    n_images = n // PER_IMAGE
    cluster = np.minimum(rng.pareto(1.0, n).astype(np.int64), 999)
    vectors = rng.normal(size=(1000, D)).astype(np.float32)[cluster]
    spread = np.where(rng.random(n) < 0.1, 1.0, 0.1).astype(np.float32)
    vectors += spread[:, None] * rng.normal(size=(n, D)).astype(np.float32)
    owners = np.repeat(np.arange(n_images), PER_IMAGE)
    numbers = np.tile(np.arange(PER_IMAGE, dtype=np.int32), n_images)
    boxes = np.tile(np.array([10, 10, 90, 70], dtype=np.int32), (n, 1))
    category, scores = rng.integers(0, 2, n).astype(np.int32), rng.random(n).astype(np.float32)
    crops = Crops("cars", ("car", "bus"), owners, numbers, boxes, category, scores, vectors)
    catalog = Catalog(
        names=[f"camera-{i % 7}/{i:08}.jpg" for i in range(n_images)],
        sha256=np.zeros((n_images, 32), np.uint8),
        sizes_bytes=np.full(n_images, 1000),
        widths_px=np.full(n_images, 100, np.int32),
        heights_px=np.full(n_images, 80, np.int32),
        duplicate_of=np.arange(n_images),
        corrupt={},
    )
    task = TaskPredictions(
        "cars",
        "object-detection",
        (Category(0, "car"), Category(1, "bus")),
        np.ones(n_images, dtype=bool),
        owners,
        category,
        scores,
        boxes_px=boxes.astype(np.float32),
    )
    return crops, catalog, task


def choose(
    crops: Crops, catalog: Catalog, task: TaskPredictions, strategies: list[dict[str, Any]], k: int
) -> ObjectSelection:
    """Choose k objects."""
    spec = make_spec(strategies, k)
    sources = GatheredSources(len(catalog.names), names=catalog.names, tasks={"cars": task})
    return select_objects(make_goal(spec).resolve(len(crops)), catalog, crops, sources, spec.worker_config)


def make_spec(strategies: list[dict[str, Any]], k: int) -> SelectionRunSpec:
    """Return a spec that chooses k cars."""
    local = {"type": "LOCAL", "resourcePath": "/data/input"}
    return parse_manifest(
        {
            "apiVersion": "dataselection.io/v1alpha1",
            "kind": "SelectionRun",
            "metadata": {"name": "objects"},
            "spec": {
                "datasources": {"input": local, "lightly": {**local, "resourcePath": "/data/output"}},
                "workerConfig": {"object_level": {"task_name": "cars"}, "remove_exact_duplicates": False},
                "selectionConfig": {"n_samples": k, "strategies": strategies},
            },
        }
    ).spec


def measure(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what the work makes, and its CPU seconds."""
    began = time.process_time()
    made = work()
    return made, time.process_time() - began


def read_memory(key: str) -> float:
    """Return VmRSS or VmHWM of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


if __name__ == "__main__":
    main()

"""Reading the predictions of many images: python benchmarks/predictions.py [IMAGES]

Object detection with 8 classes, 1 to 9 boxes an image with probabilities, one JSON of about 1 kB each: from a local
folder, from S3 (rclone on loopback), and again as a retried run finds it. The peer is the plain loop of open and
json.load into Python lists, without any check.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "storage"), str(ROOT / "tests" / "cluster")]

import storage_servers  # type: ignore[import-not-found]  # noqa: E402

from selection_api import parse_manifest  # noqa: E402
from selection_job.predictions.loading import load_predictions  # noqa: E402
from selection_job.process.progress import Progress  # noqa: E402
from selection_job.run.context import set_up  # noqa: E402

ACCESS_KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CLASSES = 8
PER_FOLDER = 5000


def main() -> None:
    """Measure and print a table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    names = sorted(f"cam_{i // PER_FOLDER:02}/frame_{i:06}.jpg" for i in range(n))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        bucket = base / "lightly"
        predictions = bucket / ".lightly" / "predictions"
        make_predictions(predictions, names)
        (base / "input").mkdir()
        print(f"{n:,} images\n\n| what | wall, s | CPU, s | files/s |\n|---|---|---|---|")
        report("open and json.load, a loop", n, *timed(lambda: loop(predictions / "cars", names)))
        local = {"type": "LOCAL", "resourcePath": str(bucket)}
        report("folder", n, *timed(lambda: load(base, local, names)))
        report("folder, kept by an earlier try", n, *timed(lambda: load(base, local, names)))
        shutil.rmtree(bucket / ".lightly" / "runs")
        with serve(base, bucket) as s3:
            report("S3 (rclone)", n, *timed(lambda: load(base, s3, names)))
            report("S3 (rclone), kept by an earlier try", n, *timed(lambda: load(base, s3, names)))


def make_predictions(folder: Path, names: list[str]) -> None:
    """Write a task cars with a file for each image."""
    rng = random.Random(0)
    categories = [{"id": i, "name": f"class {i}"} for i in range(CLASSES)]
    (folder / "cars").mkdir(parents=True)
    (folder / "tasks.json").write_text('["cars"]')
    (folder / "cars/schema.json").write_text(json.dumps({"task_type": "object-detection", "categories": categories}))
    for sub in {name.partition("/")[0] for name in names}:
        (folder / "cars" / sub).mkdir()
    for name in names:
        found = [make_object(rng) for _ in range(rng.randrange(1, 10))]
        path = folder / "cars" / name.replace(".jpg", ".json")
        path.write_text(json.dumps({"file_name": name, "predictions": found}))


def make_object(rng: random.Random) -> dict[str, Any]:
    """Return a box with a score and probabilities of few digits."""
    weights = [rng.random() for _ in range(CLASSES)]
    probabilities = [round(weight / sum(weights), 4) for weight in weights]
    box = [round(rng.uniform(0, 600), 1) for _ in range(4)]
    best = probabilities.index(max(probabilities))
    return {"category_id": best, "bbox": box, "score": round(rng.random(), 4), "probabilities": probabilities}


def loop(folder: Path, names: list[str]) -> int:
    """Read every file in turn, as a script would; return the number of objects."""
    found = []
    for name in names:
        with (folder / name.replace(".jpg", ".json")).open() as file:
            found.append(json.load(file)["predictions"])
    return sum(map(len, found))


def load(base: Path, lightly: dict[str, Any], names: list[str]) -> int:
    """Read the task as a run does; return the number of objects."""
    spec = {
        "datasources": {"input": {"type": "LOCAL", "resourcePath": str(base / "input")}, "lightly": lightly},
        "workerConfig": {"stopping_condition": {"n_samples": 2}},
        "lightlyConfig": {"trainer": {"gpus": 0}},
    }
    head = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "benchmark"}}
    with tempfile.TemporaryDirectory() as scratch:
        context = set_up(parse_manifest({**head, "spec": spec}), Path(scratch), Progress(quiet=True))
        loaded = load_predictions(
            context.target, ["cars"], names, stages=context.stages, scratch=context.scratch, progress=context.progress
        )
        task = loaded.value["cars"]
        assert task.has_file.all(), loaded.notes
        return len(task.owners)


@contextmanager
def serve(base: Path, content: Path) -> Iterator[dict[str, Any]]:
    """Move content into a bucket of an S3 server and give its datasource; credentials lie where the job reads them."""
    secrets = base / "secrets" / "lightly"
    secrets.mkdir(parents=True)
    (secrets / "access_key").write_text(ACCESS_KEY)
    (secrets / "secret_access_key").write_text(SECRET)
    os.environ["SELECTION_SECRETS"] = str(base / "secrets")
    (base / "server").mkdir()
    with storage_servers.start_rclone(base / "server", ACCESS_KEY, SECRET) as server:
        content.rename(base / "server" / "buckets" / "bucket")
        yield {
            "type": "S3",
            "resourcePath": "s3://bucket/",
            "region": "us-east-1",
            "endpoint": server.url,
            "credentialsSecretRef": {"name": "benchmark"},
        }


def timed(act: Callable[[], int]) -> tuple[float, float]:
    """Return wall and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - wall, time.process_time() - cpu


def report(what: str, n: int, wall: float, cpu: float) -> None:
    """Print a row."""
    print(f"| {what} | {wall:.1f} | {cpu:.1f} | {n / wall:,.0f} |", flush=True)


if __name__ == "__main__":
    main()

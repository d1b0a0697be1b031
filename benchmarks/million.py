"""A whole run over a million given embeddings: python benchmarks/million.py [n [share ...]]

Makes n names (links to a thousandth as many JPEGs), a table of n x 32 numbers (clusters of power-law sizes, near and
exact duplicates, noise), and runs 10% and 1% of them, each in a process of its own. Prints the seconds of each stage,
of UMAP, the peak resident memory and the sizes of what was written.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from selection_job.results.tables.tables import write_embeddings

DIMENSIONS = 32
PER_FOLDER = 1000
PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from selection_job.process.termination_message import TerminationMessage
from selection_job.manifest.reading import read_manifest
from selection_job.process.progress import Progress
from selection_job.running import run_manifest

progress = Progress(quiet=True)
run_manifest(read_manifest(Path(sys.argv[1])), progress, TerminationMessage(Path("/dev/null"), progress))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"stages": dict(progress.stage_seconds), "cpu": time.process_time(), "kb": used.ru_maxrss}))
"""

BANDS = ((0.0, 0.3), (0.3, 0.31), (0.31, 0.4))
"""Shares of near duplicates, copies and noise."""


@dataclass(frozen=True)
class Measured:
    """What one run took, and what it left."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    stage_seconds: dict[str, float]
    report: dict[str, Any]
    sizes_mb: dict[str, float]


def make_names(folder: Path, n: int) -> list[str]:
    """Write n names, a thousand to a folder, all of a folder's links to one small JPEG; return them sorted."""
    rng = np.random.default_rng(0)
    names = []
    for start in range(0, n, PER_FOLDER):
        walk = folder / f"walk_{start // PER_FOLDER:05d}"
        walk.mkdir(parents=True)
        first = walk / f"frame_{start:08d}.jpg"
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((160, 120)).save(first, quality=85)
        names.append(f"{walk.name}/{first.name}")
        for i in range(start + 1, min(start + PER_FOLDER, n)):
            os.link(first, walk / f"frame_{i:08d}.jpg")
            names.append(f"{walk.name}/frame_{i:08d}.jpg")
    return names


def make_vectors(n: int) -> NDArray[np.float32]:
    """Return (n, 32): 60% in clusters of power-law sizes, 30% near duplicates, 1% copies, the rest noise."""
    rng = np.random.default_rng(0)
    n_clusters = max(1, n // 500)
    weights = 1 / np.arange(1, n_clusters + 1)
    label = rng.choice(n_clusters, n, p=weights / weights.sum())
    spread = rng.uniform(0.02, 0.3, n_clusters).astype(np.float32)[label, None]
    vectors = rng.normal(size=(n_clusters, DIMENSIONS)).astype(np.float32)[label]
    vectors += spread * rng.standard_normal((n, DIMENSIONS), dtype=np.float32)
    kind = rng.random(n)
    near, copies, noise = (np.flatnonzero((kind >= low) & (kind < high)) for low, high in BANDS)
    vectors[near] = vectors[near // 50 * 50] + np.float32(1e-3) * rng.standard_normal(
        (len(near), DIMENSIONS), dtype=np.float32
    )
    vectors[copies] = vectors[copies // 50 * 50]
    vectors[noise] = rng.standard_normal((len(noise), DIMENSIONS), dtype=np.float32)
    return vectors


def make_manifest(base: Path, share: float) -> Path:
    """Write a manifest that keeps a share of the images under base/input."""
    document = {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": "million"},
        "spec": {
            "datasources": {
                "input": {"type": "LOCAL", "resourcePath": str(base / "input")},
                "lightly": {"type": "LOCAL", "resourcePath": str(base / "output")},
            },
            "workerConfig": {"embeddings": "given.csv", "stopping_condition": {"n_samples": share}},
            "lightlyConfig": {"trainer": {"gpus": 0}},
        },
    }
    path = base / f"run-{share}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def measure(base: Path, share: float) -> Measured:
    """Run the manifest in a process of its own."""
    before = set((base / "output/.lightly/runs").glob("*"))
    started = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, str(make_manifest(base, share))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    last = json.loads(done.stdout.strip().splitlines()[-1])
    (folder,) = set((base / "output/.lightly/runs").glob("*")) - before
    sizes = {str(path.relative_to(folder)): path.stat().st_size / 1e6 for path in folder.rglob("*") if path.is_file()}
    report = json.loads((folder / "report.json").read_bytes())
    return Measured(seconds, last["cpu"], last["kb"] / 1000, last["stages"], report, sizes)


def print_measured(share: float, measured: Measured) -> None:
    """Print one run's rows."""
    run = measured.report["generalInformation"]["runInformation"]
    sizes = measured.report["generalInformation"]["datasetInformation"]["datasetSizes"]
    print(f"{share:.0%}: {sizes['nSelected']} of {sizes['nInput']}, {sizes['nDuplicate']} duplicates")
    for stage, seconds in measured.stage_seconds.items():
        print(f"  {stage:<24} {seconds:>8.1f} s")
    print(f"  {'of which UMAP':<24} {run['umapSeconds']:>8.1f} s")
    cpu = f"{measured.cpu_seconds:.0f} s of CPU time"
    print(f"  {'whole process':<24} {measured.seconds:>8.1f} s, {cpu}, peak {measured.peak_mb:.0f} MB")
    shown = ("report.json", "report.pdf", "data/embeddings.csv")
    print(f"  {', '.join(f'{name} {measured.sizes_mb[name]:.1f} MB' for name in shown)}")


def main() -> None:
    """Measure every share and print."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    shares = [float(share) for share in sys.argv[2:]] or [0.1, 0.01]
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "output/.lightly/embeddings").mkdir(parents=True)
        names = make_names(base / "input", n)
        write_embeddings(base / "output/.lightly/embeddings/given.csv", names, make_vectors(n), np.arange(n))
        print(f"a run over {n} given embeddings of {DIMENSIONS} numbers, LOCAL datasources, {os.cpu_count()} cores")
        for share in shares:
            print_measured(share, measure(base, share))


if __name__ == "__main__":
    main()

"""Memory of a whole run over 20,000 small images: python benchmarks/memory.py [n]

Prints the peak resident memory of a run over n / 10 and over n images, and what each further image costs.
The peer column is the size of the same images decoded, which a pipeline that keeps them would need.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

SIDE_PX = 96


def make_images(folder: Path, n: int) -> None:
    """Write n JPEGs: walks of near-duplicates over smooth noise, with power-law lengths."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    written = 0
    while written < n:
        scene = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize((256, 256))
        for step in range(min(n - written, 1 + int(rng.pareto(1.2)))):
            x = step % (256 - SIDE_PX)
            scene.crop((x, x, x + SIDE_PX, x + SIDE_PX)).save(folder / f"{written:06d}.jpg", quality=85)
            written += 1


def make_manifest(base: Path, images: Path) -> Path:
    """Write a manifest that embeds with an untrained resnet-9 and keeps 10%."""
    output = base / "output"
    output.mkdir(parents=True)
    document = {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": "memory"},
        "spec": {
            "datasources": {
                "input": {"type": "LOCAL", "resourcePath": str(images)},
                "lightly": {"type": "LOCAL", "resourcePath": str(output)},
            },
            "workerConfig": {"enable_training": True, "stopping_condition": {"n_samples": 0.1}},
            "lightlyConfig": {
                "pre_trained": False,
                "model": {"name": "resnet-9"},
                "collate": {"input_size": 32},
                "loader": {"batch_size": 64, "num_workers": 0},
                "trainer": {"gpus": 0, "max_epochs": 0},
            },
        },
    }
    path = base / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def measure(manifest: Path) -> tuple[float, dict[str, float]]:
    """Return the peak resident memory in MB of a run in a process of its own, and its seconds per stage."""
    program = (
        "import json, resource, sys; from selection_job.__main__ import main; code = main(['run', sys.argv[1]]);"
        "print(json.dumps({'code': code, 'kb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(manifest)], check=True, stdout=subprocess.PIPE, text=True)
    last = json.loads(done.stdout.strip().splitlines()[-1])
    if last["code"]:
        raise SystemExit(f"the run ended with {last['code']}")
    return last["kb"] / 1000, {}


def main() -> None:
    """Measure two sizes and print the table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    peaks = {}
    with tempfile.TemporaryDirectory() as base:
        for count in (n // 10, n):
            images = Path(base) / f"images-{count}"
            make_images(images, count)
            peaks[count], _ = measure(make_manifest(Path(base) / f"run-{count}", images))
    decoded_mb = n * SIDE_PX * SIDE_PX * 3 / 1e6
    print(f"memory: {SIDE_PX} px JPEGs, resnet-9 at 32 px, 10% kept, one process, this machine's cores")
    print(f"{'images':>10} {'peak MB':>10} {'decoded MB':>12} {'ratio':>8}")
    for count, peak in peaks.items():
        decoded = decoded_mb * count / n
        print(f"{count:>10} {peak:>10.0f} {decoded:>12.0f} {peak / decoded:>8.2f}")
    growth_kb = (peaks[n] - peaks[n // 10]) * 1000 / (n - n // 10)
    print(f"each further image costs {growth_kb:.2f} kB")


if __name__ == "__main__":
    main()

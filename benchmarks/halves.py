"""What the check of halves finds on the demo's dataset, by encoder: python benchmarks/halves.py

Runs over the images that examples/make_demo_dataset.py makes: with the built-in encoder, and with a resnet-9 that is
trained for two epochs. What is printed stands in their report.json.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SMALL = {"model": {"name": "resnet-9"}, "collate": {"input_size": 32}, "trainer": {"max_epochs": 2}}
ENCODERS: dict[str, dict[str, Any]] = {
    "built in": {},
    "resnet-9, SimCLR for 2 epochs, 32 pixels": {
        "workerConfig": {"enable_training": True},
        "lightlyConfig": {**SMALL, "pre_trained": False},
    },
}


def main() -> None:
    """Make the dataset, run over it, print."""
    print("| encoder | of | own half nearest | by colours alone | verdict |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        make = [sys.executable, str(ROOT / "examples/make_demo_dataset.py")]
        subprocess.run([*make, f"--input={base / 'input'}", f"--output={base / 'output'}"], check=True, stdout=2)
        for number, (encoder, settings) in enumerate(ENCODERS.items()):
            match = measure(base, f"halves-{number}", settings)
            figures = (match["nImages"], match["nMatched"], match["nMatchedByColors"], match["verdict"])
            print(f"| {encoder} | {' | '.join(map(str, figures))} |", flush=True)


def measure(base: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return halfMatch of a run's report.json."""
    manifest = yaml.safe_load((ROOT / "examples/simple.yaml").read_text(encoding="utf-8"))
    manifest["metadata"]["name"] = name
    spec = manifest["spec"]
    for purpose, folder in (("input", "input"), ("lightly", "output")):
        spec["datasources"][purpose]["resourcePath"] = str(base / folder)
    spec["workerConfig"] |= settings.get("workerConfig", {})
    if "lightlyConfig" in settings:
        spec["lightlyConfig"] = settings["lightlyConfig"]
    path = base / f"{name}.yaml"
    path.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "selection_job", "run", str(path)], check=True, stdout=2, stderr=subprocess.PIPE
    )
    (report,) = (base / "output/.lightly/runs").glob(f"{name}-*/report.json")
    encoder = json.loads(report.read_bytes())["generalInformation"]["runInformation"]["encoder"]
    match: dict[str, Any] = encoder["halfMatch"]
    return match


if __name__ == "__main__":
    main()

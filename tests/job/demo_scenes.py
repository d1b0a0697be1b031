"""The demo's dataset, and what its pictures show."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def make_dataset(input_folder, output_folder):
    """Make the demo's dataset as `make demo` does."""
    make = [sys.executable, str(EXAMPLES / "make_demo_dataset.py")]
    arguments = [f"--input={input_folder}", f"--output={output_folder}"]
    subprocess.run([*make, *arguments], check=True, capture_output=True)


def assert_every_scene(input_folder, picks):
    """Of every scene of the dataset one picture at least is among the picks."""
    listed = {str(path.relative_to(input_folder)) for path in input_folder.rglob("*.*")}
    assert {find_scene(name) for name in picks} - {None} == {find_scene(name) for name in listed} - {None}


def find_scene(name):
    """Return what a picture shows, by its name; None where the name does not say it."""
    parts = Path(name).parts
    if parts[0] in {"photos", "walks"}:
        return parts[1]
    return parts[1].partition("_")[0] if parts[0] == "scans" else None

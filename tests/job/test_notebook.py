"""The notebook about embeddings, run from top to bottom over a run's outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from selection_api import parse_manifest
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.run.context import set_up

NOTEBOOK = Path(__file__).parents[2] / "notebooks/inspect_embeddings.ipynb"


def cells_of(kind):
    """Return the text of each cell of a kind, without outputs."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.mark.slow
def test_the_notebook_loads_clusters_and_plots_what_a_run_left(photos, make_manifest, tmp_path):
    manifest = make_manifest(photos.folder, workerConfig={"stopping_condition": {"n_samples": 0.5}})
    (tmp_path / "scratch").mkdir()
    place = set_up(parse_manifest(manifest), tmp_path / "scratch", Progress(quiet=True))
    counts = run_pipeline(place).counts
    script = tmp_path / "notebook.py"
    script.write_text("\n".join(cells_of("code")), encoding="utf-8")
    folders = {"RUN_FOLDER": str(tmp_path / "output" / place.run_key), "IMAGES_FOLDER": str(photos.folder)}
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        env={**os.environ, **folders, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{counts.selected} of {counts.selected + counts.removed} are selected" in done.stdout
    for name in ("embeddings.png", "clusters.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 500


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells if "outputs" in cell)

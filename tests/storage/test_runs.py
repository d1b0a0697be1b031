"""The same run on every kind of storage, as a process of its own: the same results, file by file."""

import io
import json
import os
import subprocess
import sys

import pypdf
import pytest
import yaml

pytestmark = pytest.mark.slow

UID = "1f2e3d4c-0000-4000-8000-000000000000"
RUN_KEY = ".lightly/runs/test-1f2e3d4c/"
BUCKETS = ["s3-moto", "s3-rclone", "gcs", "azure"]
THUMBNAILS = ".lightly/thumbnails/[filename]_thumb.[extension]"

WORKER = {
    "checkpoint": ".lightly/start.ckpt",
    "relevant_filenames_file": ".lightly/relevant.txt",
    "stopping_condition": {"n_samples": 0.25},
    "n_example_images": 2,
    "dump_dataset": True,
}
LIGHTLY = {
    "model": {"name": "resnet-9", "width": 0.25, "num_ftrs": 16},
    "collate": {"input_size": 32},
    "loader": {"batch_size": 8, "num_workers": 0},
    "trainer": {"gpus": 0},
}
TIMES = {  # report.json's keys that differ between any two runs
    "startTimestamp", "endTimestamp", "seconds", "umapSeconds", "computeKg", "computeKwh", "cpuSeconds", "cpuKwh",
    "netKg", "co2Savings", "inputFingerprint", "startTime", "completionTime", "started_at", "totalProcessingTimeS",
}  # fmt: skip
PLACES = {
    "datasources",
    "inputUrl",
    "runUrl",
    "path",
    "reportJson",
    "reportPdf",
    "selectedFilenames",
    "credentials",
    "dir",
}


def write_manifest(source, target, path, *, worker=None, lightly=None):
    """Write a manifest over two places, as a user would."""
    manifest = {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": "test", "uid": UID},
        "spec": {
            "datasources": {
                "input": source.reference("reader") | {"thumbnailSuffix": THUMBNAILS},
                "lightly": target.reference("writer") | {"thumbnailSuffix": THUMBNAILS},
            },
            "workerConfig": {**WORKER, **(worker or {})},
            "lightlyConfig": {**LIGHTLY, **(lightly or {})},
        },
    }
    path.write_text(yaml.safe_dump(manifest))
    return path


def run_job(manifest):
    """Run the job and return the process."""
    command = [sys.executable, "-m", "selection_job", "run", str(manifest)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def fill(source, target, open_place, photos, checkpoint):
    """Put the photos into the input and what the run needs into the lightly datasource; return both stores."""
    filled, given = open_place(source), open_place(target)
    for path in photos.folder.rglob("*"):
        if path.is_file():
            filled.upload(path.relative_to(photos.folder).as_posix(), path)
    given.upload(".lightly/start.ckpt", checkpoint)
    given.write(".lightly/relevant.txt", b"*.jpg\n*.JPEG\n*.png\n")
    return filled, given


@pytest.fixture
def run_on(make_place, open_place, mount, photos, checkpoint, tmp_path):
    """Run over the photos on two places of a kind; return all that the lightly datasource holds then."""

    def run(kind, **changes):
        source, target = make_place(kind), make_place(kind)
        _, given = fill(source, target, open_place, photos, checkpoint)
        mount("input", source.secret)
        mount("lightly", target.secret)
        done = run_job(write_manifest(source, target, tmp_path / f"{kind}.yaml", **changes))
        assert done.returncode == 0, done.stderr
        return {info.key: given.read(info.key) for info in given.list()}

    return run


def comparable(key, content):
    """Return what is equal between runs of one manifest on two storages."""
    if key == f"{RUN_KEY}report.json":
        return json.dumps(_without(json.loads(content), TIMES | PLACES))  # as text, in which NaN equals NaN
    if key.endswith(".yaml"):
        return _without(yaml.safe_load(content), TIMES | PLACES)
    if key.startswith(f"{RUN_KEY}exports/") and not key.endswith("/embeddings.parquet"):
        return content.count(b"\n") if key.endswith(("json", "jsonl")) else None  # they name places
    if key.endswith(".html"):
        return content.count(b"<h2")
    if key.endswith(".pdf"):
        return len(pypdf.PdfReader(io.BytesIO(content)).pages)
    return content


def _without(value, keys):
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def of_a_folder():
    """What the run over a folder wrote, once."""
    return {}


@pytest.mark.parametrize("kind", BUCKETS)
def test_the_results_are_those_of_a_folder_file_by_file(kind, run_on, of_a_folder):
    if not of_a_folder:
        of_a_folder |= run_on("local")
    files = run_on(kind)
    assert files.keys() == of_a_folder.keys()
    assert len([key for key in files if key.startswith(RUN_KEY)]) > 30
    differing = [key for key in files if comparable(key, files[key]) != comparable(key, of_a_folder[key])]
    assert differing == []

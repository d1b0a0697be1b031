"""A run's whole life on a node: the chart's operator, the job's image, a claimed volume, the real scheduler."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from selection_api.names import Stage

STAGES = [stage.value for stage in Stage]
EPOCHS = 25

RUN_ID = r"(?<=whole-)[0-9a-f]{8}"
"""The end of the run's id, which paths, configs and the report are full of: of the uid here, of the spec there."""

DIFFERING_KEYS = {
    # the object's place in the cluster
    "metadata.namespace",
    "metadata.uid",
    # moments and durations
    "started_at",
    "startTimestamp",
    "endTimestamp",
    "seconds",
    "totalProcessingTimeS",
    "umapSeconds",
    # what is reckoned from durations
    "cpuKwh",
    "cpuSeconds",
    "computeKwh",
    "computeKg",
    "netKg",
    "co2Savings",
    # the machine
    "device",
    "threads",
    "host",
    "python",
    # of the input's times of change, which a copy to another volume rounds
    "inputFingerprint",
}
"""Keys whose values are of the one run, moment or machine, in report.json and in config/."""

DRAWN = {"report.pdf", "report.html"}
"""Show those values; drawn from report.json."""


@pytest.fixture
def run_on_host(tmp_path):
    """Return a function (manifest, folder) that runs it here, with the folder where the pod has it."""

    def run(manifest, folder):
        file = tmp_path / "manifest.yaml"
        file.write_text(yaml.safe_dump(manifest))
        inside = f"mount --bind {folder.parent} /mnt && exec {sys.executable} -m selection_job run {file}"
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", inside]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return only_run_in(folder)

    return run


def only_run_in(folder):
    """Return the folder of the only run in a lightly datasource."""
    (found,) = (folder / ".lightly" / "runs").iterdir()
    return found


@pytest.fixture(scope="module")
def manifest_changes():
    """A small training, so that every stage has something to do."""
    return {
        "workerConfig": {"enable_training": True, "checkpoint": None},
        "lightlyConfig": {"pre_trained": False, "trainer": {"max_epochs": EPOCHS}},
    }


def test_a_run_goes_through_its_stages_to_complete_and_leaves_the_files_of_a_local_run(
    runs, recorder, filled_volume, photos, make_cluster_manifest, manifest_changes, run_on_host, tmp_path
):
    manifest = {**make_cluster_manifest(**manifest_changes), "metadata": {"name": "whole"}}
    runs.apply(manifest, "whole")
    status = runs.wait_for_phase("whole", "Complete", 300)
    assert_it_went_through_its_stages(recorder.statuses("whole"))
    assert_the_status_tells_the_end(status, photos)
    volume = filled_volume.get(".", tmp_path / "pod")
    here = tmp_path / "host" / "data"
    shutil.copytree(volume / "input", here / "input")
    assert_same_files(only_run_in(volume), run_on_host(manifest, here))


def assert_it_went_through_its_stages(statuses):
    """Stages come in order; in each, progress rises to its own 100%; the run is never completed before its end."""
    seen = [status["stage"] for status in statuses if status.get("stage")]
    assert seen == sorted(seen, key=STAGES.index)
    assert {"INITIALIZING", "TRAINING", "COMPLETED"} <= set(seen)
    training = [status["progress"] for status in statuses if status.get("stage") == "TRAINING"]
    done = [progress["done"] for progress in training if progress["total"]]
    assert done == sorted(done)
    assert len(set(done)) >= 3
    for status in statuses:
        assert (status.get("stage") == "COMPLETED") == (status.get("phase") == "Complete")
        if progress := status.get("progress"):
            assert (progress["percent"] == 100) == (progress["done"] == progress["total"] > 0)
    phases = [status.get("phase") for status in statuses if status.get("phase")]
    assert sorted(set(phases), key=phases.index) == ["Pending", "Running", "Complete"]


def assert_the_status_tells_the_end(status, photos):
    """Counts, outputs, conditions and times are those of a finished run over the photographs."""
    counts = status["counts"]
    assert (counts["input"], counts["corrupt"]) == (photos.total, len(photos.corrupt))
    assert counts["duplicate"] == len(photos.duplicates)
    assert counts["selected"] + counts["removed"] == len(photos.readable) - len(photos.duplicates)
    assert status["outputs"]["path"] == f"/mnt/data/.lightly/runs/{status['job']['name']}/"
    assert status["outputs"]["reportJson"] == f"{status['outputs']['path']}report.json"
    assert status["startTime"] <= status["completionTime"]
    true = {kind for kind, condition in status["conditions"].items() if condition["status"] == "True"}
    assert true == {"Accepted", "Complete", "Ready"}


def assert_same_files(ours, theirs):
    """Two runs' folders hold the same files with the same content, but for the listed keys."""
    names = {str(path.relative_to(ours)) for path in ours.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(theirs)) for path in theirs.rglob("*") if path.is_file()}
    assert {"report.json", "last.ckpt", "data/embeddings.csv", "plots/scatter_pca.png"} <= names
    different = {name for name in names - DRAWN if comparable(ours / name) != comparable(theirs / name)}
    assert different == set()


def comparable(path):
    """Return what must be equal in two runs."""
    content = path.read_bytes()
    if path.suffix not in (".json", ".yaml"):
        return content
    return without_differing(yaml.safe_load(re.sub(RUN_ID, "ID", content.decode())))


def without_differing(value, path=""):
    """Return a value without the keys that may differ."""
    if isinstance(value, dict):
        kept = {key: f"{path}.{key}" for key in value if not names_a_difference(f"{path}.{key}")}
        return {key: without_differing(value[key], place) for key, place in kept.items()}
    return [without_differing(each, path) for each in value] if isinstance(value, list) else value


def names_a_difference(path):
    return any(path.endswith(f".{key}") for key in DIFFERING_KEYS)

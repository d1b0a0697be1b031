"""The progress in the status is the truth: as many images as the store has served, and no more."""

import functools
import os
import shutil
from pathlib import Path

import pytest
from testbed import binaries
from testbed.gate import Gate
from testbed.processes import Processes, free_port

BATCH = 8
KEY, SECRET = "test-key", "test-secret"
BUCKET = "photos"


@pytest.fixture
def bucket(tmp_path, photos):
    """A bucket with each readable photograph once, served by rclone; yield its address and its keys."""
    folder = tmp_path / "buckets" / BUCKET / "input"
    for number, name in enumerate(name for name in photos.readable if name not in photos.duplicates):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos.folder / name, folder / f"{number:02}{Path(name).suffix.lower()}")
    processes, port = Processes(tmp_path), free_port()
    command = ["serve", "s3", tmp_path / "buckets", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"]
    processes.start("rclone", [binaries.find("rclone", "rclone"), *command, "--config", tmp_path / "rclone.conf"])
    yield f"http://127.0.0.1:{port}", [f"{BUCKET}/input/{path.name}" for path in folder.iterdir()]
    processes.stop()


@pytest.fixture
def gate(bucket):
    """The gate before the bucket, closed."""
    gate = Gate(*bucket)
    yield gate
    gate.stop()


@pytest.fixture
def bucket_run(runs, node_cluster, node_namespace, filled_volume, make_cluster_manifest, gate):
    """A run that reads the bucket through the gate."""
    literals = [f"--from-literal=access_key={KEY}", f"--from-literal=secret_access_key={SECRET}"]
    node_cluster.kubectl("-n", node_namespace, "create", "secret", "generic", "bucket", *literals)
    address = node_cluster.pod_gateway if node_cluster.node else os.environ["TEST_HOST_ADDRESS"]
    manifest = make_cluster_manifest(lightlyConfig={"loader": {"batch_size": BATCH}})
    manifest["spec"]["datasources"]["input"] = {
        "type": "S3",
        "resourcePath": f"s3://{BUCKET}/input/",
        "region": "us-east-1",
        "endpoint": f"http://{address}:{gate.port}",
        "credentialsSecretRef": {"name": "bucket"},
    }
    return runs.apply(manifest, "bucket")


def test_done_equals_what_a_slowed_down_store_has_served(runs, gate, bucket_run):
    total = len(gate.keys)
    for allowed in (BATCH, 2 * BATCH, 3 * BATCH):
        gate.allow(allowed)
        expected = {"stage": "EMBEDDING", "done": allowed, "total": total, "served": allowed}
        reached = functools.partial(tells, runs, bucket_run, gate, expected)
        runs.wait_for(bucket_run, reached, f"{allowed} of {total} are done", 60)
    gate.allow(total)
    assert runs.wait_for_phase(bucket_run, "Complete", 180)["counts"]["input"] == total
    assert len(gate.served) == total


def tells(runs, name, gate, expected):
    """Say whether the status and the store's own count are as expected."""
    status = runs.status(name)
    progress = status.get("progress") or {}
    found = {"stage": status.get("stage"), "done": progress.get("done"), "total": progress.get("total")}
    return {**found, "served": len(gate.served)} == expected

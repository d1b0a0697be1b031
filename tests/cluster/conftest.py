"""Ground of the node lane: the chart installed by helm on a node, a volume with photographs, and runs over them."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from testbed import binaries
from testbed.fixtures import make_namespace
from testbed.runs import Runs, StatusRecorder
from testbed.volumes import make_volume

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "selection-operator"
JOB_IMAGE = "localhost/selection-job:test"
CLAIM = {"claimName": "data"}
PLACE = "/mnt/data"
"""Where the Job has the volume; a folder that the host can have too."""

DATASOURCES = {
    "input": {"type": "LOCAL", "resourcePath": f"{PLACE}/input/", "persistentVolumeClaim": CLAIM},
    "lightly": {"type": "LOCAL", "resourcePath": f"{PLACE}/", "persistentVolumeClaim": CLAIM},
}


def chart_values(cluster):
    """Return values for images without a registry, and for an API server that has no Service."""
    image = {"registry": "localhost", "tag": "test", "pullPolicy": "Never"}
    address = cluster.api_address_for_pods
    names = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
    return {
        "image": image,
        "job": {"image": image, "scratchSize": "1Gi", "sharedMemorySize": "64Mi"},
        "progressSeconds": 1,
        "crds": {"enabled": False},  # there already: the test bed has applied it
        "extraEnv": [{"name": name, "value": str(value)} for name, value in zip(names, address or (), strict=False)],
    }


@pytest.fixture(scope="session")
def operator(node_cluster, tmp_path_factory):
    """The chart, installed by helm; the operator runs in its pod."""
    namespace = make_namespace(node_cluster, "operator")
    folder = tmp_path_factory.mktemp("helm")
    values = folder / "values.yaml"
    values.write_text(json.dumps(chart_values(node_cluster)))
    helm(node_cluster, folder, "install", "selection", CHART, "-n", namespace, "-f", values, "--wait", "--timeout=90s")
    yield namespace
    helm(node_cluster, folder, "uninstall", "selection", "-n", namespace)
    node_cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def helm(cluster, folder, *args):
    """Run helm with its own folders on the cluster."""
    places = {f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    environment = {**os.environ, **places, "KUBECONFIG": str(cluster.kubeconfig)}
    command = [str(binaries.find("helm", "helm")), *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = cluster.kubectl("describe", "pods", "-A", check=False).stdout[-6000:]
        logs = cluster.kubectl("logs", "-A", "-l", "app.kubernetes.io/instance=selection", check=False).stdout
        raise AssertionError(f"{' '.join(command)}: {done.stderr}{done.stdout}\n{shown}\n{logs}")


@pytest.fixture
def node_namespace(node_cluster, operator):
    """A namespace of the node cluster, in which the operator serves."""
    name = make_namespace(node_cluster)
    yield name
    node_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def volume(node_cluster, node_namespace, tmp_path):
    """A volume without files yet."""
    host_folder = tmp_path / "volume" if node_cluster.node else None
    yield make_volume(node_cluster, node_namespace, JOB_IMAGE, host_folder)
    node_cluster.kubectl("delete", "persistentvolume", node_namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture
def runs(node_cluster, node_namespace):
    return Runs(node_cluster, node_namespace)


@pytest.fixture
def recorder(node_cluster, node_namespace, tmp_path):
    """A record of every status in the namespace."""
    recorder = StatusRecorder(node_cluster, node_namespace, tmp_path / "statuses.json")
    yield recorder
    recorder.stop()


@pytest.fixture
def filled_volume(volume, photos, checkpoint, tmp_path):
    """The volume with the photographs in input/ and a checkpoint in .lightly/."""
    volume.put(photos.folder, "input")
    started = tmp_path / "started"
    started.mkdir()
    (started / "start.ckpt").write_bytes(checkpoint.read_bytes())
    volume.put(started, ".lightly")
    return volume


@pytest.fixture
def make_cluster_manifest(make_manifest):
    """Return a function **spec changes -> manifest over the volume, on CPU."""

    def make(**spec):
        return make_manifest("/none", **{"datasources": DATASOURCES, "resources": {}, "backoffLimit": 0, **spec})

    return make


@pytest.fixture
def extended_resource(node_cluster):
    """Return a function name, amount -> None that gives a node of the cluster what a device plugin would."""
    node = node_cluster.get("nodes")["items"][0]["metadata"]["name"]
    given = []

    def give(name, amount):
        path = f"/status/capacity/{name.replace('/', '~1')}"
        patch(node, [{"op": "add", "path": path, "value": str(amount)}])
        given.append(path)

    def patch(node, changes):
        options = ["--subresource=status", "--type=json", "-p", json.dumps(changes)]
        node_cluster.kubectl("patch", "node", node, *options)

    yield give
    for path in given:
        patch(node, [{"op": "remove", "path": path}])

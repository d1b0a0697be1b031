"""A claimed volume that a test fills and reads through a pod, as it must in a cluster on other machines."""

import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from testbed import binaries
from testbed.control_plane import ControlPlane
from testbed.waiting import wait_until

CLAIM, KEEPER, MOUNTED_AT = "data", "keeper", "/data"
USER = 65532


@dataclass(frozen=True)
class Volume:
    """The claim `data` of a namespace; the pod `keeper` has it at /data."""

    cluster: ControlPlane
    namespace: str

    def put(self, folder, path):
        """Copy a folder's content to a path of the volume."""
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                tar.add(folder, arcname=".")
            archive.seek(0)
            target = f"{MOUNTED_AT}/{path}"
            command = f"mkdir -p {target} && tar -C {target} --no-same-owner --no-overwrite-dir -xf -"
            self._execute(["sh", "-c", command], stdin=archive)

    def make_folder(self, path):
        """Make a folder with nothing in it."""
        self._execute(["mkdir", "-p", f"{MOUNTED_AT}/{path}"])

    def get(self, path, folder):
        """Copy a path of the volume into a folder and return it."""
        with tempfile.TemporaryFile() as archive:
            self._execute(["tar", "-C", f"{MOUNTED_AT}/{path}", "-cf", "-", "."], stdout=archive)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as tar:
                tar.extractall(folder, filter="data")
        return Path(folder)

    def list(self, path="."):
        """Return the files under a path, sorted."""
        listed = self._execute(["find", f"{MOUNTED_AT}/{path}", "-type", "f"], stdout=subprocess.PIPE).stdout
        return sorted(listed.decode().splitlines())

    def _execute(self, command, **streams):
        kubectl = binaries.find("kubernetes", "kubectl")
        options = ["-n", self.namespace, "exec", *(["-i"] if "stdin" in streams else []), KEEPER, "--"]
        environment = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        done = subprocess.run(
            [kubectl, *options, *command], env=environment, stderr=subprocess.PIPE, check=False, **streams
        )
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done


def make_volume(cluster, namespace, image, host_folder=None):
    """Claim a volume, on a folder of the only node or else of the cluster's default class, and start its keeper."""
    if host_folder:
        host_folder.mkdir()
        os.chown(host_folder, USER, USER)
        cluster.apply(_host_volume(namespace, host_folder))
    cluster.apply(_claim(namespace, host_folder), _keeper(image), namespace=namespace)
    ready = ["-n", namespace, "get", "pod", KEEPER, "-o", "jsonpath={.status.phase}"]
    wait_until(lambda: cluster.kubectl(*ready).stdout == "Running", 60, "the volume's keeper runs")
    return Volume(cluster, namespace)


def _host_volume(namespace, folder):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def _claim(namespace, host_folder):
    chosen = {"storageClassName": "", "volumeName": namespace} if host_folder else {}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **chosen}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": spec}


def _keeper(image):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": KEEPER},
        "spec": {
            "securityContext": {"runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "keeper",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "volumeMounts": [{"name": "data", "mountPath": MOUNTED_AT}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }

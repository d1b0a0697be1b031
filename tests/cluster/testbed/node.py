"""A node for the control plane: kube-scheduler, containerd and the kubelet, with the project's images loaded."""

import contextlib
import json
from dataclasses import dataclass

from testbed import binaries, images
from testbed.cache import cache_folder
from testbed.certificates import Certificates, key_of
from testbed.containerd import STATE, Containerd
from testbed.control_plane import NEWEST, NODE_NAME, POD_GATEWAY, ControlPlane
from testbed.processes import Processes, free_port
from testbed.traces import PODS_CGROUP, Traces
from testbed.waiting import wait_until

POD_NETWORK = {
    "cniVersion": "1.0.0",
    "name": "selection-operator-test",
    "plugins": [
        {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": str(STATE / "addresses"),
                "ranges": [[{"subnet": "10.244.0.0/24", "gateway": POD_GATEWAY}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}


class Node:
    """One node; it is the machine that the tests run on."""

    name, gateway = NODE_NAME, POD_GATEWAY

    def __init__(self, plane):
        self.plane = plane
        self.processes = Processes(plane.folder / "node")
        self.containerd = Containerd(self.processes)
        self.root = cache_folder() / "kubelet"
        self.kubelet = None
        self.traces = Traces(STATE, self.root, self.containerd.root, POD_GATEWAY)

    def start(self):
        """Start everything and return when the node is ready and the images are loaded."""
        self.traces.sweep()
        self.traces.prepare()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        network = STATE / "cni" / "10-pods.conflist"
        network.parent.mkdir()
        network.write_text(json.dumps(POD_NETWORK))
        self.containerd.start()
        for image in images.build_all():
            self.containerd.load(image)
        self._start_scheduler()
        self._start_kubelet()
        wait_until(lambda: self.processes.are_running() and self._is_ready(), 60, "the node is ready")

    def _start_scheduler(self):
        self.processes.start(
            "kube-scheduler",
            [
                binaries.find(NEWEST, "kube-scheduler"), f"--kubeconfig={self.plane.kubeconfig}",
                "--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={free_port()}",
                f"--cert-dir={self.processes.folder / 'scheduler'}",
            ],
        )  # fmt: skip

    def _start_kubelet(self):
        config = STATE / "kubelet.json"
        config.write_text(json.dumps(self._kubelet_config()))
        token = self.plane.tokens[f"system:node:{NODE_NAME}"]
        kubeconfig = self.plane.write_kubeconfig("kubelet", token=token)
        self.kubelet = self.processes.start(
            "kubelet",
            [
                binaries.find(NEWEST, "kubelet"), f"--config={config}", f"--kubeconfig={kubeconfig}",
                f"--root-dir={self.root}", f"--cert-dir={self.root / 'pki'}", f"--hostname-override={NODE_NAME}",
                f"--node-ip={POD_GATEWAY}", "--v=2",
            ],
        )  # fmt: skip

    def _kubelet_config(self):
        certificates = Certificates(self.plane.folder / "certificates")
        low = {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        }
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": POD_GATEWAY,
            "port": free_port(),
            "healthzPort": 0,
            "tlsCertFile": str(certificates.kubelet),
            "tlsPrivateKeyFile": str(key_of(certificates.kubelet)),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(certificates.ca)},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{PODS_CGROUP}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "evictionHard": low,
            "imageGCHighThresholdPercent": 100,  # nobody could bring our images back
            "podLogsDir": str(STATE / "logs"),
            "volumePluginDir": str(STATE / "volume-plugins"),
            "shutdownGracePeriod": "0s",
        }

    def _is_ready(self):
        asked = self.plane.kubectl("get", "node", NODE_NAME, "-o", "json", check=False)
        if asked.returncode:
            return False
        node = json.loads(asked.stdout)
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
        return ready and not any("effect" in taint for taint in node["spec"].get("taints", []))

    def stop(self):
        """End it and take away what it has left on the machine, but for the images in the cache."""
        if self.kubelet:
            self.kubelet.stop()
        with contextlib.suppress(RuntimeError):  # sweep() does it too, but leaves their files in the cache
            self.containerd.remove_containers()
        self.containerd.stop()
        self.processes.stop()
        self.traces.sweep()


@dataclass
class NodeCluster(ControlPlane):
    """A control plane with nodes."""

    node: Node | None = None
    """None in a cluster that is not ours."""

    node_name = NODE_NAME
    pod_gateway = POD_GATEWAY

    @property
    def api_address_for_pods(self):
        """Host and port of the API server as pods reach it; None where the cluster sees to that."""
        return (POD_GATEWAY, self.port) if self.node else None

"""A Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager, or the one of a cluster that exists."""

import base64
import json
import os
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from testbed import binaries
from testbed.certificates import key_of, make_certificates
from testbed.processes import Processes, free_port
from testbed.waiting import wait_until

CRD = Path(__file__).parents[3] / "crds" / "selectionruns.dataselection.io.yaml"
NEWEST, OLDEST = "kubernetes", "kubernetes-oldest"
POD_GATEWAY = "10.244.0.1"
NODE_NAME = "test-node"
ISSUER = "https://kubernetes.default.svc"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:nodes"]},
        {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]},
        {
            "level": "Metadata",
            "resources": [{"group": "dataselection.io"}, {"group": "batch"}, {"group": "kueue.x-k8s.io"}],
        },
        {"level": "Metadata", "resources": [{"group": "", "resources": ["pods", "events"]}]},
        {"level": "None"},
    ],
}


@dataclass
class ControlPlane:
    """An API server with a cluster administrator's access to it."""

    server: str
    kubeconfig: Path
    token: str
    ca_file: Path
    folder: Path
    processes: Processes | None = None
    tokens: dict[str, str] = field(default_factory=dict)
    """User names and tokens of the other components; empty for an existing cluster."""

    @property
    def audit_log(self):
        """JSON lines, one per request for runs, Jobs, pods, Events and Workloads (an own control plane only)."""
        return self.folder / "audit.log"

    @property
    def port(self):
        return int(self.server.rpartition(":")[2])

    def kubectl(self, *args, input=None, check=True):
        """Run kubectl as cluster administrator and return the CompletedProcess, with its output as text."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.folder / "kubectl")}
        command = [str(binaries.find(NEWEST, "kubectl")), *map(str, args)]
        done = subprocess.run(command, input=input, env=environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(
                f"kubectl {' '.join(command[1:])} ended with {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done

    def get(self, *args):
        """Return what `kubectl get ARGS` finds, as a dict."""
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def apply(self, *documents, namespace=None):
        """Apply documents (dicts)."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.kubectl(*(["-n", namespace] if namespace else []), "apply", "-f", "-", input=listed)

    def write_kubeconfig(self, name, server=None, token=None):
        """Return a kubeconfig in the folder for another address (a proxy's) or another user's token."""
        path = self.folder / f"{name}.kubeconfig"
        return _write_kubeconfig(path, server or self.server, self.ca_file, token or self.token)

    def stop(self):
        """End the processes that belong to it; an existing cluster is left as it is."""
        if self.processes:
            self.processes.stop()


def start_control_plane(folder, module=NEWEST):
    """Start etcd, kube-apiserver and kube-controller-manager and return when they serve and the CRD is there."""
    folder.mkdir(parents=True, exist_ok=True)
    certificates = make_certificates(folder / "certificates")
    processes = Processes(folder)
    server = f"https://127.0.0.1:{free_port()}"
    tokens = {name: secrets.token_hex(16) for name in ("admin", f"system:node:{NODE_NAME}")}
    kubeconfig = _write_kubeconfig(folder / "admin.kubeconfig", server, certificates.ca, tokens["admin"])
    plane = ControlPlane(server, kubeconfig, tokens["admin"], certificates.ca, folder, processes, tokens)
    try:
        etcd = _start_etcd(processes, folder)
        _start_apiserver(plane, module, etcd, certificates)
        _start_controller_manager(plane, module, certificates)
        wait_until(lambda: processes.are_running() and _is_ready(plane), 60, "the API server is ready")
        apply_crd(plane)
        wait_until(lambda: processes.are_running() and _has_service_account(plane), 60, "the controllers work")
    except BaseException:
        plane.stop()
        raise
    return plane


def connect_control_plane(kubeconfig, folder):
    """Return the ControlPlane of an existing cluster, with the CRD applied.

    The kubeconfig must hold a token; certificates of clients can't be passed on to the processes under test.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = ControlPlane("", Path(kubeconfig).absolute(), "", folder / "ca.crt", folder)
    view = json.loads(found.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").stdout)
    cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
    if "token" not in user or "certificate-authority-data" not in cluster:
        raise RuntimeError(
            f"TEST_KUBECONFIG={kubeconfig}: its current context needs a token and a certificate authority. Make one: "
            "kubectl create serviceaccount, clusterrolebinding (cluster-admin), then token --duration 8h"
        )
    found.server, found.token = cluster["server"], user["token"]
    found.ca_file.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    apply_crd(found)
    return found


def apply_crd(plane):
    """Apply the project's CRD and wait until it is served."""
    plane.kubectl("apply", "-f", CRD)
    served = ["get", "selectionruns.dataselection.io"]  # `kubectl wait` fails on a CRD that has no conditions yet
    wait_until(lambda: plane.kubectl(*served, check=False).returncode == 0, 30, "the CRD is served")


def _write_kubeconfig(path, server, ca_file, token):
    """Write a kubeconfig as JSON, which is YAML, and return its path."""
    name = "test"
    ca = base64.b64encode(ca_file.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.write_text(json.dumps(config, indent=1))
    path.chmod(0o600)
    return path


def _start_etcd(processes, folder):
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    processes.start(
        "etcd",
        [
            binaries.find("etcd", "etcd"), f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        ],
    )  # fmt: skip
    return client


def _start_apiserver(plane, module, etcd, certificates):
    token_file, audit_policy = plane.folder / "tokens.csv", plane.folder / "audit-policy.json"
    groups = {"admin": "system:masters"}
    lines = (f'{token},{name},{name},"{groups.get(name, "system:nodes")}"\n' for name, token in plane.tokens.items())
    token_file.write_text("".join(lines))
    audit_policy.write_text(json.dumps(AUDIT_POLICY))
    plane.processes.start(
        "kube-apiserver",
        [
            binaries.find(module, "kube-apiserver"), f"--etcd-servers={etcd}", "--bind-address=0.0.0.0",
            f"--secure-port={plane.port}", f"--cert-dir={plane.folder / 'apiserver'}",
            f"--tls-cert-file={certificates.server}", f"--tls-private-key-file={key_of(certificates.server)}",
            f"--token-auth-file={token_file}", "--authorization-mode=Node,RBAC",
            f"--service-account-key-file={certificates.service_account_key}",
            f"--service-account-signing-key-file={certificates.service_account_key}",
            f"--service-account-issuer={ISSUER}", f"--api-audiences={ISSUER}",
            "--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
            f"--advertise-address={POD_GATEWAY}", "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={certificates.ca}",
            f"--kubelet-client-certificate={certificates.kubelet_client}",
            f"--kubelet-client-key={key_of(certificates.kubelet_client)}",
            f"--audit-policy-file={audit_policy}", f"--audit-log-path={plane.audit_log}",
            "--shutdown-delay-duration=0s",
        ],
    )  # fmt: skip


def _start_controller_manager(plane, module, certificates):
    plane.processes.start(
        "kube-controller-manager",
        [
            binaries.find(module, "kube-controller-manager"), f"--kubeconfig={plane.kubeconfig}",
            "--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={free_port()}",
            f"--cert-dir={plane.folder / 'controllers'}",
            "--use-service-account-credentials=true", f"--root-ca-file={certificates.ca}",
            f"--service-account-private-key-file={certificates.service_account_key}",
            "--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-job-syncs=20",
            "--pvclaimbinder-sync-period=1s",
        ],
    )  # fmt: skip


def _is_ready(plane):
    request = urllib.request.Request(f"{plane.server}/readyz", headers={"Authorization": f"Bearer {plane.token}"})
    context = ssl.create_default_context(cafile=str(plane.ca_file))
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _has_service_account(plane):
    return (
        plane.kubectl(
            "-n", "default", "get", "serviceaccount/default", "configmap/kube-root-ca.crt", check=False
        ).returncode
        == 0
    )

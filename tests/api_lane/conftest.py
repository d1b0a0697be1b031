"""The operator as a real process against a real control plane without nodes; the tests play what happens to pods."""

import itertools

import pytest
from testbed.fault_proxy import FaultProxy
from testbed.fixtures import make_namespace
from testbed.lanes import Lane
from testbed.operator_process import OperatorProcess
from testbed.rest import rest_of
from testbed.stories import play_stories

KUEUE = "kueue.x-k8s.io"
WORKLOAD_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
WORKLOADS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": f"workloads.{KUEUE}",
        "annotations": {"api-approved.kubernetes.io": "unapproved, a small stand-in"},
    },
    "spec": {
        "group": KUEUE,
        "names": {"kind": "Workload", "plural": "workloads", "singular": "workload", "listKind": "WorkloadList"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": version,
                "served": True,
                "storage": version == "v1beta2",
                "schema": {"openAPIV3Schema": WORKLOAD_SCHEMA},
                "subresources": {"status": {}},
            }
            for version in ("v1beta1", "v1beta2")
        ],
    },
}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="session")
def workload_crd(control_plane):
    """Kueue's Workload, as much of it as the operator touches."""
    rest = rest_of(control_plane)
    if rest.get("customresourcedefinitions", None, WORKLOADS["metadata"]["name"]) is None:
        control_plane.apply(WORKLOADS)
        control_plane.kubectl("wait", "--for=condition=Established", f"crd/workloads.{KUEUE}", "--timeout=30s")


@pytest.fixture(scope="session")
def shared(control_plane, workload_crd, tmp_path_factory):
    """Namespaces that one operator watches for the whole session: {what they are for: Lane}."""
    lanes = {}
    for purpose in ("common", "restricted", "quota", "kubectl"):
        lanes[purpose] = Lane(control_plane, make_namespace(control_plane, f"lane-{purpose}"))
    rest = rest_of(control_plane)
    rest.patch("namespaces", None, lanes["restricted"].namespace, {"metadata": {"labels": RESTRICTED}})
    yield lanes
    for lane in lanes.values():
        lane.close()


@pytest.fixture(scope="session")
def operator(control_plane, shared, tmp_path_factory):
    """The operator of most tests, with Kueue switched on."""
    namespaces = [lane.namespace for lane in shared.values()]
    folder = tmp_path_factory.mktemp("operator")
    running = OperatorProcess(folder, control_plane.kubeconfig, namespaces, kueue_enabled="true")
    running.start()
    yield running
    assert running.terminate() == 0, running.tail()
    assert [line for line in running.log() if is_trouble(line)] == []


@pytest.fixture
def lane(operator, shared):
    """The namespace that most tests share; runs have names of their own."""
    return shared["common"]


@pytest.fixture(scope="session")
def stories(request, operator, shared):
    """What the tests marked @story do, under way from the first of them on."""
    yield from play_stories(request.session.items, shared["common"])


@pytest.fixture
def proxied(control_plane, tmp_path_factory):
    """Return a function (namespaces, **settings) -> (proxy, operator behind it, not started); all end with the test."""
    started, numbers = [], itertools.count()

    def make(namespaces, **settings):
        proxy = FaultProxy(control_plane).start()
        folder = tmp_path_factory.mktemp(f"proxied-{next(numbers)}")
        kubeconfig = proxy_kubeconfig(control_plane, proxy, folder.name)
        running = OperatorProcess(folder, kubeconfig, namespaces, **settings)
        started.append((proxy, running))
        return proxy, running

    yield make
    for proxy, running in started:
        if running.process:
            running.kill()
        proxy.stop()


@pytest.fixture
def own_lane(control_plane):
    """A namespace that no operator watches until the test starts one."""
    lane = Lane(control_plane, make_namespace(control_plane, "own"))
    yield lane
    lane.close()


def proxy_kubeconfig(plane, proxy, name):
    """Return a kubeconfig that leads through the proxy."""
    return plane.write_kubeconfig(f"proxy-{name}", proxy.server)


def is_trouble(line):
    """Say whether a line of the log is one that no operator should write."""
    text = str(line)
    return "Traceback" in text or str(line.get("level", line.get("severity", ""))).upper() in ("ERROR", "CRITICAL")

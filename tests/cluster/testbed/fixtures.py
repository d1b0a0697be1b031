"""The fixtures that every test may use; tests/conftest.py names this module as a plugin."""

import contextlib
import os
import secrets
import signal

import pytest
from testbed.cache import locked
from testbed.control_plane import OLDEST, connect_control_plane, start_control_plane
from testbed.node import Node, NodeCluster
from testbed.waiting import wait_until


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory):
    """The newest Kubernetes without nodes, or the cluster of TEST_KUBECONFIG."""
    folder = tmp_path_factory.mktemp("control-plane")
    existing = os.environ.get("TEST_KUBECONFIG")
    plane = connect_control_plane(existing, folder) if existing else start_control_plane(folder)
    yield plane
    plane.stop()


@pytest.fixture(scope="session")
def oldest_control_plane(tmp_path_factory):
    """The oldest Kubernetes that the chart accepts, without nodes."""
    plane = start_control_plane(tmp_path_factory.mktemp("oldest-control-plane"), OLDEST)
    yield plane
    plane.stop()


@pytest.fixture
def namespace(control_plane):
    """The name of a fresh namespace with its default service account."""
    name = make_namespace(control_plane)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


def make_namespace(plane, prefix="test"):
    """Make a namespace of its own name and return it when pods can be made in it."""
    name = f"{prefix}-{secrets.token_hex(4)}"
    plane.kubectl("create", "namespace", name)
    asked = ["-n", name, "get", "serviceaccount/default", "configmap/kube-root-ca.crt"]
    wait_until(lambda: plane.kubectl(*asked, check=False).returncode == 0, 30, f"{name} has its service account")
    return name


@pytest.fixture(scope="session")
def node_cluster(tmp_path_factory):
    """A cluster of its own whose node runs pods and has the project's images.

    Not `control_plane` with a node: a scheduler would take the pods whose phases other tests play.
    """
    folder = tmp_path_factory.mktemp("node-cluster")
    existing = os.environ.get("TEST_KUBECONFIG")
    if existing:
        yield NodeCluster(**vars(connect_control_plane(existing, folder)))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end a session is to tear it down
    with locked("node"), contextlib.ExitStack() as ended:
        plane = start_control_plane(folder)
        ended.callback(plane.stop)
        node = Node(plane)
        node.start()
        ended.callback(node.stop)
        yield NodeCluster(**vars(plane), node=node)
    assert node.traces.left() == []

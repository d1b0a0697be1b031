"""Shared ground of the chart's tests: helm 3 and 4, what they render, and clusters to install into."""

import importlib.util
import json
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from testbed import binaries
from testbed.fixtures import make_namespace
from testbed.waiting import wait_until

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/selection-operator"
CRD = "selectionruns.dataselection.io"
OLDEST = "1.31.0"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the CRD is long


@dataclass(frozen=True)
class Helm:
    """A helm binary with folders of its own, at most one cluster in sight."""

    binary: Path
    folder: Path
    kubeconfig: Path | None = None

    def __call__(self, *args, values=None, check=True):
        """Run helm with values as a dict; return the CompletedProcess, with its output as text."""
        places = {f"HELM_{kind}_HOME": str(self.folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **places, "KUBECONFIG": str(self.kubeconfig or self.folder / "none")}
        options = ["--values", "-"] if values is not None else []
        command = [str(self.binary), *map(str, args), *options]
        sent = json.dumps(values) if values is not None else None
        done = subprocess.run(command, input=sent, env=environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def at(self, plane):
        """The same helm in sight of a cluster."""
        return Helm(self.binary, self.folder, plane.kubeconfig)

    def render(self, values=None, *, name="release", namespace="installed", chart=CHART, options=()):
        """Return the objects that the chart makes of these values."""
        place = ["--namespace", namespace, "--kube-version", OLDEST]
        done = self("template", name, chart, *place, *options, values=values or {})
        return [document for document in yaml.load_all(done.stdout, LOADER) if document]


@pytest.fixture(scope="session")
def helm4(tmp_path_factory):
    return Helm(binaries.find("helm", "helm"), tmp_path_factory.mktemp("helm4"))


@pytest.fixture(scope="session")
def helm3(tmp_path_factory):
    return Helm(binaries.find("helm3", "helm"), tmp_path_factory.mktemp("helm3"))


@pytest.fixture(params=["helm3", "helm4"])
def helm(request):
    """Each of both."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def fresh_plane(oldest_control_plane):
    """The oldest Kubernetes that the chart accepts, which never saw the CRD."""
    plane = oldest_control_plane
    plane.kubectl("delete", "crd", CRD, "--ignore-not-found", "--timeout=60s")
    plane.kubectl("delete", "clusterrole", "-l", "app.kubernetes.io/name=selection-operator")  # of users: they stay
    yield plane
    plane.kubectl("delete", "crd", CRD, "--ignore-not-found", "--timeout=60s")
    plane.kubectl("apply", "-f", ROOT / f"crds/{CRD}.yaml")
    wait_until(lambda: plane.kubectl("get", CRD, check=False).returncode == 0, 30, "runs are served")


@pytest.fixture
def release(control_plane):
    """A name of its own for a release, which is also its namespace; all is removed afterwards, but for the CRD."""
    name = make_namespace(control_plane, "chart")
    yield name
    selector = f"app.kubernetes.io/instance={name}"
    control_plane.kubectl("delete", "clusterrole,clusterrolebinding", "-l", selector)
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def unique():
    """A name that nothing has."""
    return f"chart-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def chart():
    return CHART


@pytest.fixture(scope="session")
def render_module():
    """helm/render.py."""
    return load_module(ROOT / "helm/render.py")


@pytest.fixture(scope="session")
def installation_check():
    """The names that the program of `helm test` defines, without running it."""
    source = (CHART / "files/check_installation.py").read_text()
    names = {}
    exec(compile(source.removesuffix("main()\n"), "check_installation.py", "exec"), names)
    return names


def load_module(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module

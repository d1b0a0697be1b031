"""Programs of the test cluster, built from the Go modules in tests/cluster/tools and kept in the cache.

`python tests/cluster/testbed/binaries.py` builds them all.
"""

import functools
import os
import re
import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from testbed import commands
from testbed.cache import digest, make_once

TOOLS = Path(__file__).parents[1] / "tools"
MODULES = sorted(folder.name for folder in TOOLS.iterdir())
TAGS = {"containerd": "no_btrfs,no_zfs,no_devmapper"}
NAMES = {("etcd", "etcd"): "server"}  # the binary is called after its package


def find(module, name):
    """Return the path of a program; its module is built when the cache does not have it (minutes for kubernetes)."""
    return build(module) / NAMES.get((module, name), name)


@functools.cache
def build(module):
    """Return the folder of a module's programs."""
    sources = sorted(path for path in (TOOLS / module).rglob("*") if path.is_file())
    key = digest(*(path.read_bytes() for path in sources), _go_version(), *_flags(module))
    return make_once("binaries", module, key, functools.partial(_build, module))


@functools.cache
def _go_version():
    if not shutil.which("go"):
        raise RuntimeError("go is not on the PATH: the test cluster is built from Go modules; install Go 1.24 or newer")
    return _run(["go", "env", "GOVERSION"], cwd=TOOLS / "kubernetes").strip()


def _build(module, folder):
    print(f"Building {module} from tests/cluster/tools/{module} (once) …", file=sys.stderr, flush=True)
    ours = (TOOLS / module / "main.go").exists()
    _run(["go", "build", *_flags(module), "-o", f"{folder}/", "." if ours else "tool"], cwd=TOOLS / module)


def _flags(module):
    linker = f"-s -w {_version_of_kubernetes(module)}".strip()
    return ["-trimpath", "-tags", TAGS.get(module, ""), "-ldflags", linker]


def _version_of_kubernetes(module):
    """Return the linker flags without which the apiserver calls itself v0.0.0, which no chart accepts."""
    match = re.search(r"k8s\.io/kubernetes (v1\.(\d+)\.\S+)", (TOOLS / module / "go.mod").read_text())
    if not module.startswith("kubernetes") or not match:
        return ""
    values = {"gitVersion": match[1], "gitMajor": "1", "gitMinor": match[2], "gitTreeState": "clean"}
    return " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in values.items())


def _run(command, cwd):
    return commands.run(command, cwd=cwd, env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})


if __name__ == "__main__":
    for module in MODULES:
        print(build(module))

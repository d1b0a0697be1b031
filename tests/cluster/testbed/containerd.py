"""containerd with folders of its own; its images stay in the cache, so a session loads only what has changed."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from testbed import binaries
from testbed.cache import cache_folder
from testbed.images import buildah
from testbed.waiting import wait_until

STATE = Path("/run/selection-operator-test")
CONFIG = """\
version = 3
root = "{root}"
state = "{state}/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "{socket}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:test"

[plugins.'io.containerd.cri.v1.runtime']
  # Without the capability SYS_RESOURCE no process may lower its own score.
  restrict_oom_score_adj = true
  # Network namespaces are then found, and taken away, with the rest of the state.
  netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{cni_programs}"]
  conf_dir = "{state}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


class Containerd:
    """The running daemon."""

    socket = STATE / "containerd.sock"

    def __init__(self, processes):
        self.processes = processes
        self.root = cache_folder() / "containerd"
        self.process = None

    def start(self):
        """Start it and return when it answers; what an earlier session has left running in it is removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        STATE.mkdir(parents=True, exist_ok=True)
        config = STATE / "containerd.toml"
        programs = binaries.find("cni", "ptp").parent
        config.write_text(CONFIG.format(root=self.root, state=STATE, socket=self.socket, cni_programs=programs))
        self._start(config)
        self.remove_leases()
        if self.remove_containers():  # the kubelet's half of containerd still knows them
            self.processes.end(self.process, patience=10)
            self._start(config)

    def _start(self, config):
        folder = binaries.find("containerd", "containerd").parent
        environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        self.process = self.processes.start("containerd", [folder / "containerd", "--config", config], env=environment)
        wait_until(lambda: self.process.is_running() and self._answers(), 30, "containerd answers")

    def _answers(self):
        return self.socket.exists() and self.ctr("version", check=False).returncode == 0

    def stop(self):
        """End it; what it stores is then whole on the disk."""
        if self.process:
            self.process.stop(patience=10)

    def _ctr(self):
        return [str(binaries.find("containerd", "ctr")), "--address", str(self.socket), "--namespace", "k8s.io"]

    def ctr(self, *arguments, check=True):
        """Run containerd's own client and return the CompletedProcess, with its output as text."""
        command = [*self._ctr(), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return done

    def remove_leases(self):
        """Give up what imports that were cut short still hold on the disk."""
        for lease in self.ctr("leases", "ls", "-q").stdout.split():
            self.ctr("leases", "rm", "--sync", lease, check=False)

    def remove_containers(self):
        """Kill and remove every container; return how many there were."""
        tasks = self.ctr("tasks", "ls", "-q").stdout.split()
        for task in tasks:
            self.ctr("tasks", "kill", "--signal", "SIGKILL", "--all", task, check=False)
        for task in tasks:
            self.ctr("tasks", "rm", "--force", task, check=False)
        containers = self.ctr("containers", "ls", "-q").stdout.split()
        for container in containers:
            self.ctr("containers", "rm", container, check=False)
        return len(containers)

    def load(self, image):
        """Have the Image from buildah's storage under its key and as localhost/NAME:test; drop its older versions."""
        there = self.ctr("images", "ls", "-q").stdout.split()
        if image.reference not in there:
            self._import(image)
        name = f"localhost/{image.name}"
        self.ctr("images", "tag", "--force", image.reference, f"{name}:test")
        older = [
            each for each in there if each.startswith(f"{name}:") and each not in (f"{name}:test", image.reference)
        ]
        if older:
            self.ctr("images", "rm", "--sync", *older)

    def _import(self, image):
        """Hand over the layers that containerd has not got: unchanged ones are neither written nor read again."""
        blobs = self.root / "io.containerd.content.v1.content" / "blobs" / "sha256"
        layout = cache_folder() / "layout"
        shutil.rmtree(layout, ignore_errors=True)  # of a session that was killed
        known = _link_blobs(blobs, layout / "blobs" / "sha256")
        buildah("push", "--disable-compression", image.reference, f"oci:{layout}:{image.key}")
        with subprocess.Popen([*self._ctr(), "images", "import", "-"], stdin=subprocess.PIPE) as importing:
            _write_archive(layout, known, image.reference, importing.stdin)
        shutil.rmtree(layout)
        if importing.returncode:
            raise RuntimeError(f"ctr images import of {image.reference} ended with {importing.returncode}")


def _link_blobs(blobs, layout):
    """Link containerd's blobs into an OCI layout and return their names."""
    layout.mkdir(parents=True)
    known = {path.name for path in blobs.iterdir()} if blobs.is_dir() else set()
    for name in known:
        os.link(blobs / name, layout / name)
    return known


def _write_archive(layout, known, reference, stream):
    """Write the layout as a tar into a stream, so that a large layer is not on the disk once more."""
    index = json.loads((layout / "index.json").read_bytes())
    for manifest in index["manifests"]:
        manifest["annotations"] = {"io.containerd.image.name": reference}
    (layout / "index.json").write_text(json.dumps(index))
    blobs = [path for path in sorted((layout / "blobs" / "sha256").iterdir()) if path.name not in known]
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        for path in (layout / "oci-layout", layout / "index.json", *blobs):
            tar.add(path, path.relative_to(layout))

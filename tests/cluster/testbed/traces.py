"""What a node leaves on its machine, and how it goes: processes, mounts, cgroups, network, folders.

All of it is found by looking, so that the next session also clears up after one that was killed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.waiting import wait_until

CGROUPS = Path("/sys/fs/cgroup")
PODS_CGROUP = "selection-operator-test"  # of our own: another kubelet of this machine has kubepods
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
NETWORK_RESULTS = Path("/var/lib/cni/results")
LOG_LINKS = Path("/var/log/containers")
SHIM_SOCKETS = Path("/run/containerd/s")
RUNC_STATE = Path("/run/containerd/runc/k8s.io")
FIXED_PLACES = (NETWORK_RESULTS, NETWORK_RESULTS.parent, LOG_LINKS, SHIM_SOCKETS, RUNC_STATE, *RUNC_STATE.parents[:2])


@dataclass(frozen=True)
class Traces:
    """Where a node leaves its traces."""

    state: Path
    kubelet: Path
    containerd: Path
    """Holds the images, and stays."""
    address: str
    """The pods' gateway, an address of this machine for as long as there is a node."""

    def prepare(self):
        """Make the state folder and the pods' cgroup, note what sweep() restores, set up the gateway address."""
        self.state.mkdir(parents=True)
        (self.state / "ip_forward").write_text(FORWARDING.read_text())
        _make_cgroups()
        subprocess.run(["ip", "address", "replace", f"{self.address}/32", "dev", "lo"], check=True)

    def left(self):
        """Return what is still there; nothing after sweep()."""
        places = [place for place in (self.state, self.kubelet) if place.exists()]
        processes = [*pids_of_pods(), *_pids_of_shims(self.state)]
        mounts = mounts_under(self.state, self.kubelet, self.containerd)
        return [*places, *processes, *mounts, *_cgroup_folders(), *_files_elsewhere(self.state)]

    def sweep(self):
        """Take away whatever there is."""
        for pid in [*pids_of_pods(), *_pids_of_shims(self.state)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not pids_of_pods(), 20, "the pods' processes are gone")
        for mounted in reversed(mounts_under(self.state, self.kubelet, self.containerd)):
            subprocess.run(["umount", "--lazy", mounted], check=True)
        wait_until(_remove_cgroups, 20, "the pods' cgroups are gone")
        _remove_address(self.address)
        if (self.state / "ip_forward").exists():
            FORWARDING.write_text((self.state / "ip_forward").read_text())
        _remove_files(self.state)
        for folder in (self.state, self.kubelet):
            if folder.exists():
                shutil.rmtree(folder)


def _remove_address(address):
    listed = subprocess.run(["ip", "-o", "address", "show", "dev", "lo"], check=True, capture_output=True, text=True)
    if f" {address}/32 " in listed.stdout:
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)


def mounts_under(*folders):
    """Return the mount points in the folders, in the order in which they were mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if any(Path(point).is_relative_to(folder) for folder in folders)]


def _hierarchies():
    """Return the roots of the cgroup hierarchies: one for each controller in version 1, a single one in version 2."""
    return (
        [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [p.parent for p in CGROUPS.glob("*/cgroup.procs")]
    )


def _make_cgroups():
    for root in _hierarchies():
        folder = root / PODS_CGROUP
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cgroup of version 1, which then takes no process
            if root != CGROUPS and (folder / name).exists():
                (folder / name).write_text((root / name).read_text())
        if root == CGROUPS:
            controllers = (root / "cgroup.controllers").read_text().split()
            (root / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


def _cgroup_folders():
    """Return the pods' cgroups of every hierarchy, the innermost first."""
    tops = [root / PODS_CGROUP for root in _hierarchies()]
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]


def pids_of_pods():
    """Return the processes in all pods of this machine."""
    pids = set()
    for folder in _cgroup_folders():
        with contextlib.suppress(OSError):
            pids |= {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
    return pids


def _remove_cgroups():
    for folder in _cgroup_folders():
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not _cgroup_folders()


def _pids_of_shims(state):
    """Return the shims of a containerd whose socket is in the folder; they outlive it on purpose."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = entry.read_bytes().decode(errors="replace").split("\0")
            if Path(arguments[0]).name == "containerd-shim-runc-v2" and str(state) in " ".join(arguments):
                found.append(int(entry.parent.name))
    return found


def _files_elsewhere(state):
    """Return our files in places that other kubelets and containerds use too."""
    links = [link for link in LOG_LINKS.glob("*.log") if link.is_symlink() and link.readlink().is_relative_to(state)]
    return [*links, *(result for result in NETWORK_RESULTS.glob("*") if str(state) in result.read_text())]


def _remove_files(state):
    """Remove what is kept in fixed places, and those places when nothing else is in them."""
    for path in _files_elsewhere(state):
        path.unlink()
    for socket in SHIM_SOCKETS.glob("*"):
        if not _is_listened_on(socket):
            socket.unlink()
    for folder in FIXED_PLACES:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _is_listened_on(socket):
    return str(socket) in Path("/proc/net/unix").read_text()

"""Child processes with a log each, which end with the process that started them, however that ends."""

import atexit
import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

# Below the ports that the kernel gives to outgoing connections and beside those of NodePorts.
PORTS = range(20000, 30000)


def free_port():
    """Return a TCP port that nobody listens on."""
    while True:
        port = secrets.choice(PORTS)  # not by `random`, which a training seeds
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) and _can_bind(port):
                return port


def _can_bind(port):
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


class Process:
    """One running program; its output goes to a file."""

    def __init__(self, name, command, log, env=None):
        self.name, self.log = name, log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [*_die_with_parent(), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        """Return True, or fail with the end of the log when the process has ended."""
        if self.popen.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.popen.returncode}; {self.log} ends:\n{self.tail()}")
        return True

    def tail(self, size=3000):
        """Return the end of the log."""
        return self.log.read_bytes()[-size:].decode(errors="replace")

    def stop(self, patience=0.0):
        """End the process for certain: SIGTERM and `patience` seconds first, if given, then SIGKILL."""
        if patience and self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(patience)
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


class Processes:
    """The processes of one folder, stopped in the reverse of the order in which they were started."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._running = []
        atexit.register(self.stop)

    def start(self, name, command, env=None):
        """Start a program and return it as a Process; its log is NAME.log in the folder."""
        process = Process(name, command, self.folder / f"{name}.log", env)
        self._running.append(process)
        return process

    def pids(self):
        return [process.pid for process in self._running]

    def are_running(self):
        """Return True, or fail with the log of the first that has ended."""
        return all(process.is_running() for process in self._running)

    def end(self, process, patience=0.0):
        """End one of them for certain, as Process.stop does; it is not missed afterwards."""
        self._running.remove(process)
        process.stop(patience)

    def stop(self):
        """End them all; calling it again does nothing."""
        while self._running:
            self._running.pop().stop()
        atexit.unregister(self.stop)


def _die_with_parent():
    """Return the prefix that makes the kernel kill a process whose parent is gone, where there is such a thing.

    setpriv rather than a preexec_fn, which is not safe in a process with threads.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []

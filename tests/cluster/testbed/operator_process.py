"""The operator as a process of its own, as it runs in its container: started, killed, started again."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from testbed.processes import Process, free_port
from testbed.waiting import wait_until

JOB_IMAGE = "localhost/selection-job:test"
SETTINGS = {
    "SELECTION_JOB_IMAGE": JOB_IMAGE,
    "SELECTION_RESYNC_SECONDS": "300",
    "SELECTION_PROGRESS_SECONDS": "1",
    "SELECTION_SCRATCH_SIZE": "1Gi",
    "SELECTION_LOG_LEVEL": "INFO",
}


class OperatorProcess:
    """`python -m selection_operator` with its own address for /healthz and /metrics, and its log in a file."""

    def __init__(self, folder, kubeconfig, namespaces=(), **settings):
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "operator.log"
        passed = {key: value for key, value in os.environ.items() if not key.startswith(("SELECTION_", "KUBERNETES_"))}
        self.environment = {
            **passed,
            **SETTINGS,
            "KUBECONFIG": str(kubeconfig),
            "SELECTION_LISTEN": f"127.0.0.1:{self.port}",
            "SELECTION_WATCH_NAMESPACES": ",".join(namespaces),
            **{f"SELECTION_{key.upper()}": str(value) for key, value in settings.items()},
        }
        self.process = None
        self.starts = 0
        self._changing = threading.Lock()

    def start(self, wait=True):
        """Start the process and, unless told otherwise, wait until it says that it works; returns itself."""
        with self._changing:
            command = [sys.executable, "-m", "selection_operator"]
            self.process = Process("operator", command, self.log_file, self.environment)
            self.starts += 1
        if wait:
            self.wait_until_healthy()
        return self

    def wait_until_healthy(self, timeout=60):
        """Return when /healthz answers 200; fail with the log when the process has ended."""
        wait_until(lambda: self.process.is_running() and self.health()[0] == 200, timeout, "the operator is healthy")

    def kill(self):
        """End the process as a power failure does."""
        with self._changing:
            self.process.stop()

    def terminate(self, patience=30):
        """End the process as the kubelet does and return its exit code."""
        self.process.popen.send_signal(signal.SIGTERM)
        try:
            return self.process.popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.stop()
            raise AssertionError(f"the operator did not end within {patience} s of SIGTERM:\n{self.tail()}") from None

    def restart(self):
        """Kill the process and start it again, without waiting."""
        self.kill()
        self.start(wait=False)

    def ask(self, path, timeout=5):
        """Return status and text of the operator's own web page, or (0, why) when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)
        finally:
            connection.close()

    def health(self):
        """Return status and text of /healthz."""
        return self.ask("/healthz")

    def metrics(self):
        """Return the samples of /metrics: {(name, ((label, value), ...)): number}."""
        from prometheus_client.parser import text_string_to_metric_families

        samples = {}
        for family in text_string_to_metric_families(self.ask("/metrics")[1]):
            for sample in family.samples:
                samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        return samples

    def log(self):
        """Return the log's lines as dicts; what is no JSON object comes as {"text": line}."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return [_decode(line) for line in lines if line.strip()]

    def tail(self):
        """Return the end of the log."""
        return self.process.tail(6000)

    @property
    def resident_bytes(self):
        """Memory of the process."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def cpu_seconds(self):
        """Processor time of the process until now."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _decode(line):
    try:
        value = json.loads(line)
    except ValueError:
        return {"text": line}
    return value if isinstance(value, dict) else {"text": line}

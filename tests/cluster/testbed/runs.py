"""SelectionRuns as a user handles them: applied, looked at, waited for."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed import binaries
from testbed.control_plane import ControlPlane
from testbed.waiting import wait_until

TERMINAL = ("Complete", "Failed", "Invalid")


@dataclass
class Runs:
    """The runs of a namespace."""

    cluster: ControlPlane
    namespace: str

    def apply(self, manifest, name):
        """Apply a manifest under a name."""
        document = {**manifest, "metadata": {**manifest["metadata"], "name": name}}
        self.cluster.apply(document, namespace=self.namespace)
        return name

    def get(self, name):
        return self.cluster.get("-n", self.namespace, "selectionrun", name)

    def status(self, name):
        """Return the status with its conditions by type."""
        status = self.get(name)["status"]
        return {**status, "conditions": {each["type"]: each for each in status.get("conditions", [])}}

    def wait_for_phase(self, name, phase, timeout=120.0):
        """Return the status of the phase; fail at once when the run ends in another."""

        def reached():
            status = self.status(name)
            ended = status.get("phase") in TERMINAL and status["phase"] != phase
            assert not ended, f"{name} is {status['phase']} instead of {phase}: {json.dumps(status, indent=1)}"
            return status if status.get("phase") == phase else None

        return self.wait_for(name, reached, f"{name} is {phase}", timeout)

    def wait_for_reason(self, name, reason, timeout=60.0):
        """Return the status in which Ready has the reason."""

        def reached():
            status = self.status(name)
            ready = status["conditions"].get("Ready")
            return status if ready and ready["reason"] == reason else None

        return self.wait_for(name, reached, f"{name} tells {reason}", timeout)

    def wait_for(self, name, reached, message, timeout):
        """Return the first truthy value of reached(); fail with what a person would look at."""
        try:
            return wait_until(reached, timeout, message)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe(name)}") from error

    def pods(self, name):
        """Return the run's pods, the oldest first."""
        pods = self.cluster.get("-n", self.namespace, "pods", "-l", f"dataselection.io/run={name}")["items"]
        return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def running_pods(self, name):
        """Return the names of the run's pods that have not ended."""
        phases = {pod["metadata"]["name"]: pod["status"]["phase"] for pod in self.pods(name)}
        return [pod for pod, phase in phases.items() if phase not in ("Succeeded", "Failed")]

    def jobs(self, name):
        return self.cluster.get("-n", self.namespace, "jobs", "-l", f"dataselection.io/run={name}")["items"]

    def evict(self, pod):
        """Evict a pod, as draining its node does."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.namespace}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.cluster.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(body))

    def delete(self, name):
        self.cluster.kubectl("-n", self.namespace, "delete", "selectionrun", name, "--wait=false")

    def logs(self, name):
        """Return the end of what the run's pods have printed."""
        selector = f"dataselection.io/run={name}"
        return self.cluster.kubectl("-n", self.namespace, "logs", "-l", selector, "--tail=40", check=False).stdout

    def describe(self, name):
        """Return what a person would look at."""
        shown = self.cluster.kubectl("-n", self.namespace, "get", "selectionrun", name, "-o", "yaml", check=False)
        pods = self.cluster.kubectl(
            "-n", self.namespace, "describe", "pods", "-l", f"dataselection.io/run={name}", check=False
        )
        return f"{shown.stdout}\n{pods.stdout}\n{self.logs(name)}"

    def set_suspended(self, name, suspended):
        patch = json.dumps({"spec": {"suspend": suspended}})
        self.cluster.kubectl("-n", self.namespace, "patch", "selectionrun", name, "--type=merge", "-p", patch)


class StatusRecorder:
    """Every state of a namespace's runs, as a watch delivers it."""

    def __init__(self, cluster, namespace, file):
        kubectl = binaries.find("kubernetes", "kubectl")
        command = [kubectl, "-n", namespace, "get", "selectionruns", "--watch", "--output-watch-events", "-o", "json"]
        self.file = Path(file)
        with self.file.open("wb") as output:
            environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
            self.popen = subprocess.Popen(command, env=environment, stdout=output)

    def statuses(self, name):
        """Return the statuses of a run so far, in order."""
        text, decoder, found = self.file.read_text().lstrip(), json.JSONDecoder(), []
        while text:
            try:
                event, end = decoder.raw_decode(text)
            except json.JSONDecodeError:  # the last one is still being written
                break
            text = text[end:].lstrip()
            run = event["object"]
            if run["metadata"]["name"] == name:
                found.append(run.get("status", {}))
        return found

    def stop(self):
        self.popen.kill()
        self.popen.wait()

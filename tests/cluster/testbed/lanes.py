"""A namespace with SelectionRuns, and how a test plays what happens to their pods and sees what becomes of them."""

import contextlib
import itertools
import re
import secrets

from testbed.merging import merge
from testbed.played_pods import PlayedPods, make_node
from testbed.rest import ApiError, rest_of
from testbed.waiting import wait_until

CONDITIONS = ["Accepted", "Suspended", "Complete", "Failed", "Ready", "Reconciling", "Stalled"]
COUNTS = {"input": 5000, "corrupt": 3, "duplicate": 41, "selected": 500, "removed": 4456}
_NAMES = itertools.count(1)


def make_run(name, changes=None, **metadata):
    """Return a manifest that is right, with changes to its spec laid over it (None removes a key)."""
    volume = {"type": "LOCAL", "persistentVolumeClaim": {"claimName": "data"}}
    spec = {
        "datasources": {
            "input": volume | {"resourcePath": "/data/input/"},
            "lightly": volume | {"resourcePath": "/data/"},
        },
        "workerConfig": {"stopping_condition": {"n_samples": 0.1}},
        "resources": {},
    }
    return {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": name, **metadata},
        "spec": merge(spec, changes or {}),
    }


def summary(exit_code=0, reason="Complete", message="500 of 5000 images selected.", stage="COMPLETED", **more):
    """Return a job's last word (RunSummary)."""
    return {"runId": "", "exitCode": exit_code, "reason": reason, "message": message, "stage": stage, **more}


def complete_summary(run):
    """Return the last word of a run that is done, with counts and outputs."""
    folder = f"/data/.lightly/runs/{job_name(run)}/"
    outputs = {"path": folder, "reportPdf": folder + "report.pdf", "reportJson": folder + "report.json"}
    return summary(runId=job_name(run), counts=COUNTS, outputs=outputs)


def job_name(run):
    """Return what a run's Job is called."""
    return f"{run['metadata']['name']}-{run['metadata']['uid'][:8]}"


def conditions_of(run):
    """Return status.conditions by type."""
    return {one["type"]: one for one in run.get("status", {}).get("conditions", [])}


def held(run):
    """Return the types of the conditions that are True."""
    return {name for name, one in conditions_of(run).items() if one["status"] == "True"}


def reason_of(run):
    """Return Ready's reason, the one that the printer column shows."""
    return conditions_of(run).get("Ready", {}).get("reason")


def message_of(run):
    """Return Ready's message."""
    return conditions_of(run).get("Ready", {}).get("message", "")


def check_kstatus(run):
    """Assert what holds of every status that has been written."""
    found, true = conditions_of(run), held(run)
    assert list(found) == CONDITIONS
    assert all(one["observedGeneration"] == run["status"]["observedGeneration"] for one in found.values())
    assert all(re.fullmatch(r"[A-Za-z]\w*", one["reason"]) for one in found.values())
    phase = run["status"]["phase"]
    assert not {"Reconciling", "Stalled"} <= true
    assert ("Complete" in true) == (phase == "Complete") == ("Ready" in true)
    assert ("Failed" in true) == (phase == "Failed")
    assert ("Stalled" in true) == (phase in ("Failed", "Invalid"))
    assert ("Accepted" in true) == (phase != "Invalid")
    assert ("Suspended" in true) == (phase in ("Suspended", "Queued"))


class Lane:
    """A namespace with a node of its own."""

    def __init__(self, plane, namespace):
        self.plane, self.namespace, self.rest = plane, namespace, rest_of(plane)
        self.node = f"node-{namespace}"
        make_node(self.rest, self.node)
        self.pods = PlayedPods(self.rest, namespace, self.node)

    def close(self):
        """Delete the namespace and its node, without waiting."""
        self.rest.delete("nodes", None, self.node)
        with contextlib.suppress(ApiError):
            self.rest.delete("namespaces", None, self.namespace)

    # -- runs ---------------------------------------------------------------------------------------------------

    def create(self, changes=None, *, name=None, **metadata):
        """Create a run (by default under a name of its own) and return it."""
        name = name or f"run-{next(_NAMES)}-{secrets.token_hex(2)}"
        return self.rest.create("selectionruns", self.namespace, make_run(name, changes, **metadata))

    def edit(self, run, spec):
        """Change a run's spec (merge patch) and return the run."""
        return self.rest.patch("selectionruns", self.namespace, run["metadata"]["name"], {"spec": spec})

    def read(self, run):
        """Return the run as it is now, or None."""
        return self.rest.get("selectionruns", self.namespace, run["metadata"]["name"])

    def delete(self, run):
        """Delete a run."""
        self.rest.delete("selectionruns", self.namespace, run["metadata"]["name"])

    def wait_for(self, run, reason=None, phase=None, timeout=20, holds=lambda run: True):
        """Return the run once its status, about its present spec, shows this reason and phase."""
        seen = []

        def look():
            seen.append(self.read(run))
            return seen[-1] if _shows(seen[-1], reason, phase) and holds(seen[-1]) else None

        try:
            found = wait_until(look, timeout)
        except AssertionError:
            status = seen[-1] and seen[-1].get("status")
            raise AssertionError(f"no reason {reason}, phase {phase} within {timeout} s: {status}") from None
        check_kstatus(found)
        return found

    # -- what belongs to a run ----------------------------------------------------------------------------------

    def jobs_of(self, run):
        """Return the Jobs that the run owns."""
        selector = f"dataselection.io/run={run['metadata']['name']}"
        jobs = self.rest.list("jobs", self.namespace, labelSelector=selector)
        return [one for one in jobs if _is_owner(run, one)]

    def job_of(self, run, timeout=20):
        """Return the run's Job once it is there."""
        (job,) = wait_until(lambda: self.jobs_of(run), timeout, f"the Job of {run['metadata']['name']}")
        return job

    def pods_of(self, run):
        """Return the run's pods, oldest first."""
        selector = f"dataselection.io/run-uid={run['metadata']['uid']}"
        pods = self.rest.list("pods", self.namespace, labelSelector=selector)
        return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pod_of(self, run, timeout=20, besides=()):
        """Return the run's pod that has not ended, once it is there; `besides` are pods of earlier attempts."""
        known = {pod["metadata"]["uid"] for pod in besides}

        def look():
            return [pod for pod in self.pods_of(run) if pod["metadata"]["uid"] not in known and is_alive(pod)]

        return wait_until(look, timeout, f"a pod of {run['metadata']['name']}")[0]

    def let_go(self, run):
        """Let go of the run's pods that are being deleted, as the kubelet does; returns their names."""
        pods = [pod for pod in self.pods_of(run) if "deletionTimestamp" in pod["metadata"]]
        for pod in pods:
            if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                with contextlib.suppress(ApiError):  # gone meanwhile
                    self.pods.end(pod, 143)
            self.pods.finish_deletion(pod)
        return [pod["metadata"]["name"] for pod in pods]

    def has_no_pods(self, run):
        """Let go of the run's pods that are being deleted, and say whether none is left."""
        return not self.let_go(run) and not self.pods_of(run)

    def events_of(self, run):
        """Return the Events about the run, oldest first."""
        uid = run["metadata"]["uid"]
        events = self.rest.list("events", self.namespace, fieldSelector=f"involvedObject.uid={uid}")
        return sorted(events, key=lambda event: int(event["metadata"]["resourceVersion"]))

    def wait_for_event(self, run, reason, timeout=10):
        """Return the Events of a reason about the run, once there is one."""
        return wait_until(
            lambda: [event for event in self.events_of(run) if event["reason"] == reason],
            timeout,
            f"an Event {reason} of {run['metadata']['name']}",
        )

    # -- a whole life -------------------------------------------------------------------------------------------

    def start(self, changes=None, address="127.0.0.1", **options):
        """Create a run and let its pod run; returns run and pod."""
        run = self.create(changes, **options)
        pod = self.pod_of(run)
        self.pods.run(pod, address)
        return self.wait_for(run, "Running"), pod

    def finish(self, run, pod, timeout=20):
        """Let the pod end well and return the run when it is Complete."""
        self.pods.end(pod, 0, complete_summary(run))
        return self.wait_for(run, "Complete", timeout=timeout)

    def fail_pod(self, run, besides=(), exit_code=1, last_word="", reason=None, timeout=60):
        """Let the run's present pod run and fail; returns the pod."""
        pod = self.pod_of(run, timeout, besides)
        self.pods.run(pod)
        self.pods.end(pod, exit_code, last_word, reason)
        return pod


def is_alive(pod):
    """Say whether a pod waits or runs and nobody has asked it to end."""
    return "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") in ("Pending", "Running")


def _is_owner(run, job):
    return any(owner["uid"] == run["metadata"]["uid"] for owner in job["metadata"].get("ownerReferences", []))


def _shows(run, reason, phase):
    if run is None or run.get("status", {}).get("observedGeneration") != run["metadata"]["generation"]:
        return False
    return (reason is None or reason_of(run) == reason) and (phase is None or run["status"].get("phase") == phase)

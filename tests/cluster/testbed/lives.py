"""Whole lives of runs: what the world does to a run, and the end state that must follow whatever happens on the way."""

import json
import re
from dataclasses import dataclass

from testbed.lanes import complete_summary, job_name, message_of, summary
from testbed.waiting import wait_until

PATIENCE = 90.0
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
STATUS, JOB, PATCH_JOB, DELETE = "PUT selectionruns/status", "POST jobs", "PATCH jobs", "DELETE selectionruns"


@dataclass(frozen=True)
class Life:
    """A story and the writes that the operator makes in it."""

    play: object
    writes: tuple[str, ...]


def _begin(lane, name, changes=None):
    run = lane.create(changes, name=name)
    pod = lane.pod_of(run, timeout=PATIENCE)
    lane.pods.run(pod)
    return lane.wait_for(run, "Running", "Running", timeout=PATIENCE), pod


def play_complete(lane, name):
    """From its creation to Complete."""
    run, pod = _begin(lane, name)
    return lane.finish(run, pod, PATIENCE)


def play_failed(lane, name):
    """From its creation to Failed, because the data can't be used."""
    run, pod = _begin(lane, name)
    lane.pods.end(pod, 3, summary(3, "UnusableData", "There is no image in /data/input/.", "LOADING_DATASET"))
    return lane.wait_for(run, "UnusableData", "Failed", timeout=PATIENCE)


def play_suspended(lane, name):
    """Suspended while it runs, resumed, and Complete."""
    run, first = _begin(lane, name)
    lane.edit(run, {"suspend": True})
    lane.wait_for(run, "SuspendedByUser", "Suspended", timeout=PATIENCE)
    wait_until(lambda: lane.job_of(run)["spec"].get("suspend"), PATIENCE, "the Job is suspended")
    wait_until(lambda: lane.has_no_pods(run), PATIENCE, "the pod is gone")
    lane.edit(run, {"suspend": False})
    pod = lane.pod_of(run, PATIENCE, besides=[first])
    lane.wait_for(run, "Pending", "Pending", timeout=PATIENCE)
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running", timeout=PATIENCE)
    return lane.finish(run, pod, PATIENCE)


def play_disrupted(lane, name):
    """Ended by the operator itself: disrupted for the tenth time."""
    run, pod = _begin(lane, name)
    counted = {"count": 9, "stage": "EMBEDDING", "lastPod": "0", "lastPodCreated": "2026-01-01T00:00:00Z"}
    lane.rest.patch("selectionruns", lane.namespace, name, {"status": {"disruptions": counted}}, "status")
    lane.wait_for(run, "Running", timeout=PATIENCE, holds=lambda run: "taken away 9 times" in message_of(run))
    lane.pods.disrupt(pod, last_word=summary(1, "Unexpected", "ended without a last word", "EMBEDDING"))
    found = lane.wait_for(run, "Disrupted", "Failed", timeout=PATIENCE)
    wait_until(lambda: _has_failed(lane.job_of(run)), PATIENCE, "the Job is ended")
    return found


def play_ttl(lane, name):
    """Complete, and deleted when its time is over."""
    run, pod = _begin(lane, name, {"ttlSecondsAfterFinished": 0})
    lane.pods.end(pod, 0, complete_summary(run))
    wait_until(lambda: lane.read(run) is None, PATIENCE, "the run is deleted")
    wait_until(lambda: not lane.jobs_of(run), PATIENCE, "its Job is gone")
    wait_until(lambda: lane.has_no_pods(run), PATIENCE, "its pod is gone")
    return run


START = (STATUS, JOB, STATUS)
SUSPENSION = (STATUS, PATCH_JOB, STATUS)
"""The new generation is observed, the Job is patched, what came of it is told."""
LIVES = {
    "complete": Life(play_complete, (*START, STATUS)),
    "failed": Life(play_failed, (*START, STATUS)),
    "suspended": Life(play_suspended, (*START, *SUSPENSION, *SUSPENSION, STATUS)),
    "disrupted": Life(play_disrupted, (*START, STATUS, STATUS, PATCH_JOB)),
    "ttl": Life(play_ttl, (*START, STATUS, DELETE)),
}


def end_state(lane, run):
    """Return run, Jobs and pods as they are, without what differs from one time to the next."""
    found = lane.read(run)
    state = {
        "status": found and found["status"],
        "spec": found and found["spec"],
        "jobs": [_job_state(job) for job in lane.jobs_of(run)],
        "pods": [pod["status"]["phase"] for pod in lane.pods_of(run)],
    }
    text = json.dumps(state, sort_keys=True)
    if found and "operator" in found["status"]:  # its name is made of the namespaces that it serves
        text = text.replace(json.dumps(found["status"]["operator"]), '"OPERATOR"')
    text = text.replace(job_name(run), "JOB").replace(run["metadata"]["name"], "RUN").replace(lane.namespace, "SPACE")
    return json.loads(UUID.sub("UID", TIME.sub("TIME", DIGEST.sub("DIGEST", text))))


def _job_state(job):
    status, metadata = job["status"], job["metadata"]
    kept = {key: metadata.get(key) for key in ("labels", "annotations", "ownerReferences")}
    conditions = sorted(one["type"] for one in status.get("conditions", []) if one["status"] == "True")
    return {"spec": job["spec"], "conditions": conditions, "succeeded": status.get("succeeded"), **kept}


def _has_failed(job):
    return any(one["type"] == "Failed" and one["status"] == "True" for one in job["status"].get("conditions", []))

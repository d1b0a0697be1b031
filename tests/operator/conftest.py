"""Shared ground of the operator's pure tests: raw objects as the API server sends them, and a standing clock."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from selection_operator.runs.observation import Observed
from selection_operator.settings import Settings
from selection_operator.views.jobs import view_job
from selection_operator.views.pods import view_event, view_pod
from selection_operator.views.runs import view_run

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
UID = "1f2e3d4c-aaaa-bbbb-cccc-000000000000"
JOB_UID = "99999999-aaaa-bbbb-cccc-000000000000"
LOCAL = {
    "input": {"type": "LOCAL", "resourcePath": "/data/input", "persistentVolumeClaim": {"claimName": "data"}},
    "lightly": {"type": "LOCAL", "resourcePath": "/data", "persistentVolumeClaim": {"claimName": "data"}},
}


def ago(seconds):
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def raw_run(spec=None, *, status=None, generation=1, labels=None, version="5", **metadata):
    return {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {
            "name": "dashcam",
            "namespace": "team",
            "uid": UID,
            "generation": generation,
            "resourceVersion": version,
            "creationTimestamp": ago(60),
            "labels": labels or {},
            **metadata,
        },
        "spec": {
            "datasources": LOCAL,
            "workerConfig": {"stopping_condition": {"n_samples": 5}},
            "resources": {},
            **(spec or {}),
        },
        "status": status or {"observedGeneration": -1},
    }


def raw_job(*, created=30, labels=None, annotations=None, conditions=(), uid=JOB_UID, owner=UID, version="7", **spec):
    return {
        "metadata": {
            "name": "dashcam-1f2e3d4c",
            "namespace": "team",
            "uid": uid,
            "resourceVersion": version,
            "creationTimestamp": ago(created),
            "labels": {"dataselection.io/run": "dashcam", "dataselection.io/run-uid": owner, **(labels or {})},
            "annotations": annotations or {},
            "ownerReferences": [{"kind": "SelectionRun", "uid": owner, "controller": True}],
        },
        "spec": {"backoffLimit": 3, **spec},
        "status": {"conditions": list(conditions)},
    }


def raw_pod(
    name="one", *, phase="Pending", created=20, state=None, conditions=(), deleting=False, address="", **status
):
    metadata = {
        "name": name,
        "namespace": "team",
        "uid": f"pod-{name}",
        "resourceVersion": "9",
        "creationTimestamp": ago(created),
        "labels": {"dataselection.io/run": "dashcam"},
        "ownerReferences": [{"kind": "Job", "uid": JOB_UID, "controller": True}],
    }
    if deleting:
        metadata["deletionTimestamp"] = ago(1)
    containers = [{"name": "selection-job", "state": state}] if state else []
    return {
        "metadata": metadata,
        "status": {
            "phase": phase,
            "podIP": "",
            "conditions": list(conditions),
            "containerStatuses": containers,
            **status,
        },
    }


def running(created=20, **kw):
    return raw_pod(phase="Running", created=created, state={"running": {"startedAt": ago(created - 1)}}, **kw)


def ended(exit_code, name="one", *, created=20, finished=10, reason="Error", word=None, **kw):
    message = json.dumps(word) if isinstance(word, dict) else word or ""
    terminated = {
        "exitCode": exit_code, "reason": reason, "message": message,
        "startedAt": ago(created - 1), "finishedAt": ago(finished),
    }  # fmt: skip
    phase = "Failed" if exit_code else "Succeeded"
    return raw_pod(name, phase=phase, created=created, state={"terminated": terminated}, **kw)


def condition(kind, status="True", reason="", message="", at=0):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(at)}


def word(stage, **more):
    return {"exitCode": 1, "reason": "Unexpected", "message": "ended without a last word", "stage": stage, **more}


def event(reason, message, seconds_ago=1):
    return view_event({"metadata": {}, "reason": reason, "message": message, "lastTimestamp": ago(seconds_ago)})


def observed(job=None, pods=(), **more):
    return Observed(now=NOW, job=view_job(job) if job else None, pods=[view_pod(pod) for pod in pods], **more)


@pytest.fixture(scope="session")
def play():
    """The builders above, for tests."""
    return SimpleNamespace(
        NOW=NOW, UID=UID, JOB_UID=JOB_UID, LOCAL=LOCAL, ago=ago, raw_run=raw_run, raw_job=raw_job, raw_pod=raw_pod,
        running=running, ended=ended, condition=condition, word=word, event=event, observed=observed,
        run=lambda *a, **kw: view_run(raw_run(*a, **kw)), job=lambda **kw: view_job(raw_job(**kw)),
        pod=view_pod,
    )  # fmt: skip


@pytest.fixture(scope="session")
def settings():
    return Settings(job_image="example.org/selection-job:1")

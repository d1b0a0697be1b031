"""Kubernetes Events about a run: one on each change of its present reason."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from selection_api.names import API_VERSION, KIND, OPERATOR_NAME, ConditionType, Reason
from selection_operator.runs.status import write_time
from selection_operator.views.runs import RunView

NORMAL = {Reason.PENDING, Reason.QUEUED, Reason.SUSPENDED_BY_USER, Reason.RUNNING, Reason.COMPLETE}
LONGEST_MESSAGE = 1024  # the API server's limit


def make_event(run: RunView, before: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """Return the Event for a status just written; None when the reason is the one before.

    Its name depends on the run and the status's version, so two operators at once record one Event.
    """
    reason, message = _present(run.status)
    if reason == _present(before)[0]:
        return None
    _, namespace, name = run.key
    time = write_time(now)
    digest = sha256(f"{run.uid}/{run.resource_version}".encode()).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{digest[:16]}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": namespace,
            "name": name,
            "uid": run.uid,
            "resourceVersion": run.resource_version,
        },
        "reason": reason,
        "message": message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 2]} …",
        "type": "Normal" if reason in NORMAL else "Warning",
        "source": {"component": OPERATOR_NAME},
        "reportingComponent": OPERATOR_NAME,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


def _present(status: Mapping[str, Any]) -> tuple[str, str]:
    for condition in status.get("conditions", []):
        if condition["type"] == ConditionType.READY:
            return str(condition["reason"]), str(condition["message"])
    return "", ""

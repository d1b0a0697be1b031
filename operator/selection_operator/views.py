"""Views: what the operator keeps of runs, Jobs, Pods, Events and Workloads; small, frozen, read from raw objects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from selection_api.names import ANNOTATION_SUSPENDED_BY, KIND, LABEL_QUEUE, LABEL_RUN, OPERATOR_NAME
from selection_operator.manifests import CONTAINER

Raw = Mapping[str, Any]
RunKey = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class RunView:
    """A SelectionRun as the API server holds it."""

    key: RunKey
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    document: Raw
    """apiVersion, kind, metadata (name, namespace, uid, labels), spec."""
    status: Raw

    def is_true(self, condition: str) -> bool:
        """Say whether the status holds a condition of this type with status True."""
        return any(each["type"] == condition and each["status"] == "True" for each in self.status.get("conditions", []))

    @property
    def suspend(self) -> bool:
        """Whether the user wants the run to wait."""
        return bool(self.document["spec"].get("suspend"))


@dataclass(frozen=True)
class JobEnd:
    """The condition that ended a Job."""

    complete: bool
    reason: str
    message: str
    time: str


@dataclass(frozen=True)
class JobView:
    """A Job of ours."""

    name: str
    uid: str
    run: RunKey
    owner_uid: str
    resource_version: str
    created: datetime
    deleting: bool
    suspended: bool
    suspended_by_us: bool
    queue: str
    deadline_seconds: int | None
    backoff_limit: int
    end: JobEnd | None


@dataclass(frozen=True)
class Termination:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    time: str


@dataclass(frozen=True)
class PodView:
    """A Pod of one of our Jobs."""

    name: str
    uid: str
    run: RunKey
    job_uid: str
    resource_version: str
    created: str
    phase: str
    address: str
    deleting: bool
    disrupted: str
    """Why it was taken away (the words of its DisruptionTarget condition); '' when it was not."""
    unschedulable: str
    """Why no node takes it; '' when one has."""
    waiting_reason: str
    waiting_message: str
    started: str
    evicted: str
    """The kubelet's words for a pod that it ended itself; '' otherwise."""
    end: Termination | None

    @property
    def is_running(self) -> bool:
        """Whether its container runs."""
        return self.phase == "Running" and self.end is None and bool(self.started)

    @property
    def is_over(self) -> bool:
        """Whether it will never run again."""
        return self.phase in ("Succeeded", "Failed") or self.end is not None


@dataclass(frozen=True)
class EventView:
    """A Kubernetes Event about a Job or a Pod."""

    reason: str
    message: str
    time: str


@dataclass(frozen=True)
class WorkloadView:
    """Kueue's Workload of a Job."""

    path: str
    """Where it lies at the API server, in the version that the installed Kueue prefers."""
    active: bool
    deactivated_by_us: bool
    message: str


def view_run(raw: Raw) -> RunView:
    """Return the view of a SelectionRun."""
    metadata = raw["metadata"]
    kept = ("name", "namespace", "uid", "labels")  # annotations often hold a second copy of the spec
    document = {
        "apiVersion": raw["apiVersion"],
        "kind": KIND,
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": raw.get("spec") or {},
    }
    return RunView(
        key=(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        document=document,
        status=raw.get("status") or {},
    )


def view_job(raw: Raw) -> JobView:
    """Return the view of a Job that carries our labels."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        run=(metadata["namespace"], metadata.get("labels", {}).get(LABEL_RUN, "")),
        owner_uid=_controller_of(metadata),
        resource_version=metadata["resourceVersion"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        suspended=bool(spec.get("suspend")),
        suspended_by_us=metadata.get("annotations", {}).get(ANNOTATION_SUSPENDED_BY) == OPERATOR_NAME,
        queue=metadata.get("labels", {}).get(LABEL_QUEUE, ""),
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        backoff_limit=spec.get("backoffLimit", 6),
        end=_job_end(status.get("conditions") or []),
    )


def view_pod(raw: Raw) -> PodView:
    """Return the view of a Pod that carries our labels."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    conditions = status.get("conditions") or []
    containers: list[Raw] = status.get("containerStatuses") or []
    container = next((each for each in containers if each["name"] == CONTAINER), {})
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        run=(metadata["namespace"], metadata.get("labels", {}).get(LABEL_RUN, "")),
        job_uid=_controller_of(metadata),
        resource_version=metadata["resourceVersion"],
        created=metadata["creationTimestamp"],
        phase=status.get("phase", "Pending"),
        address=status.get("podIP", ""),
        deleting="deletionTimestamp" in metadata,
        disrupted=_words_of(conditions, "DisruptionTarget", "True"),
        unschedulable=_words_of(conditions, "PodScheduled", "False"),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        started=(state.get("running") or state.get("terminated") or {}).get("startedAt") or "",
        evicted=status.get("message", "") if status.get("reason") else "",
        end=_termination(state.get("terminated")),
    )


def view_event(raw: Raw) -> EventView:
    """Return the view of an Event; repeated ones carry the time of the last."""
    time = raw.get("lastTimestamp") or raw.get("eventTime") or raw["metadata"].get("creationTimestamp") or ""
    return EventView(raw.get("reason") or "", raw.get("message") or "", time)


def view_workload(path: str, raw: Raw) -> WorkloadView:
    """Return the view of a Workload."""
    metadata, conditions = raw["metadata"], (raw.get("status") or {}).get("conditions") or []
    return WorkloadView(
        path=path,
        active=raw.get("spec", {}).get("active", True),
        deactivated_by_us=metadata.get("annotations", {}).get(ANNOTATION_SUSPENDED_BY) == OPERATOR_NAME,
        message=_words_of(conditions, "QuotaReserved", "False"),
    )


def _controller_of(metadata: Raw) -> str:
    """Return the uid of the owner that controls the object; '' without one."""
    return next((str(owner["uid"]) for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), "")


def _words_of(conditions: Iterable[Raw], kind: str, status: str) -> str:
    """Return the message of a condition with this status, or its reason; '' when there is none."""
    for condition in conditions:
        if condition.get("type") == kind and condition.get("status") == status:
            return str(condition.get("message") or condition.get("reason") or kind)
    return ""


def _job_end(conditions: Iterable[Raw]) -> JobEnd | None:
    """Return the terminal condition. FailureTarget and SuccessCriteriaMet come before it, while pods still end."""
    for condition in conditions:
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return JobEnd(
                complete=condition["type"] == "Complete",
                reason=condition.get("reason", ""),
                message=condition.get("message", ""),
                time=condition.get("lastTransitionTime", ""),
            )
    return None


def _termination(terminated: Raw | None) -> Termination | None:
    if not terminated:
        return None
    return Termination(
        exit_code=int(terminated.get("exitCode", 0)),
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
        time=terminated.get("finishedAt") or "",
    )

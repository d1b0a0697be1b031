"""A Job as the operator keeps it, and Kueue's Workload of one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from selection_api.names import ANNOTATION_SUSPENDED_BY, LABEL_QUEUE, LABEL_RUN, OPERATOR_NAME
from selection_operator.views.custom_objects import Key
from selection_operator.views.raw import Raw, controller_of, words_of
from selection_operator.views.runs import RUN


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
    owner: Key
    """The run that its labels name."""
    owner_uid: str
    """The object that controls it: perhaps a former run of that name."""
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
class WorkloadView:
    """Kueue's Workload of a Job."""

    namespace: str
    name: str
    active: bool
    deactivated_by_us: bool
    message: str


def view_job(raw: Raw) -> JobView:
    """Return the view of a Job that carries our labels."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        owner=Key(RUN, metadata["namespace"], metadata.get("labels", {}).get(LABEL_RUN, "")),
        owner_uid=controller_of(metadata),
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


def view_workload(raw: Raw) -> WorkloadView:
    """Return the view of a Workload."""
    metadata, conditions = raw["metadata"], (raw.get("status") or {}).get("conditions") or []
    return WorkloadView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        active=raw.get("spec", {}).get("active", True),
        deactivated_by_us=metadata.get("annotations", {}).get(ANNOTATION_SUSPENDED_BY) == OPERATOR_NAME,
        message=words_of(conditions, "QuotaReserved", "False"),
    )


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

"""A Pod as the operator keeps it, and an Event about a Pod or a Job."""

from dataclasses import dataclass

from selection_api.names import JOB_CONTAINER, LABEL_RUN
from selection_operator.views.custom_objects import Key
from selection_operator.views.raw import Raw, controller_of, words_of
from selection_operator.views.runs import RUN

COMBINED = "(combined from similar events): "
"""What client-go puts before the message of the last of many Events that are alike."""


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
    owner: Key
    """The run that its labels name."""
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


def view_pod(raw: Raw) -> PodView:
    """Return the view of a Pod that carries our labels."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    conditions = status.get("conditions") or []
    containers: list[Raw] = status.get("containerStatuses") or []
    container = next((each for each in containers if each["name"] == JOB_CONTAINER), {})
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        owner=Key(RUN, metadata["namespace"], metadata.get("labels", {}).get(LABEL_RUN, "")),
        job_uid=controller_of(metadata),
        resource_version=metadata["resourceVersion"],
        created=metadata["creationTimestamp"],
        phase=status.get("phase", "Pending"),
        address=status.get("podIP", ""),
        deleting="deletionTimestamp" in metadata,
        disrupted=words_of(conditions, "DisruptionTarget", "True"),
        unschedulable=words_of(conditions, "PodScheduled", "False"),
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        started=(state.get("running") or state.get("terminated") or {}).get("startedAt") or "",
        evicted=status.get("message", "") if status.get("reason") else "",
        end=_termination(state.get("terminated")),
    )


def view_event(raw: Raw) -> EventView:
    """Return the view of an Event; repeated ones carry the time of the last."""
    time = raw.get("lastTimestamp") or raw.get("eventTime") or raw["metadata"].get("creationTimestamp") or ""
    return EventView(raw.get("reason") or "", (raw.get("message") or "").removeprefix(COMBINED), time)


def _termination(terminated: Raw | None) -> Termination | None:
    if not terminated:
        return None
    return Termination(
        exit_code=int(terminated.get("exitCode", 0)),
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
        time=terminated.get("finishedAt") or "",
    )

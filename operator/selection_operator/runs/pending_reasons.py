"""Why a run waits: from its Job, the newest pod and the Events about them to a reason and the cluster's own words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from selection_api.names import NEVER_RETRIED, ExitCode, Reason
from selection_operator.views.jobs import JobView
from selection_operator.views.pods import EventView, PodView

PATIENCE_SECONDS = 2.0
"""After this long without a pod, or with one that doesn't start, Events are read."""

IMAGE_TROUBLE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
IMAGE_TROUBLE |= {"ImageInspectError", "SignatureValidationFailed"}
NORMAL_WAITS = {"", "ContainerCreating", "PodInitializing"}
VOLUME_EVENTS = {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}
LONGEST_QUOTE = 2048
FINAL_EXIT_CODES = {ExitCode.DONE, *NEVER_RETRIED}
"""After these no other attempt follows."""


@dataclass(frozen=True)
class Wait:
    """Why it doesn't run yet."""

    reason: Reason
    message: str


def seconds_since(moment: str | datetime, now: datetime) -> float:
    """Return how long ago an API server's time was."""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (now - then).total_seconds()


def why_no_pod(events: Iterable[EventView], *, since: str = "") -> Wait:
    """Return why the Job has no pod, from the Job's Events after `since`: a quota and admission speak only there."""
    for event in sorted(events, key=lambda event: event.time, reverse=True):
        if event.reason == "FailedCreate" and event.time >= since:
            words = _quote(event.message)
            if "exceeded quota" in event.message:
                return Wait(Reason.QUOTA_EXCEEDED, f"A ResourceQuota of the namespace leaves no room: {words}")
            return Wait(Reason.POD_REFUSED, f"The API server refuses the Job's pod: {words}")
    return Wait(Reason.PENDING, "Waiting for the pod to start.")


def why_not_running(pod: PodView, events: Iterable[EventView]) -> Wait:
    """Return why a pod that exists doesn't run: the scheduler's, the kubelet's words."""
    if pod.unschedulable:
        return Wait(Reason.UNSCHEDULABLE, f"No node takes the pod: {_quote(pod.unschedulable)}")
    if pod.waiting_reason in IMAGE_TROUBLE:
        words = _quote(f"{pod.waiting_reason}: {pod.waiting_message}")
        return Wait(Reason.IMAGE_PULL_BACK_OFF, f"The image can't be had: {words}")
    if pod.waiting_reason not in NORMAL_WAITS:
        return _why_not_started(pod)
    return _why_no_volume(events) or Wait(Reason.PENDING, "Waiting for the pod to start.")


def _why_not_started(pod: PodView) -> Wait:
    words = _quote(f"{pod.waiting_reason}: {pod.waiting_message}")
    if pod.waiting_reason == "CreateContainerConfigError" and "secret" in pod.waiting_message.lower():
        return Wait(Reason.MISSING_SECRET, f"A Secret that the pod needs is missing: {words}")
    return Wait(Reason.CONTAINER_NOT_STARTED, f"The container can't be started: {words}")


def _why_no_volume(events: Iterable[EventView]) -> Wait | None:
    for event in sorted(events, key=lambda event: event.time, reverse=True):
        if event.reason in VOLUME_EVENTS:
            words = _quote(event.message)
            if "secret" in event.message and "not found" in event.message:
                return Wait(Reason.MISSING_SECRET, f"A Secret that the pod needs is missing: {words}")
            return Wait(Reason.VOLUME_NOT_MOUNTED, f"A volume can't be mounted: {words}")
    return None


def needs_events(job: JobView | None, pods: Sequence[PodView], now: datetime) -> tuple[str, str] | None:
    """Return kind and name of the object whose Events must be read; None when status alone tells.

    Only a Job without a live pod and a pod that waits without a reason, each for over two seconds, are asked about.
    """
    if job is None or job.end is not None or job.suspended:
        return None
    pod = newest_live(pods)
    if pod is None:
        waited = seconds_since(newest_creation(pods) or job.created, now)
        return ("Job", job.name) if waited > PATIENCE_SECONDS else None
    silent = not pod.is_running and not pod.unschedulable and pod.waiting_reason in NORMAL_WAITS
    return ("Pod", pod.name) if silent and seconds_since(pod.created, now) > PATIENCE_SECONDS else None


def newest_live(pods: Iterable[PodView]) -> PodView | None:
    """Return the newest pod that may still run; None when there is none."""
    live = [pod for pod in pods if not pod.is_over and not pod.deleting]
    return max(live, key=lambda pod: (pod.created, pod.name), default=None)


def has_just_ended(pods: Sequence[PodView], now: datetime) -> bool:
    """Say whether the newest pod ended a moment ago, or for good, so that the Job controller's word is awaited."""
    newest = max(pods, key=lambda pod: (pod.created, pod.name), default=None)
    if newest is None or newest.end is None or newest.deleting or newest.disrupted:
        return False
    is_final = newest.end.exit_code in FINAL_EXIT_CODES
    return is_final or not newest.end.time or seconds_since(newest.end.time, now) <= PATIENCE_SECONDS


def newest_creation(pods: Iterable[PodView]) -> str:
    """Return when the newest pod was made; '' without pods."""
    return max((pod.created for pod in pods), default="")


def _quote(words: str) -> str:
    text = " ".join(words.split())
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} […]"

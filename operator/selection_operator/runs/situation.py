"""The situation of a run: one phase, one reason, one sentence; from what was observed, pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from selection_api.names import Phase, Reason
from selection_api.status import Disruptions, Failure
from selection_operator.kind import CreateFailure
from selection_operator.runs.disruptions import MOST_DISRUPTIONS
from selection_operator.runs.failures import failed_pods, failure_of_job, failure_of_pod, out_of_memory_twice
from selection_operator.runs.observation import Observed
from selection_operator.runs.pending_reasons import (
    has_just_ended,
    newest_creation,
    newest_live,
    why_no_pod,
    why_not_running,
)
from selection_operator.views.jobs import JobView
from selection_operator.views.pods import PodView
from selection_operator.views.runs import RunView


@dataclass(frozen=True)
class Situation:
    """What a run is in."""

    phase: Phase
    reason: Reason
    message: str
    failure: Failure | None = None
    suspend_hindrance: str = ""
    """Why spec.suspend can't be followed; '' where it can."""


def situation_of(run: RunView, observed: Observed, disruptions: Disruptions | None) -> Situation:
    """Return the situation of a valid run that has not ended before."""
    job = observed.job
    if job is None:
        return _without_job(run, observed.create_failure)
    if job.end is not None and job.end.complete:
        return Situation(Phase.COMPLETE, Reason.COMPLETE, "The images are selected.")
    failure = _failure(job, observed.pods, disruptions)
    if failure is not None:
        return Situation(Phase.FAILED, Reason(failure.reason), failure.message, failure)
    if job.suspended or (run.suspend and observed.workload is not None and not observed.workload.active):
        return _suspended(run, job, observed)
    return _active(run, job, observed, disruptions)


def _without_job(run: RunView, create_failure: CreateFailure | None) -> Situation:
    if run.suspend:
        return Situation(Phase.SUSPENDED, Reason.SUSPENDED_BY_USER, "spec.suspend is true: the run has not started.")
    if create_failure is None:
        return Situation(Phase.PENDING, Reason.PENDING, "Waiting for the pod to start.")
    if create_failure.status == 403:
        message = f"The API server forbids the operator to make the Job: {create_failure.message}"
        return Situation(Phase.PENDING, Reason.FORBIDDEN, message)
    return Situation(Phase.PENDING, Reason.PENDING, f"The Job could not be made yet: {create_failure.message}")


def _failure(job: JobView, pods: Sequence[PodView], disruptions: Disruptions | None) -> Failure | None:
    """Return why the run has failed, by the Job's word or by ours; None while it may still succeed."""
    twice = out_of_memory_twice(pods)
    if twice is not None:
        return twice
    if job.end is not None:
        return failure_of_job(job, pods)
    if disruptions is not None and disruptions.count >= MOST_DISRUPTIONS:
        message = (
            f"Its pods were taken away {disruptions.count} times and the run got no further than stage "
            f"{disruptions.stage}. Give it a higher priorityClassName, or nodes that are not reclaimed."
        )
        return Failure(reason=Reason.DISRUPTED, message=message)
    return None


def _suspended(run: RunView, job: JobView, observed: Observed) -> Situation:
    if run.suspend:
        message = "spec.suspend is true. Finished stages are kept; the run goes on from there when it is false again."
        return Situation(Phase.SUSPENDED, Reason.SUSPENDED_BY_USER, message)
    if job.suspended_by_us:
        return Situation(Phase.PENDING, Reason.PENDING, "Waiting for the pod to start.")
    words = f" {observed.workload.message}" if observed.workload and observed.workload.message else ""
    if job.queue:
        return Situation(Phase.QUEUED, Reason.QUEUED, f"Waiting for queue {job.queue} to admit the run.{words}")
    message = "The Job is suspended, and not by the operator: whoever did it, such as Kueue, must let it go on."
    return Situation(Phase.QUEUED, Reason.QUEUED, message)


def _active(run: RunView, job: JobView, observed: Observed, disruptions: Disruptions | None) -> Situation:
    hindrance = _hindrance(run, job, observed)
    pod = newest_live(observed.pods)
    last = _last_attempt(job, observed.pods, disruptions, observed.now)
    if (pod is not None and pod.is_running) or (pod is None and _still_runs(observed)):
        waiting = f" It waits for {observed.live.waiting}." if observed.live and observed.live.waiting else ""
        message = f"The pod runs.{waiting}{last}"
        return Situation(Phase.RUNNING, Reason.RUNNING, message, suspend_hindrance=hindrance)
    if pod is None:
        wait = why_no_pod(observed.events, since=newest_creation(observed.pods))
    else:
        wait = why_not_running(pod, observed.events)
    if last and wait.reason == Reason.PENDING:
        message = f"The run is tried again.{last}{_why_taken_away(observed.pods)}"
        return Situation(Phase.PENDING, Reason.RETRYING, message, suspend_hindrance=hindrance)
    return Situation(Phase.PENDING, wait.reason, f"{wait.message}{last}", suspend_hindrance=hindrance)


def _still_runs(observed: Observed) -> bool:
    """Say whether the last pod is in its grace period, or ended so recently that the Job controller's word is due."""
    ending = any(pod.is_running and pod.deleting for pod in observed.pods)
    return ending or has_just_ended(observed.pods, observed.now)


def _last_attempt(job: JobView, pods: Sequence[PodView], disruptions: Disruptions | None, now: datetime) -> str:
    """Return a sentence about the attempts before this one; '' when it is the first."""
    failed = [pod for pod in failed_pods(pods) if not has_just_ended([pod], now)]
    count = disruptions.count if disruptions else 0
    words = f" Its pods were taken away {'once' if count == 1 else f'{count} times'}." if count else ""
    if failed:
        failure = failure_of_pod(failed[-1])
        words += f" Attempt {len(failed)} of {job.backoff_limit + 1} ended with {failure.reason}: {failure.message}"
    return words


def _why_taken_away(pods: Sequence[PodView]) -> str:
    """Return the cluster's words about the newest pod, where that was disrupted; '' otherwise."""
    newest = max(pods, key=lambda pod: (pod.created, pod.name), default=None)
    return f" The last time: {newest.disrupted}" if newest is not None and newest.disrupted else ""


def _hindrance(run: RunView, job: JobView, observed: Observed) -> str:
    if not run.suspend or not job.queue:
        return ""
    if not observed.kueue_enabled:
        return (
            f"spec.suspend has no effect under queue {job.queue}: Kueue would start the Job again. Install the chart "
            "with kueue.enabled=true, so that the operator may deactivate the Workload, or delete the run."
        )
    return "" if observed.workload else "Kueue has no Workload for the Job yet."

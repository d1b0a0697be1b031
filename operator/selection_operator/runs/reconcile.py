"""One pass over a run: from what is observed to a status and actions. Pure; reads like a table of contents."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from selection_api.names import ConditionType, Phase, Reason
from selection_api.status import Disruptions, JobReference, Status
from selection_operator.kind import Action, Create, Decision, Delete, Kind
from selection_operator.runs.disruptions import count_disruptions
from selection_operator.runs.job_manifest import end_job, make_job, set_job_suspended, set_workload_active
from selection_operator.runs.observation import Observed, list_lookups, observe
from selection_operator.runs.pending_reasons import newest_live, seconds_since
from selection_operator.runs.plan import Rejected, make_plan
from selection_operator.runs.run_events import make_event
from selection_operator.runs.situation import Situation, situation_of
from selection_operator.runs.status import derive_status, read_status, same_but_for_uid, substance_of, write_status
from selection_operator.settings import Settings
from selection_operator.views.jobs import JobView
from selection_operator.views.resources import JOBS, PODS, RUNS
from selection_operator.views.runs import RUN, RunView

SOONEST_LOOK, LATEST_LOOK = 2.0, 30.0
"""A run that waits is looked at again after half the time it has waited, between these seconds."""


def decide(run: RunView, observed: Observed, settings: Settings) -> Decision:
    """Return what is to be done for a run."""
    if run.deleting:
        return Decision()
    before = read_status(run)
    if run.is_true(ConditionType.COMPLETE) or run.is_true(ConditionType.FAILED):
        return _after_the_end(run, before, observed)
    if _was_rejected(run, before):
        return Decision()
    try:
        return _go_on(run, before, observed, settings)
    except Rejected as rejection:
        return _reject(run, observed, rejection, before.job)


def _go_on(run: RunView, before: Status, observed: Observed, settings: Settings) -> Decision:
    """Decide for a run that is not over. Raises Rejected for one that can't have a Job."""
    if observed.job is not None:
        return _follow(run, before, observed, observed.job)
    plan = make_plan(run.document, settings)
    if observed.create_failure is not None and observed.create_failure.is_rejection:
        message = f"The API server refuses the Job: {observed.create_failure.message}"
        return _reject(run, observed, Rejected(Reason.JOB_REFUSED, message), None)
    situation = situation_of(run, observed, before.disruptions)
    if run.suspend:
        return _tell(run, situation, observed, before.job, before.disruptions)
    reserved = before.job or JobReference(name=plan.job_name)
    make = Create(JOBS, make_job(plan, settings))
    return _tell(run, situation, observed, reserved, before.disruptions, actions=(make,))


def _follow(run: RunView, before: Status, observed: Observed, job: JobView) -> Decision:
    """Decide for a run with a Job."""
    disruptions = count_disruptions(before.disruptions, observed.pods, before.stage)
    situation = situation_of(run, observed, disruptions)
    if situation.phase == Phase.FAILED:
        actions: tuple[Action, ...] = _end(job)
    else:
        actions = () if situation.phase == Phase.COMPLETE else _suspension(run, job, observed)
    reference, again_after = JobReference(name=job.name, uid=job.uid), _look_again(observed, job, situation)
    return _tell(run, situation, observed, reference, disruptions, actions=actions, again_after=again_after)


def _reject(run: RunView, observed: Observed, rejection: Rejected, job: JobReference | None) -> Decision:
    return _tell(run, Situation(Phase.INVALID, rejection.reason, rejection.message), observed, job, None)


def _tell(
    run: RunView,
    situation: Situation,
    observed: Observed,
    job: JobReference | None,
    disruptions: Disruptions | None,
    *,
    actions: tuple[Action, ...] = (),
    again_after: float | None = None,
) -> Decision:
    """Return the decision with the status that tells the situation, where that is worth a write."""
    status = write_status(derive_status(run, situation, observed, job, disruptions))
    return Decision(None if same_but_for_uid(status, run.status) else status, actions, again_after)


def _was_rejected(run: RunView, before: Status) -> bool:
    """Say whether the API server refused this very spec's Job: it is not asked again until the spec changes."""
    return any(
        condition.type == ConditionType.ACCEPTED
        and condition.reason == Reason.JOB_REFUSED
        and condition.observed_generation == run.generation
        for condition in before.conditions
    )


def _suspension(run: RunView, job: JobView, observed: Observed) -> tuple[Action, ...]:
    """Return what follows spec.suspend. A Job that somebody else suspended is never resumed by us."""
    if job.queue:
        workload = observed.workload
        if workload is None or not observed.kueue_enabled:
            return ()
        if run.suspend and workload.active:
            return (set_workload_active(workload, active=False),)
        resume = not run.suspend and not workload.active and workload.deactivated_by_us
        return (set_workload_active(workload, active=True),) if resume else ()
    if run.suspend and not job.suspended:
        return (set_job_suspended(job, suspended=True),)
    resume = not run.suspend and job.suspended and job.suspended_by_us
    return (set_job_suspended(job, suspended=False),) if resume else ()


def _end(job: JobView | None) -> tuple[Action, ...]:
    return (end_job(job),) if job is not None and job.end is None and job.deadline_seconds != 1 else ()


def _look_again(observed: Observed, job: JobView, situation: Situation) -> float | None:
    """Return when to look again without an event: waiting shows in Events only, and Kueue's words in the Workload."""
    if situation.phase == Phase.QUEUED:
        return LATEST_LOOK if observed.workload is not None else None
    pod = newest_live(observed.pods)
    if situation.phase == Phase.RUNNING and pod is None:
        return SOONEST_LOOK + 0.1
    if situation.phase != Phase.PENDING:
        return None
    waited = seconds_since(pod.created if pod else job.created, observed.now)
    return min(max(SOONEST_LOOK + 0.1, waited / 2), LATEST_LOOK)


def _after_the_end(run: RunView, before: Status, observed: Observed) -> Decision:
    """Decide for a run that is over: nothing but its time to live, and a generation that kstatus wants repeated."""
    actions: Sequence[Action] = () if run.is_true(ConditionType.COMPLETE) else _end(observed.job)
    ttl = run.document["spec"].get("ttlSecondsAfterFinished")
    status = None if before.observed_generation == run.generation else _observe_generation(run, before)
    if not isinstance(ttl, int | float) or before.completion_time is None:
        return Decision(status, tuple(actions))
    left = timedelta(seconds=ttl).total_seconds() - seconds_since(before.completion_time, observed.now)
    if left <= 0:
        return Decision(None, (*actions, Delete(RUNS, run)))
    return Decision(status, tuple(actions), left)


def _observe_generation(run: RunView, before: Status) -> dict[str, Any]:
    conditions = tuple(each.model_copy(update={"observed_generation": run.generation}) for each in before.conditions)
    return write_status(before.model_copy(update={"observed_generation": run.generation, "conditions": conditions}))


SELECTION_RUN = Kind(
    name=RUN,
    resource=RUNS,
    children=(JOBS, PODS),
    lookups=list_lookups,
    observe=observe,
    decide=decide,
    substance=substance_of,
    make_event=make_event,
)
"""All that the loop knows of runs."""

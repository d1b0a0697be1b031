"""How a run is looked at: its Job, pods, Events and Workload; cached, and read anew where the caches can't tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from selection_api.names import LABEL_JOB_UID
from selection_operator.kind import CreateFailure, Lookup, Surroundings
from selection_operator.runs.pending_reasons import needs_events
from selection_operator.settings import Settings
from selection_operator.views.jobs import JobView, WorkloadView
from selection_operator.views.pods import EventView, PodView
from selection_operator.views.progress import LiveProgress
from selection_operator.views.resources import EVENTS, JOBS, PODS, WORKLOADS
from selection_operator.views.runs import RunView


@dataclass(frozen=True)
class Observed:
    """All that is known of a run's children at one moment."""

    now: datetime
    job: JobView | None = None
    pods: Sequence[PodView] = ()
    """The Job's pods, whatever their state, oldest first."""
    events: Sequence[EventView] = ()
    """Events about the Job or its pod; read only where status says nothing."""
    live: LiveProgress | None = None
    workload: WorkloadView | None = None
    create_failure: CreateFailure | None = None
    kueue_enabled: bool = False


def list_lookups(run: RunView, known: Surroundings, settings: Settings) -> Iterator[Lookup[Any]]:
    """Yield what must be read anew: a silent wait's Events, an ended Job's pods, the Workload where it matters."""
    job = _own_job(run, known)
    if job is None:
        return
    pods, namespace = _pods_of(job, known), job.owner.namespace
    if job.end is not None:
        if not any(pod.end is not None and not pod.deleting for pod in pods):  # the watch on pods may lag behind
            yield Lookup(PODS, namespace, labels=f"batch.kubernetes.io/controller-uid={job.uid}")
        return
    about = needs_events(job, pods, known.now)
    if about is not None:
        kind, name = about
        yield Lookup(EVENTS, namespace, fields=f"involvedObject.kind={kind},involvedObject.name={name}")
    if job.queue and settings.kueue_enabled and (run.suspend or job.suspended):
        yield Lookup(WORKLOADS, namespace, labels=f"{LABEL_JOB_UID}={job.uid}")


def observe(run: RunView, known: Surroundings, settings: Settings) -> Observed:
    """Return what is known of a run's children, the lookups answered."""
    job = _own_job(run, known)
    pods = _pods_of(job, known)
    running = next((pod for pod in reversed(pods) if pod.is_running), None)
    return Observed(
        now=known.now,
        job=job,
        pods=pods,
        events=known.of(EVENTS),
        live=known.live.get(running.uid) if running else None,
        workload=next(iter(known.of(WORKLOADS)), None),
        create_failure=known.create_failure,
        kueue_enabled=settings.kueue_enabled,
    )


def _own_job(run: RunView, known: Surroundings) -> JobView | None:
    """Return the Job that this very run controls, not one of a former run of its name."""
    return next((job for job in known.of(JOBS) if job.owner_uid == run.uid), None)


def _pods_of(job: JobView | None, known: Surroundings) -> list[PodView]:
    """Return a Job's pods, oldest first."""
    pods = [pod for pod in known.of(PODS) if job is not None and pod.job_uid == job.uid]
    return sorted(pods, key=lambda pod: (pod.created, pod.name))

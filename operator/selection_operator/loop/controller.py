"""The control loop: takes keys from the queue and brings each run a step nearer to its end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from selection_operator.cluster.api_server import ApiFailure, Cluster
from selection_operator.loop.caches import Caches, ObjectIndex
from selection_operator.loop.health import WatchLiveness, find_health_problems
from selection_operator.loop.queue import WorkQueue, backoff
from selection_operator.runs.pending_reasons import needs_events
from selection_operator.runs.reconcile import (
    Action,
    CreateJob,
    DeleteRun,
    EndJob,
    SetJobSuspended,
    SetWorkloadActive,
    decide,
)
from selection_operator.runs.run_events import make_event
from selection_operator.runs.situation import CreateFailure, Observed
from selection_operator.runs.status import read_status
from selection_operator.serving.metrics import QUEUE_DEPTH, RECONCILE_ERRORS, RECONCILE_SECONDS
from selection_operator.settings import Settings
from selection_operator.views.jobs import JobView, WorkloadView
from selection_operator.views.pods import EventView, PodView
from selection_operator.views.runs import RunKey, RunView

log = logging.getLogger("selection_operator")

WORKERS = 8


def read_clock() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def _may_pass(failure: ApiFailure) -> bool:
    """Say whether the same request may well succeed in a moment."""
    return failure.status in (0, 429) or failure.status >= 500


def _log_end(task: asyncio.Task[None]) -> None:
    """Say why a task that never ends has ended: from now on /healthz fails."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("The operator stops working", exc_info=error)


@dataclass
class Controller:
    """Caches, queue and cluster, and the tasks that work on them."""

    cluster: Cluster
    settings: Settings
    queue: WorkQueue[RunKey]
    caches: Caches = field(default_factory=Caches)
    liveness: WatchLiveness = field(default_factory=WatchLiveness)
    now: Callable[[], datetime] = read_clock
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, *others: Coroutine[Any, Any, None]) -> None:
        """Start to list and work, and other tasks beside; health_problems() tells when one of them has ended."""
        self._tasks += [asyncio.create_task(coroutine) for coroutine in (self._work(), *others)]
        for task in self._tasks:
            task.add_done_callback(_log_end)

    async def stop(self) -> None:
        """Stop after the passes that are under way have been cancelled at their next await: each write is whole."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def health_problems(self) -> list[str]:
        """Return what is wrong with the operator; empty when it is well."""
        alive = bool(self._tasks) and not any(task.done() for task in self._tasks)
        return find_health_problems(self.queue.longest_wait(), alive, self.liveness)

    async def _work(self) -> None:
        """Run workers and resync until one of them fails, which ends all: a half-dead operator serves nobody."""
        failures = 0
        while not await self._resync():
            failures += 1
            await asyncio.sleep(backoff(failures))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync_for_ever())
            for _ in range(WORKERS):
                group.create_task(self._take_keys())

    async def _resync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.resync_seconds)
            await self._resync()

    async def _resync(self) -> bool:
        """List all kinds, repair the caches, look at every run; return False when the API server doesn't answer."""
        indices: dict[str, ObjectIndex[Any]] = {
            "selectionruns": self.caches.runs,
            "jobs": self.caches.jobs,
            "pods": self.caches.pods,
        }
        known = {kind: dict(index.objects) for kind, index in indices.items()}
        try:
            listed: tuple[Any, ...] = (
                await self.cluster.list_runs(),
                await self.cluster.list_jobs(),
                await self.cluster.list_pods(),
            )
        except ApiFailure as failure:
            RECONCILE_ERRORS.labels(kind="resync").inc()
            log.warning("Listing failed and is repeated: %s", failure)
            return False
        for (kind, index), views in zip(indices.items(), listed, strict=True):
            index.replace(views, known[kind])
        self.liveness.check(indices)
        for run in self.caches.runs.objects.values():
            self.queue.add(run.key)
        return True

    async def _take_keys(self) -> None:
        while True:
            key = await self.queue.get()
            QUEUE_DEPTH.set(self.queue.depth())
            try:
                with RECONCILE_SECONDS.time():
                    again_after = await self._reconcile(key)
            except ApiFailure as failure:
                self._repeat(key, failure)
            except Exception:  # one run's defect must not stop the others
                RECONCILE_ERRORS.labels(kind="defect").inc()
                log.exception("A pass failed unexpectedly", extra=self._fields(key))
                self.queue.retry(key)
            else:
                self.queue.done(key, again_after)

    def _repeat(self, key: RunKey, failure: ApiFailure) -> None:
        RECONCILE_ERRORS.labels(kind=str(failure.status)).inc()
        delay = self.queue.retry(key, failure.retry_after)
        log.log(
            logging.INFO if failure.status == 409 else logging.WARNING,
            "The API server's answer: %s; tried again in %.1f s", failure, delay, extra=self._fields(key),
        )  # fmt: skip

    def _fields(self, key: RunKey) -> dict[str, str]:
        run = self.caches.run(key)
        return {"namespace": key[0], "run": key[1], "uid": run.uid if run else ""}

    async def _reconcile(self, key: RunKey) -> float | None:
        """Make one pass: read, decide, write the status, act. Returns when to look again."""
        run = self.caches.run(key)
        if run is None:
            self.queue.forget(key)
            return None
        decision = decide(run, await self._observe(run), self.settings)
        if decision.status is not None:
            run = await self._write_status(run, decision.status)
        for action in decision.actions:
            await self._perform(run, action)
        return decision.again_after

    async def _observe(self, run: RunView) -> Observed:
        job = self.caches.job_of(run)
        if job is not None:
            self.caches.create_failures.pop(run.uid, None)
        now = self.now()
        create_failure = self.caches.create_failures.get(run.uid)
        pods = await self._pods_of(job)
        running = next((pod for pod in reversed(pods) if pod.is_running), None)
        return Observed(
            now=now,
            job=job,
            pods=pods,
            events=await self._events_of(job, pods, now),
            live=self.caches.live.get(running.uid) if running else None,
            workload=await self._workload_of(run, job),
            create_failure=create_failure if create_failure and create_failure.generation == run.generation else None,
            kueue_enabled=self.settings.kueue_enabled,
        )

    async def _pods_of(self, job: JobView | None) -> list[PodView]:
        """Return the Job's pods; live ones once it has ended, as the watch on pods may lag behind that on Jobs."""
        pods = self.caches.pods_of(job)
        if job is None or job.end is None or any(pod.end is not None and not pod.deleting for pod in pods):
            return pods
        return await self.cluster.list_pods_of(job)

    async def _events_of(self, job: JobView | None, pods: list[PodView], now: datetime) -> list[EventView]:
        about = needs_events(job, pods, now)
        return await self.cluster.list_events(job.run[0], *about) if job is not None and about else []

    async def _workload_of(self, run: RunView, job: JobView | None) -> WorkloadView | None:
        """Return the Workload where it matters: to suspend, and for a Job that waits for admission."""
        if job is None or job.end is not None or not job.queue or not self.settings.kueue_enabled:
            return None
        return await self.cluster.find_workload(job) if run.suspend or job.suspended else None

    async def _write_status(self, run: RunView, status: dict[str, Any]) -> RunView:
        """Write the status of the run as we know it, and record an Event for a new reason."""
        try:
            written = await self.cluster.write_status(run, status)
        except ApiFailure as failure:
            if failure.status in (404, 409):
                await self._read_again(run)
            raise
        self.caches.runs.put(written)
        await self._record(written, run)
        return written

    async def _read_again(self, run: RunView) -> None:
        """Take the run as it is now: the version we knew is stale, or the run is gone."""
        live = await self.cluster.get_run(run.key)
        if live is None or live.uid != run.uid:
            self.caches.runs.remove(run.uid)
        if live is not None:
            self.caches.runs.put(live)

    async def _record(self, run: RunView, before: RunView) -> None:
        event = make_event(run, before.status, self.now())
        if event is None:
            return
        log.info("%s: %s", event["reason"], event["message"], extra=self._fields(run.key))
        try:
            await self.cluster.create_event(run.key[0], event)
        except ApiFailure as failure:
            log.info("The Event was not recorded: %s", failure, extra=self._fields(run.key))

    async def _perform(self, run: RunView, action: Action) -> None:
        """Carry out one action; each is safe to repeat."""
        match action:
            case CreateJob():
                await self._create_job(run, action)
            case SetJobSuspended(job, suspended):
                self.caches.jobs.put(await self.cluster.set_job_suspended(job, suspended=suspended))
            case EndJob(job):
                self.caches.jobs.put(await self.cluster.end_job(job))
            case SetWorkloadActive(path, active):
                await self.cluster.set_workload_active(path, active=active)
            case DeleteRun():
                await self.cluster.delete_run(run)
                self.caches.runs.watch(run, deleted=True)  # the watch tells later; a pass until then would delete twice

    async def _create_job(self, run: RunView, action: CreateJob) -> None:
        """Make the Job, unless the run was deleted, replaced or ended meanwhile, or the Job is there already."""
        live = await self.cluster.get_run(run.key)
        if live is None or live.resource_version != run.resource_version:
            await self._read_again(run)
            self.queue.add(run.key)
            return
        try:
            job: JobView | None = await self.cluster.create_job(action.body)
        except ApiFailure as failure:
            job = await self._find_own_job(run, action, failure)
        if job is not None:
            self.caches.jobs.put(job)

    async def _find_own_job(self, run: RunView, action: CreateJob, failure: ApiFailure) -> JobView | None:
        """Return the run's Job if the name is taken by it; otherwise note the failure, and raise to try again."""
        if failure.status == 409:
            job = await self.cluster.get_job(run.key[0], action.body["metadata"]["name"])
            if job is None or job.owner_uid == run.uid:
                self.queue.add(run.key)
                return job
        if _may_pass(failure) and not self.queue.has_failed(run.key):
            raise failure  # a single hiccup is not worth two status writes
        create_failure = self.caches.create_failures[run.uid] = CreateFailure(
            failure.status, failure.message, run.generation
        )
        if create_failure.is_rejection or self._is_told(run):
            self.queue.add(run.key)
        if create_failure.is_rejection:
            return None
        raise failure

    def _is_told(self, run: RunView) -> bool:
        """Say whether the status has yet to tell of this failure."""
        create_failure = self.caches.create_failures[run.uid]
        return not any(create_failure.message in condition.message for condition in read_status(run).conditions)

"""The control loop: takes keys from the queue and brings each object a step nearer to its end.

What an object is, how it is looked at and what follows is its Kind's matter.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from selection_operator.cluster.api_server import ApiFailure, ApiServer
from selection_operator.kind import Action, Create, CreateFailure, Decision, Delete, Kind, Patch, Surroundings
from selection_operator.loop.caches import Caches
from selection_operator.loop.health import WatchLiveness, find_health_problems
from selection_operator.loop.ownership import PATIENCE_SECONDS, Ownership
from selection_operator.loop.queue import WorkQueue, backoff
from selection_operator.serving.metrics import QUEUE_DEPTH, RECONCILE_ERRORS, RECONCILE_SECONDS
from selection_operator.settings import Settings
from selection_operator.views.custom_objects import CustomObject, Key
from selection_operator.views.resources import EVENTS, Resource

log = logging.getLogger("selection_operator")

WORKERS = 8
AnyKind = Kind[Any, Any]


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
    """Kinds, caches, queue and API server, and the tasks that work on them."""

    api: ApiServer
    kinds: tuple[AnyKind, ...]
    settings: Settings
    queue: WorkQueue[Key]
    caches: Caches = field(init=False)
    ownership: Ownership = field(init=False)
    liveness: WatchLiveness = field(default_factory=WatchLiveness)
    now: Callable[[], datetime] = read_clock
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.caches = Caches.holding(resource for kind in self.kinds for resource in kind.watched)
        # While it waits to take over, each pod is asked at least twice how far it is.
        patience = max(PATIENCE_SECONDS, 2 * self.settings.progress_seconds)
        self.ownership = Ownership(self.settings.identity, self.queue.clock, patience)

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
        """List all, repair the caches, look at every object; return False when the API server doesn't answer."""
        indices = self.caches.indices
        known = {resource: dict(index.objects) for resource, index in indices.items()}
        try:
            listed = {resource: await self.api.list_all(resource) for resource in indices}
        except ApiFailure as failure:
            RECONCILE_ERRORS.labels(kind="resync").inc()
            log.warning("Listing failed and is repeated: %s", failure)
            return False
        for resource, index in indices.items():
            index.replace(listed[resource], known[resource])
        self.liveness.check(indices)
        for kind in self.kinds:
            for owner in self.caches[kind.resource].objects.values():
                self.queue.add(owner.key)
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
            except Exception:  # one object's defect must not stop the others
                RECONCILE_ERRORS.labels(kind="defect").inc()
                log.exception("A pass failed unexpectedly", extra=self._fields(key))
                self.queue.retry(key)
            else:
                self.queue.done(key, again_after)

    def _repeat(self, key: Key, failure: ApiFailure) -> None:
        RECONCILE_ERRORS.labels(kind=str(failure.status)).inc()
        delay = self.queue.retry(key, failure.retry_after)
        log.log(
            logging.INFO if failure.status == 409 else logging.WARNING,
            "The API server's answer: %s; tried again in %.1f s", failure, delay, extra=self._fields(key),
        )  # fmt: skip

    def _fields(self, key: Key) -> dict[str, str]:
        owner = self.caches[self._kind_of(key).resource].newest(key)
        return {"namespace": key.namespace, key.kind: key.name, "uid": owner.uid if owner else ""}

    def _kind_of(self, key: Key) -> AnyKind:
        return next(kind for kind in self.kinds if kind.name == key.kind)

    async def _reconcile(self, key: Key) -> float | None:
        """Make one pass: look, decide, write the status, act. Returns when to look again."""
        kind = self._kind_of(key)
        owner = self.caches[kind.resource].newest(key)
        if owner is None:
            self.queue.forget(key)
            self.ownership.forget(key)
            return None
        known = await self._look_around(kind, owner)
        decision = kind.decide(owner, kind.observe(owner, known, self.settings), self.settings)
        if wait := self._stand_back(kind, owner, known, decision):
            return min(wait, decision.again_after or wait)
        if (status := self._status_to_write(owner, decision)) is not None:
            owner = await self._write_status(kind, owner, status)
        self.ownership.agree(owner)
        self.caches.told |= known.live
        if not any(isinstance(action, Create) for action in decision.actions):
            self.caches.create_failures.pop(owner.uid, None)
        for action in decision.actions:
            await self._perform(kind, owner, action)
        return decision.again_after

    def _stand_back(self, kind: AnyKind, owner: CustomObject, known: Surroundings, decision: Decision) -> float:
        """Return for how many seconds the decision is left to another operator; 0 when it is ours to carry out."""
        overtaken, status = self.ownership.is_overtaken(owner), decision.status
        differs = status is None or kind.substance(status) != kind.substance(owner.status)
        wait = self.ownership.seconds_to_wait(owner, decision, in_substance=differs or self.caches.is_news(known.live))
        if overtaken:
            self.caches.told |= known.live
        return wait

    def _status_to_write(self, owner: CustomObject, decision: Decision) -> dict[str, Any] | None:
        """Return the status with our name; None where none is due. Who acts for another takes the object over first."""
        claims = bool(decision.actions) and self.ownership.is_foreign(owner)
        status = dict(owner.status) if decision.status is None and claims else decision.status
        return None if status is None else {**status, "operator": self.settings.identity}

    async def _look_around(self, kind: AnyKind, owner: CustomObject) -> Surroundings:
        """Return what the caches hold for an object, and what its kind wants to be read anew."""
        failure = self.caches.create_failures.get(owner.uid)
        objects = {resource: self.caches[resource].of(owner.key) for resource in kind.children}
        cached = Surroundings(
            now=self.now(),
            objects=objects,
            live=self.caches.live_of(child.uid for children in objects.values() for child in children),
            create_failure=failure if failure and failure.generation == owner.generation else None,
        )
        lookups = kind.lookups(owner, cached, self.settings)
        found = {lookup.resource: await self.api.look_up(lookup) for lookup in lookups}
        return replace(cached, objects={**cached.objects, **found})

    async def _write_status(self, kind: AnyKind, owner: CustomObject, status: dict[str, Any]) -> CustomObject:
        """Write the status of the object as we know it, and record an Event where its kind has one to tell."""
        try:
            written: CustomObject = await self.api.write_status(kind.resource, owner, status)
        except ApiFailure as failure:
            if failure.status in (404, 409):
                await self._read_again(kind, owner)
            raise
        self.caches[kind.resource].put(written)
        await self._record(kind, written, owner)
        return written

    async def _read_again(self, kind: AnyKind, owner: CustomObject) -> None:
        """Take the object as it is now: the version we knew is stale, or the object is gone."""
        live = await self.api.get(kind.resource, owner.key.namespace, owner.key.name)
        if live is None or live.uid != owner.uid:
            self.caches[kind.resource].remove(owner.uid)
        if live is not None:
            self.caches[kind.resource].put(live)

    async def _record(self, kind: AnyKind, owner: CustomObject, before: CustomObject) -> None:
        event = kind.make_event(owner, before.status, self.now())
        if event is None:
            return
        log.info("%s: %s", event["reason"], event["message"], extra=self._fields(owner.key))
        try:
            await self.api.create(Create(EVENTS, event))
        except ApiFailure as failure:
            log.info("The Event was not recorded: %s", failure, extra=self._fields(owner.key))

    async def _perform(self, kind: AnyKind, owner: CustomObject, action: Action) -> None:
        """Carry out one action; each is safe to repeat."""
        match action:
            case Create():
                await self._create(kind, owner, action)
            case Patch():
                self._take(action.resource, await self.api.patch(action))
            case Delete():
                await self.api.delete(action)
                # The watch tells later; a pass until then would delete twice.
                self.caches[action.resource].watch(action.target, deleted=True)

    def _take(self, resource: Resource[Any], view: Any) -> None:
        """Know what a write has made before the watch tells."""
        if resource in self.caches.indices:
            self.caches[resource].put(view)

    async def _create(self, kind: AnyKind, owner: CustomObject, wanted: Create) -> None:
        """Make a child, unless the owner was deleted, replaced or ended meanwhile, or the child is there already."""
        live = await self.api.get(kind.resource, owner.key.namespace, owner.key.name)
        if live is None or live.resource_version != owner.resource_version:
            await self._read_again(kind, owner)
            self.queue.add(owner.key)
            return
        try:
            child = await self.api.create(wanted)
        except ApiFailure as failure:
            child = await self._find_child(owner, wanted, failure)
        if child is not None:
            self._take(wanted.resource, child)

    async def _find_child(self, owner: CustomObject, wanted: Create, failure: ApiFailure) -> Any:
        """Return the owner's child if the name is taken by it; otherwise note the failure, and raise to try again."""
        if failure.status == 409:
            child = await self.api.get(wanted.resource, owner.key.namespace, wanted.body["metadata"]["name"])
            if child is None or child.owner_uid == owner.uid:
                self.queue.add(owner.key)
                return child
        if _may_pass(failure) and not self.queue.has_failed(owner.key):
            raise failure  # a single hiccup is not worth two status writes
        noted = CreateFailure(failure.status, failure.message, owner.generation)
        self.caches.create_failures[owner.uid] = noted
        if noted.is_rejection or not _is_told(owner, noted):
            self.queue.add(owner.key)
        if noted.is_rejection:
            return None
        raise failure


def _is_told(owner: CustomObject, failure: CreateFailure) -> bool:
    """Say whether the status tells of a failure."""
    return any(failure.message in condition.get("message", "") for condition in owner.status.get("conditions", []))

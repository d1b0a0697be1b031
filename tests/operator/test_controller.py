"""The loop, against an API server of dictionaries: one for every kind, and knowing none."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from selection_operator.cluster.api_server import ApiFailure
from selection_operator.kind import Create, Decision, Delete, Kind, Lookup
from selection_operator.loop.controller import Controller
from selection_operator.loop.queue import WorkQueue
from selection_operator.runs.reconcile import SELECTION_RUN
from selection_operator.views.custom_objects import CustomObject, Key
from selection_operator.views.progress import read_progress
from selection_operator.views.resources import EVENTS, JOBS, PODS, Resource


class Server:
    """Holds raw objects by resource and name, and counts what is written."""

    def __init__(self, **objects):
        self.objects = {plural: {raw["metadata"]["name"]: raw for raw in raws} for plural, raws in objects.items()}
        self.writes, self.lookups, self.refusals, self.version = [], [], [], 100

    def _put(self, resource, raw):
        self.version += 1
        raw = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        self.objects.setdefault(resource.plural, {})[raw["metadata"]["name"]] = raw
        return resource.view(raw)

    def _change(self, verb, resource, name):
        self.writes.append((verb, resource.plural, name))
        for refusal in [each for each in self.refusals if each[:2] == (verb, resource.plural)]:
            raise ApiFailure(*refusal[2:])

    async def list_all(self, resource):
        return [resource.view(raw) for raw in self.objects.get(resource.plural, {}).values()]

    async def look_up(self, lookup):
        self.lookups.append(lookup)
        return []

    async def get(self, resource, namespace, name):
        raw = self.objects.get(resource.plural, {}).get(name)
        return resource.view(raw) if raw else None

    async def write_status(self, resource, owner, status):
        self._change("status", resource, owner.key.name)
        return self._put(resource, {**self.objects[resource.plural][owner.key.name], "status": status})

    async def create(self, wanted):
        name = wanted.body["metadata"]["name"]
        if wanted.resource is EVENTS:
            return None
        self._change("create", wanted.resource, name)
        if name in self.objects.get(wanted.resource.plural, {}):
            raise ApiFailure(409, "is there")
        born = {"uid": f"uid-{name}", "creationTimestamp": "2026-03-01T12:00:00Z"}
        return self._put(wanted.resource, {**wanted.body, "metadata": {**wanted.body["metadata"], **born}})

    async def delete(self, wanted):
        self._change("delete", wanted.resource, wanted.target.key.name)
        del self.objects[wanted.resource.plural][wanted.target.key.name]


def work(server, settings, kinds, until, now=None):
    """Let the loop work until something holds; return the controller."""

    async def scene():
        controller = Controller(server, kinds, settings, WorkQueue(asyncio.get_running_loop().time))
        if now is not None:
            controller.now = lambda: now
        controller.start()
        try:
            async with asyncio.timeout(20):
                while not (controller.queue.longest_wait() == 0 and until(controller)):
                    await asyncio.sleep(0.001)
        finally:
            await controller.stop()
        return controller

    return asyncio.run(scene())


def test_the_status_is_written_before_the_job_is_made(play, settings):
    server = Server(selectionruns=[play.raw_run()])
    work(server, settings, (SELECTION_RUN,), lambda _: "jobs" in server.objects, play.NOW)
    name = "dashcam-1f2e3d4c"
    assert server.writes[:2] == [("status", "selectionruns", "dashcam"), ("create", "jobs", name)]
    assert server.objects["selectionruns"]["dashcam"]["status"]["job"]["name"] == name


def test_a_job_that_is_there_already_is_taken_over(play, settings):
    """The list is older than the Job: to make it is a conflict, and the Job is this run's own."""
    server = Server(selectionruns=[play.raw_run()], jobs=[play.raw_job(created=1)])
    listed = server.list_all

    async def list_without_jobs(resource):
        return [] if resource is JOBS else await listed(resource)

    server.list_all = list_without_jobs
    controller = work(server, settings, (SELECTION_RUN,), lambda it: it.caches[JOBS].objects, play.NOW)
    assert Counter(server.writes)["create", "jobs", "dashcam-1f2e3d4c"] == 1
    assert list(controller.caches[JOBS].objects) == [play.JOB_UID]


def test_a_rejected_job_is_told_and_not_tried_again(play, settings):
    server = Server(selectionruns=[play.raw_run()])
    server.refusals = [("create", "jobs", 422, "affinity: Required value")]

    def told(_):
        return "affinity: Required value" in json.dumps(server.objects["selectionruns"]["dashcam"]["status"])

    controller = work(server, settings, (SELECTION_RUN,), told, play.NOW)
    assert server.objects["selectionruns"]["dashcam"]["status"]["phase"] == "Invalid"
    assert [write[0] for write in server.writes] == ["status", "create", "status"]
    assert controller.caches.create_failures == {}


@pytest.mark.parametrize(("status", "noted"), [(403, True), (500, False)])
def test_a_failure_that_may_pass_is_told_only_when_it_lasts(play, settings, status, noted):
    server = Server(selectionruns=[play.raw_run()])
    server.refusals = [("create", "jobs", status, "not now")]
    controller = work(server, settings, (SELECTION_RUN,), lambda it: it.queue.has_failed(RUN_KEY), play.NOW)
    assert (play.UID in controller.caches.create_failures) == noted


RUN_KEY = Key("run", "team", "dashcam")


@dataclass(frozen=True)
class Page:
    uid: str
    resource_version: str
    owner: Key
    owner_uid: str


def view_note(raw):
    metadata = raw["metadata"]
    key = Key("note", metadata["namespace"], metadata["name"])
    document = {"apiVersion": "example.org/v1", "kind": "Note", "metadata": metadata, "spec": raw["spec"]}
    return CustomObject(key, metadata["uid"], 1, metadata["resourceVersion"], False, document, raw.get("status") or {})


def view_page(raw):
    metadata = raw["metadata"]
    owner = Key("note", metadata["namespace"], raw["note"])
    return Page(metadata["uid"], metadata["resourceVersion"], owner, f"uid-{raw['note']}")


NOTES = Resource("example.org", "v1", "notes", view_note)
PAGES = Resource("example.org", "v1", "pages", view_page)


def decide_note(note, pages, settings):
    if note.document["spec"].get("read"):
        return Decision(actions=(Delete(NOTES, note),))
    status = {"pages": len(pages)}
    page = {"metadata": {"name": f"{note.key.name}-page", "namespace": "team"}, "note": note.key.name}
    actions = () if pages else (Create(PAGES, page),)
    return Decision(None if note.status.get("pages") == len(pages) else status, actions, None if pages else 0.01)


NOTE = Kind(
    name="note",
    resource=NOTES,
    children=(PAGES,),
    lookups=lambda note, known, settings: [Lookup(EVENTS, note.key.namespace)],
    observe=lambda note, known, settings: known.of(PAGES),
    decide=decide_note,
    substance=lambda status: status,
    make_event=lambda note, before, now: None,
)
"""A kind that nobody but this test knows: a note has one page, and is deleted when it is read."""


def note(name, **spec):
    metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": "3"}
    return {"metadata": metadata, "spec": spec}


def test_another_kind_shares_the_loop_by_its_kind_alone(play, settings):
    server = Server(selectionruns=[play.raw_run()], notes=[note("dashcam"), note("two", read=True)])
    notes = server.objects["notes"]

    def done(_):
        return (
            "jobs" in server.objects
            and list(notes) == ["dashcam"]
            and notes["dashcam"].get("status", {}).get("pages") == 1
        )

    controller = work(server, settings, (SELECTION_RUN, NOTE), done, play.NOW)
    assert set(server.writes) == {
        ("status", "selectionruns", "dashcam"),
        ("create", "jobs", "dashcam-1f2e3d4c"),
        ("status", "notes", "dashcam"),
        ("create", "pages", "dashcam-page"),
        ("delete", "notes", "two"),
    }
    assert Lookup(EVENTS, "team") in server.lookups
    assert [resource.plural for resource in controller.caches.indices] == [
        "selectionruns", "jobs", "pods", "notes", "pages"
    ]  # fmt: skip


class WatchedServer(Server):
    """Takes a status only over the version that it replaces, and tells every controller of each change."""

    def __init__(self, **objects):
        super().__init__(**objects)
        self.controllers, self.writers = [], []

    def _put(self, resource, raw):
        seen = super()._put(resource, raw)
        for controller in self.controllers:
            controller.caches[resource].watch(seen, deleted=False)
            controller.queue.add(seen.owner)
        return seen

    async def write_status(self, resource, owner, status):
        await asyncio.sleep(0)
        if self.objects[resource.plural][owner.key.name]["metadata"]["resourceVersion"] != owner.resource_version:
            raise ApiFailure(409, "the object has been modified")
        self.writers.append((status["operator"], status["phase"]))
        return await super().write_status(resource, owner, status)

    def change(self, resource, raw):
        self._put(resource, raw)


def operate_together(server, settings, names, scene):
    """Let an operator of each name work on one server while the scene, a coroutine function of them, is played."""

    async def play():
        for name in names:
            clock = asyncio.get_running_loop().time
            controller = Controller(server, (SELECTION_RUN,), replace(settings, identity=name), WorkQueue(clock))
            server.controllers.append(controller)
        for controller in server.controllers:
            controller.start()
        try:
            async with asyncio.timeout(20):
                await scene(*server.controllers)
        finally:
            await asyncio.gather(*(controller.stop() for controller in server.controllers))

    asyncio.run(play())


async def settle(server, *controllers):
    """Wait until nobody has anything to do for some rounds of the event loop."""
    quiet, before = 0, -1
    while quiet < 50:
        idle = all(controller.queue.longest_wait() == 0 for controller in controllers)
        quiet, before = (quiet + 1, before) if idle and len(server.writers) == before else (0, len(server.writers))
        await asyncio.sleep(0)


def hear(controller, pod_uid, done, total):
    """Let a running pod have told a controller how far it is."""
    page = {"stage": "EMBEDDING", "done": done, "total": total}
    controller.caches.live[pod_uid] = read_progress(json.dumps(page).encode())
    controller.queue.add(RUN_KEY)


def progress_of(server):
    return server.objects["selectionruns"]["dashcam"]["status"].get("progress", {}).get("done")


@pytest.mark.parametrize(
    ("names", "writes_a_word"),
    [(("team-a/operator", "all/operator"), 1), (("one/operator", "one/operator"), 2)],
    ids=["two installations", "two pods of one"],
)
def test_operators_that_heard_differently_do_not_write_over_each_other(play, settings, names, writes_a_word):
    """Each has its own last word of the pod: of two installations one writes, of two pods each what it heard, once."""
    server = WatchedServer(selectionruns=[play.raw_run()])

    async def scene(one, other):
        await settle(server, one, other)
        pod = play.running()
        pod["metadata"]["ownerReferences"][0]["uid"] = server.objects["jobs"]["dashcam-1f2e3d4c"]["metadata"]["uid"]
        server.change(PODS, pod)
        await settle(server, one, other)
        begin = len(server.writers)
        for done in range(2, 22, 2):
            hear(one, "pod-one", done, 20)
            hear(other, "pod-one", done - 2, 0 if done == 2 else 20)
            await settle(server, one, other)
        assert 10 <= len(server.writers) - begin <= 10 * writes_a_word
        assert Counter(server.writes)["create", "jobs", "dashcam-1f2e3d4c"] == 1

    operate_together(server, settings, names, scene)


def test_the_operator_that_wrote_first_serves_a_run_until_it_falls_silent(play, settings):
    server = WatchedServer(selectionruns=[play.raw_run()])

    async def scene(one, other):
        await settle(server, one, other)
        status = server.objects["selectionruns"]["dashcam"]["status"]
        assert {name for name, _ in server.writers} == {status["operator"]}
        serving, standing = (one, other) if status["operator"] == one.settings.identity else (other, one)
        await serving.stop()
        server.controllers.remove(serving)
        job = server.objects["jobs"]["dashcam-1f2e3d4c"]
        complete = play.condition("Complete")
        server.change(JOBS, {**job, "status": {"conditions": [complete]}})
        await settle(server, standing)
        assert server.objects["selectionruns"]["dashcam"]["status"]["phase"] != "Complete"
        standing.ownership.clock = lambda: asyncio.get_running_loop().time() + 61
        standing.queue.add(RUN_KEY)
        await settle(server, standing)
        status = server.objects["selectionruns"]["dashcam"]["status"]
        assert (status["phase"], status["operator"]) == ("Complete", standing.settings.identity)

    operate_together(server, settings, ("team-a/operator", "all/operator"), scene)

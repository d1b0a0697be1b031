"""How a run is looked at: its own Job and pods, and only what the caches can't tell is asked for."""

import pytest

from selection_operator.kind import Lookup, Surroundings
from selection_operator.runs.observation import list_lookups, observe
from selection_operator.settings import Settings
from selection_operator.views.jobs import WorkloadView
from selection_operator.views.progress import read_progress
from selection_operator.views.resources import EVENTS, JOBS, PODS, WORKLOADS

QUEUE = {"kueue.x-k8s.io/queue-name": "gpu"}
KUEUE = Settings(job_image="example.org/selection-job:1", kueue_enabled=True)


def known(play, job=None, pods=(), **more):
    objects = {JOBS: [play.job(**job)] if job is not None else [], PODS: [play.pod(pod) for pod in pods]}
    return Surroundings(now=play.NOW, objects=objects, **more)


def test_a_run_made_anew_does_not_take_over_the_former_one_s_job(play, settings):
    anew = play.run(uid="00000000-aaaa-bbbb-cccc-000000000000")
    assert observe(anew, known(play, {}), settings).job is None
    assert observe(play.run(), known(play, {}), settings).job == play.job()


def test_pods_of_another_job_are_not_the_run_s(play, settings):
    pods = [play.raw_pod()]
    assert observe(play.run(), known(play, {"uid": "another-job"}, pods), settings).pods == []
    assert [pod.name for pod in observe(play.run(), known(play, {}, pods), settings).pods] == ["one"]


def test_pods_come_oldest_first_and_the_newest_running_one_tells_the_progress(play, settings):
    pods = [play.running(name="new", created=5), play.running(name="old", created=50)]
    live = {f"pod-{name}": read_progress(b'{"stage": "%s"}' % stage) for name, stage in
            [("old", b"TRAINING"), ("new", b"EMBEDDING")]}  # fmt: skip
    seen = observe(play.run(), known(play, {}, pods, live=live), settings)
    assert [pod.name for pod in seen.pods] == ["old", "new"]
    assert seen.live.stage == "EMBEDDING"


def test_what_a_lookup_has_found_is_observed(play, settings):
    workload, event = WorkloadView("team", "w", True, False, ""), play.event("FailedMount", "no")
    around = known(play, {})
    around = Surroundings(around.now, {**around.objects, EVENTS: [event], WORKLOADS: [workload]})
    seen = observe(play.run(), around, settings)
    assert (seen.events, seen.workload) == ([event], workload)


COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}
PODS_OF_THE_JOB = Lookup(PODS, "team", labels="batch.kubernetes.io/controller-uid=99999999-aaaa-bbbb-cccc-000000000000")
EVENTS_OF_THE_JOB = Lookup(EVENTS, "team", fields="involvedObject.kind=Job,involvedObject.name=dashcam-1f2e3d4c")
EVENTS_OF_THE_POD = Lookup(EVENTS, "team", fields="involvedObject.kind=Pod,involvedObject.name=one")
WORKLOAD = Lookup(WORKLOADS, "team", labels="kueue.x-k8s.io/job-uid=99999999-aaaa-bbbb-cccc-000000000000")


@pytest.mark.parametrize(
    ("job", "pods", "asked"),
    [
        (None, [], []),
        ({"created": 1}, [], []),
        ({"created": 30}, [], [EVENTS_OF_THE_JOB]),
        ({}, [("raw_pod", {"created": 3})], [EVENTS_OF_THE_POD]),
        ({}, [("running", {})], []),
        (COMPLETE, [], [PODS_OF_THE_JOB]),
        (COMPLETE, [("running", {})], [PODS_OF_THE_JOB]),
        (COMPLETE, [("ended", {"exit_code": 0})], []),
        (COMPLETE, [("ended", {"exit_code": 0, "deleting": True})], [PODS_OF_THE_JOB]),
        ({"suspend": True, "labels": QUEUE}, [], [WORKLOAD]),
        ({"labels": QUEUE}, [("running", {})], []),
        ({"suspend": True}, [], []),
    ],
    ids=["no job", "new job", "no pod", "silent pod", "running", "over, no pod", "over, the pod still runs",
         "over, its end is seen", "over, the pod is going", "queued", "admitted", "suspended without queue"],
)  # fmt: skip
def test_only_what_the_caches_cannot_tell_is_looked_up(play, job, pods, asked):
    around = known(play, job, [getattr(play, kind)(**kw) for kind, kw in pods])
    assert list(list_lookups(play.run(), around, KUEUE)) == asked


def test_the_workload_of_a_running_job_is_looked_up_to_suspend_it_where_kueue_is_enabled(play, settings):
    around, run = known(play, {"labels": QUEUE}, [play.running()]), play.run({"suspend": True})
    assert list(list_lookups(run, around, KUEUE)) == [WORKLOAD]
    assert list(list_lookups(run, around, settings)) == []

"""spec.suspend, and what Kueue does to a Job: each move of either is followed, none is fought."""

import time

import pytest
from testbed.lanes import complete_summary, conditions_of, held, job_name, message_of
from testbed.rest import ApiError
from testbed.stories import story
from testbed.waiting import wait_until

QUEUE = {"kueue.x-k8s.io/queue-name": "gpu"}
ANNOTATION = "dataselection.io/suspended-by"


def suspended_job(lane, run, wanted=True):
    return wait_until(lambda: [j for j in lane.jobs_of(run) if j["spec"].get("suspend", False) == wanted], 20)[0]


def patch_job(lane, run, patch):
    return lane.rest.patch("jobs", lane.namespace, job_name(run), patch)


def pass_some_time(seconds=2):
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, seconds + 5)


def test_a_run_that_is_suspended_from_the_start_has_no_job_until_it_goes_on(lane):
    run = lane.create({"suspend": True})
    seen = lane.wait_for(run, "SuspendedByUser", "Suspended")
    assert held(seen) >= {"Accepted", "Suspended"}
    assert "job" not in seen["status"] and lane.jobs_of(run) == []
    lane.edit(run, {"backoffLimit": 1})  # no Job yet: the spec may still change
    lane.wait_for(run, "SuspendedByUser", "Suspended")
    lane.edit(run, {"suspend": False})
    assert lane.job_of(run)["spec"]["backoffLimit"] == 1
    pod = lane.pod_of(run)
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, pod)


def test_a_running_run_stops_and_goes_on(lane):
    run, first = lane.start()
    lane.edit(run, {"suspend": True})
    seen = lane.wait_for(run, "SuspendedByUser", "Suspended")
    assert "Suspended" in held(seen)
    job = suspended_job(lane, run)
    assert job["metadata"]["annotations"][ANNOTATION] == "selection-operator"
    wait_until(lambda: lane.has_no_pods(run), 30, "the pod is gone")
    assert lane.read(run)["status"]["phase"] == "Suspended"
    lane.edit(run, {"suspend": False})
    again = suspended_job(lane, run, wanted=False)
    assert again["metadata"]["uid"] == job["metadata"]["uid"]
    pod = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, pod)
    assert len(lane.jobs_of(run)) == 1


@story
def test_suspend_and_resume_in_one_breath_ends_resumed(lane):
    run, _first = lane.start()
    for suspend in (True, False, True, False, True, False):
        lane.edit(run, {"suspend": suspend})
    pass_some_time()
    suspended_job(lane, run, wanted=False)
    lane.let_go(run)
    pod = lane.pod_of(run, timeout=60)
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, pod)


def test_a_finished_run_ignores_suspend(lane):
    run, pod = lane.start()
    lane.finish(run, pod)
    lane.edit(run, {"suspend": True})
    seen = lane.wait_for(run, "Complete", "Complete")  # and the new generation was observed
    assert held(seen) == {"Accepted", "Complete", "Ready"}
    assert not lane.job_of(run)["spec"].get("suspend", False)


def test_a_job_that_somebody_else_suspended_is_queued_and_left_alone(lane):
    run, pod = lane.start()
    patch_job(lane, run, {"spec": {"suspend": True}})
    seen = lane.wait_for(run, "Queued", "Queued")
    assert held(seen) >= {"Accepted", "Suspended", "Reconciling"}
    lane.let_go(run)
    pass_some_time()
    job = lane.job_of(run)
    assert job["spec"]["suspend"] is True
    assert ANNOTATION not in job["metadata"].get("annotations", {})
    patch_job(lane, run, {"spec": {"suspend": False}})
    wait_until(lambda: not lane.let_go(run) and not _alive(lane, pod), 30)
    next_pod = lane.pod_of(run, besides=[pod], timeout=60)
    lane.pods.run(next_pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, next_pod)


def test_admission_by_kueue_edits_the_template_and_is_not_undone(lane):
    """Kueue's webhook suspends the Job when it is made; admission merges scheduling fields into the template."""
    run = lane.create(labels=QUEUE)
    job = lane.job_of(run)
    patch_job(lane, run, {"spec": {"suspend": True}})
    lane.wait_for(run, "Queued", "Queued")
    lane.let_go(run)
    wait_until(lambda: not lane.job_of(run)["status"].get("active"), 20)
    wait_until(lambda: "startTime" not in lane.job_of(run)["status"], 20, "the Job's startTime is reset")
    flavor = {"nodeSelector": {"flavor": "a100"}, "tolerations": [{"key": "spot", "operator": "Exists"}]}
    template = {"metadata": {"labels": {"flavor": "a100"}, "annotations": {"podset": "main"}}, "spec": flavor}
    patch_job(lane, run, {"spec": {"template": template}})
    patch_job(lane, run, {"spec": {"suspend": False}})
    pod = lane.pod_of(run, timeout=60)
    assert pod["spec"]["nodeSelector"] == {"flavor": "a100"}
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    now = lane.job_of(run)
    assert now["metadata"]["uid"] == job["metadata"]["uid"]
    assert now["spec"]["template"]["spec"]["nodeSelector"] == {"flavor": "a100"}
    lane.finish(run, pod)


def test_eviction_by_kueue_is_queueing_again_not_failure(lane):
    run, first = lane.start(labels=QUEUE)
    patch_job(lane, run, {"metadata": {"annotations": {"kueue.x-k8s.io/stopping": "true"}}, "spec": {"suspend": True}})
    seen = lane.wait_for(run, "Queued", "Queued")
    assert "failure" not in seen["status"]
    wait_until(lambda: lane.has_no_pods(run), 30)
    wait_until(lambda: "startTime" not in lane.job_of(run)["status"], 20, "the Job's startTime is reset")
    assert lane.read(run)["status"]["phase"] == "Queued"
    patch_job(lane, run, {"spec": {"suspend": False}})
    pod = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, pod)


def make_workload(lane, run, **status):
    job = lane.job_of(run)
    body = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {"name": f"job-{job_name(run)}", "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}},
        "spec": {"active": True, "queueName": "gpu", "podSets": [{"name": "main", "count": 1}]},
    }
    lane.rest.create("workloads", lane.namespace, body)
    if status:
        lane.rest.patch("workloads", lane.namespace, body["metadata"]["name"], {"status": status}, "status")
    return body["metadata"]["name"]


def is_active(lane, name):
    return lane.rest.get("workloads", lane.namespace, name)["spec"]["active"]


def test_under_a_queue_suspend_goes_through_the_workload(lane):
    run = lane.create(labels=QUEUE)
    name = make_workload(lane, run)
    first = lane.pod_of(run)
    lane.pods.run(first)
    lane.wait_for(run, "Running")
    lane.edit(run, {"suspend": True})
    wait_until(lambda: not is_active(lane, name), 40, "the Workload is inactive")
    assert not lane.job_of(run)["spec"].get("suspend", False), "that is Kueue's to do"
    patch_job(lane, run, {"spec": {"suspend": True}})  # Kueue evicts the Job of an inactive Workload
    lane.wait_for(run, "SuspendedByUser", "Suspended", timeout=40)
    wait_until(lambda: lane.has_no_pods(run), 30)
    lane.edit(run, {"suspend": False})
    wait_until(lambda: is_active(lane, name), 40, "the Workload is active again")
    lane.wait_for(run, "Queued", "Queued", timeout=40)
    assert lane.job_of(run)["spec"]["suspend"] is True
    patch_job(lane, run, {"spec": {"suspend": False}})
    pod = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, pod)


@story
def test_a_workload_that_an_administrator_deactivated_stays_so(lane):
    run = lane.create(labels=QUEUE)
    name = make_workload(lane, run)
    patch_job(lane, run, {"spec": {"suspend": True}})
    lane.rest.patch("workloads", lane.namespace, name, {"spec": {"active": False}})
    lane.wait_for(run, "Queued", "Queued", timeout=40)
    pass_some_time()
    assert not is_active(lane, name)
    assert lane.job_of(run)["spec"]["suspend"] is True


def test_the_queues_own_words_are_quoted(lane):
    run = lane.create(labels=QUEUE)
    lane.job_of(run)
    words = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu, 1 more needed"
    condition = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": words}
    make_workload(lane, run, conditions=[condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}])
    patch_job(lane, run, {"spec": {"suspend": True}})
    lane.wait_for(run, "Queued", "Queued", timeout=45, holds=lambda run: words in message_of(run))


def test_without_permission_for_workloads_suspend_under_a_queue_says_why_it_cannot_be(own_lane, proxied):
    _, running = proxied([own_lane.namespace], kueue_enabled="false")
    running.start()
    run, pod = own_lane.start(labels=QUEUE)
    own_lane.edit(run, {"suspend": True})
    seen = own_lane.wait_for(
        run, holds=lambda run: conditions_of(run)["Suspended"]["reason"] == "SuspendNotPossible", timeout=30
    )
    suspended = conditions_of(seen)["Suspended"]
    assert suspended["status"] == "False"
    assert "kueue.enabled" in suspended["message"]
    assert seen["status"]["phase"] == "Running"
    assert not own_lane.job_of(run)["spec"].get("suspend", False)
    own_lane.edit(run, {"suspend": False})
    back = own_lane.wait_for(run, "Running", "Running")
    assert conditions_of(back)["Suspended"]["reason"] == "NotSuspended"
    own_lane.finish(run, pod)


@story
def test_the_deadline_counts_from_the_resumption(lane):
    run, first = lane.start({"activeDeadlineSeconds": 5})
    lane.edit(run, {"suspend": True})
    lane.wait_for(run, "SuspendedByUser", "Suspended")
    wait_until(lambda: lane.has_no_pods(run), 30)
    pass_some_time(5)
    assert lane.read(run)["status"]["phase"] == "Suspended"
    lane.edit(run, {"suspend": False})
    pod = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.run(pod)
    lane.pods.end(pod, 0, complete_summary(run))
    lane.wait_for(run, "Complete", "Complete")


def test_suspending_a_job_that_ends_at_that_moment_loses_nothing(lane):
    run, pod = lane.start()
    lane.pods.end(pod, 0, complete_summary(run))
    lane.edit(run, {"suspend": True})
    done = lane.wait_for(run, "Complete", "Complete", timeout=30)
    assert done["status"]["counts"]["selected"] == 500


@pytest.mark.parametrize("value", ["yes", 1, "true"])
def test_suspend_is_a_boolean(lane, value):
    with pytest.raises(ApiError, match=r"spec.suspend.*must be of type boolean"):
        lane.create({"suspend": value})


def _alive(lane, pod):
    return lane.rest.get("pods", lane.namespace, pod["metadata"]["name"]) is not None

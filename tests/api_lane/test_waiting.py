"""Why a run waits: each reason within seconds, in the words of the part that holds it up."""

import time

import pytest
from testbed.fault_proxy import Fault
from testbed.lanes import complete_summary, conditions_of, summary
from testbed.played_pods import ProgressPage
from testbed.stories import story
from testbed.waiting import wait_until

SCHEDULER = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
PULL = 'Back-off pulling image "localhost/selection-job:test": not found'


def ready(run):
    found = conditions_of(run)["Ready"]
    return found["status"], found["reason"], found["message"]


def check_waits(lane, run, reason, words, kind="Warning"):
    """The run waits with this reason and these words, and an Event of this type says so too."""
    seen = lane.wait_for(run, reason, "Pending", holds=lambda run: words in ready(run)[2])
    held = {name for name, one in conditions_of(seen).items() if one["status"] == "True"}
    assert held == {"Accepted", "Reconciling"}
    events = wait_until(lambda: [e for e in lane.events_of(run) if e["reason"] == reason], 10, "its Event")
    assert {event["type"] for event in events} == {kind}
    assert words in events[-1]["message"]


@pytest.fixture
def run(lane):
    return lane.create()


@pytest.fixture
def pod(lane, run):
    return lane.pod_of(run)


def test_no_node_has_room(lane, run, pod):
    lane.pods.leave_unschedulable(pod, SCHEDULER)
    check_waits(lane, run, "Unschedulable", SCHEDULER)


@pytest.mark.parametrize(
    ("reason", "message", "shown"),
    [
        ("ImagePullBackOff", PULL, "ImagePullBackOff"),
        ("ErrImagePull", "rpc error: code = NotFound desc = no such image", "ImagePullBackOff"),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never", "ImagePullBackOff"),
        ("InvalidImageName", "couldn't parse image name", "ImagePullBackOff"),
        ("CreateContainerConfigError", 'secret "dashcam-read" not found', "MissingSecret"),
        ("CreateContainerConfigError", "couldn't find key token in Secret team/dashcam-read", "MissingSecret"),
        ("CreateContainerConfigError", 'configmap "proxy" not found', "ContainerNotStarted"),
        ("CreateContainerError", "failed to reserve container name", "ContainerNotStarted"),
        ("RunContainerError", "exec: selection-job: not found in $PATH", "ContainerNotStarted"),
    ],
)
def test_the_container_does_not_start(lane, run, pod, reason, message, shown):
    lane.pods.wait_in_container(pod, reason, message)
    check_waits(lane, run, shown, message)


@pytest.mark.parametrize(
    ("reason", "message", "shown"),
    [
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "input" : secret "dashcam-read" not found',
            "MissingSecret",
        ),
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "data" : mount failed: exit status 32',
            "VolumeNotMounted",
        ),
        ("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1"', "VolumeNotMounted"),
    ],
)
def test_a_volume_is_not_mounted(lane, run, pod, reason, message, shown):
    lane.pods.wait_in_container(pod, "ContainerCreating")
    lane.pods.post_event(pod, reason, message)
    check_waits(lane, run, shown, message)


def test_a_container_that_is_being_created_is_no_trouble(lane, run, pod):
    lane.pods.wait_in_container(pod, "ContainerCreating")
    time_is_up = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > time_is_up, 5)
    assert ready(lane.wait_for(run, "Pending", "Pending"))[0] == "False"


def test_an_old_trouble_is_forgotten_when_the_pod_runs(lane, run, pod):
    lane.pods.wait_in_container(pod, "ContainerCreating")
    lane.pods.post_event(pod, "FailedMount", 'MountVolume.SetUp failed for volume "a" : secret "b" not found')
    lane.wait_for(run, "MissingSecret")
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, pod)


def test_one_trouble_after_another_is_told_each(lane, run, pod):
    lane.pods.leave_unschedulable(pod, SCHEDULER)
    lane.wait_for(run, "Unschedulable")
    lane.pods.wait_in_container(pod, "ErrImagePull", "no such image")
    lane.wait_for(run, "ImagePullBackOff")
    lane.pods.wait_in_container(pod, "ContainerCreating")
    lane.wait_for(run, "Pending")
    lane.pods.run(pod)
    lane.finish(run, pod)
    wait_until(lambda: "Complete" in [event["reason"] for event in lane.events_of(run)], 10)
    reasons = [event["reason"] for event in lane.events_of(run)]
    assert [one for one in reasons if one in ("Unschedulable", "ImagePullBackOff", "Complete")] == [
        "Unschedulable",
        "ImagePullBackOff",
        "Complete",
    ]


def test_flapping_of_the_kubelets_words_is_one_reason(lane, run, pod):
    """ErrImagePull and ImagePullBackOff alternate for ever; the reason stays, with one Event."""
    for reason in ("ErrImagePull", "ImagePullBackOff") * 3:
        lane.pods.wait_in_container(pod, reason, PULL)
    lane.wait_for(run, "ImagePullBackOff")
    assert [e["reason"] for e in lane.events_of(run)].count("ImagePullBackOff") <= 1


def test_quota_holds_the_pod_back_until_it_is_raised(shared, operator):
    lane = shared["quota"]
    hard = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "0"}}}
    lane.rest.create("resourcequotas", lane.namespace, hard)
    wait_until(
        lambda: lane.rest.get("resourcequotas", lane.namespace, "pods").get("status", {}).get("hard"),
        20,
        "the quota counts",
    )
    run = lane.create()
    check_waits(lane, run, "QuotaExceeded", "exceeded quota: pods")
    lane.rest.delete("resourcequotas", lane.namespace, "pods")
    pod = lane.pod_of(run, timeout=60)
    lane.pods.run(pod)
    lane.wait_for(run, "Running")


def test_admission_that_refuses_the_pod_is_quoted(shared, operator):
    """A LimitRange stands for every admission plugin and webhook."""
    lane = shared["quota"]
    limit = {"type": "Container", "max": {"ephemeral-storage": "1Mi"}}
    lane.rest.create("limitranges", lane.namespace, {"metadata": {"name": "tiny"}, "spec": {"limits": [limit]}})
    try:
        check_waits(lane, lane.create(), "PodRefused", "maximum ephemeral-storage usage per Container is 1Mi")
    finally:
        lane.rest.delete("limitranges", lane.namespace, "tiny")


def test_a_missing_service_account_is_quoted(lane):
    run = lane.create({"podTemplate": {"serviceAccountName": "nobody"}})
    check_waits(lane, run, "PodRefused", 'serviceaccount "nobody" not found')


@story
def test_an_attempt_that_failed_is_quoted_while_the_next_one_starts(lane):
    run = lane.create()
    word = summary(75, "TryAgain", "The bucket answered 503 for a minute.", "EMBEDDING")
    first = lane.fail_pod(run, exit_code=75, last_word=word)
    check_waits(lane, run, "Retrying", "The bucket answered 503 for a minute.")
    second = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.run(second)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, second)


@story
def test_a_second_attempt_that_waits_tells_its_own_trouble(lane):
    run = lane.create()
    first = lane.fail_pod(run, exit_code=1)
    lane.wait_for(run, "Retrying")
    second = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.leave_unschedulable(second, SCHEDULER)
    lane.wait_for(run, "Unschedulable", "Pending")


def test_the_operator_without_permission_says_so_and_goes_on_when_it_has_it(own_lane, proxied):
    """Forbidden comes from the API server to the operator itself: here to the Job's creation."""
    proxy, running = proxied([own_lane.namespace])
    running.start()
    proxy.rules.faults["forbidden"] = Fault(1, "403", times=3, only="POST jobs")
    run = own_lane.create(name="forbidden")
    seen = own_lane.wait_for(run, "Forbidden", "Pending", timeout=30)
    assert "jobs is forbidden" in ready(seen)[2]
    pod = own_lane.pod_of(run, timeout=60)
    own_lane.pods.run(pod)
    own_lane.wait_for(run, "Running", "Running")


def test_a_run_with_progress_stays_running_while_the_page_is_silent(lane):
    with ProgressPage() as page:
        page.value = {"stage": "EMBEDDING", "done": 1, "total": 2}
        run, pod = lane.start(address=page.address)
        lane.wait_for(run, "Running", holds=lambda run: run["status"].get("progress"))
    asked = len(page.asked)
    assert asked
    lane.pods.end(pod, 0, complete_summary(run))
    lane.wait_for(run, "Complete")

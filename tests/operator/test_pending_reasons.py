"""Why a run waits, in the cluster's own words."""

from datetime import timedelta

import pytest

from selection_operator.runs.pending_reasons import needs_events, why_no_pod, why_not_running

QUOTA = 'Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: limits.cpu=1, used: limits.cpu=2'
SECURITY = 'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest"'
NO_SECRET = 'MountVolume.SetUp failed for volume "input-secret" : secret "dashcam-read" not found'
NO_VOLUME = 'MountVolume.SetUp failed for volume "pv" : hostPath type check failed: /x is not a directory'


@pytest.mark.parametrize(
    ("events", "reason", "words"),
    [
        ([], "Pending", ""),
        ([("FailedCreate", QUOTA)], "QuotaExceeded", "limits.cpu=1"),
        ([("FailedCreate", SECURITY)], "PodRefused", "PodSecurity"),
        ([("SuccessfulCreate", "Created pod")], "Pending", ""),
    ],
)
def test_a_job_without_pod_waits_for(play, events, reason, words):
    wait = why_no_pod([play.event(*each) for each in events])
    assert wait.reason == reason
    assert words in wait.message


def test_an_event_that_stands_for_many_is_quoted_as_the_first_one_was(play):
    """From the tenth on, client-go combines Events about one object, and says so in front of the last one's words."""
    combined = why_no_pod([play.event("FailedCreate", f"(combined from similar events): {QUOTA}")])
    assert combined == why_no_pod([play.event("FailedCreate", QUOTA)])


def test_a_refusal_from_before_the_last_pod_is_old_news(play):
    assert why_no_pod([play.event("FailedCreate", QUOTA, 60)], since=play.ago(30)).reason == "Pending"


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("pod", "events", "reason", "words"),
    [
        ({}, [], "Pending", ""),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: 3 Insufficient gpu"}]}, [],
         "Unschedulable", "0/3 nodes: 3 Insufficient gpu"),
        ({"state": waiting("ImagePullBackOff", "Back-off pulling image")}, [], "ImagePullBackOff", "Back-off"),
        ({"state": waiting("ErrImageNeverPull", "absent")}, [], "ImagePullBackOff", "ErrImageNeverPull: absent"),
        ({"state": waiting("CreateContainerConfigError", 'secret "s" not found')}, [], "MissingSecret", '"s"'),
        ({"state": waiting("CreateContainerConfigError", 'configmap "c" not found')}, [], "ContainerNotStarted", '"c"'),
        ({"state": waiting("CreateContainerError", "boom")}, [], "ContainerNotStarted", "boom"),
        ({"state": waiting("ContainerCreating")}, [("FailedMount", NO_SECRET)], "MissingSecret", "dashcam-read"),
        ({"state": waiting("ContainerCreating")}, [("FailedMount", NO_VOLUME)], "VolumeNotMounted", "hostPath"),
        ({"state": waiting("ContainerCreating")}, [("Pulling", "Pulling image")], "Pending", ""),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_run_waits_for(play, pod, events, reason, words):
    wait = why_not_running(play.pod(play.raw_pod(**pod)), [play.event(*each) for each in events])
    assert wait.reason == reason
    assert words in wait.message


def test_a_long_message_is_cut(play):
    wait = why_not_running(play.pod(play.raw_pod(state=waiting("CreateContainerError", "x" * 100_000))), [])
    assert len(wait.message) < 3000


@pytest.mark.parametrize(
    ("job", "pods", "asked"),
    [
        (None, [], None),
        ({"created": 1}, [], None),
        ({"created": 3}, [], ("Job", "dashcam-1f2e3d4c")),
        ({"created": 3, "suspend": True}, [], None),
        ({"created": 3, "conditions": [{"type": "Failed", "status": "True"}]}, [], None),
        ({}, [{"created": 1}], None),
        ({}, [{"created": 3}], ("Pod", "one")),
        ({}, [{"created": 3, "phase": "Running", "state": {"running": {"startedAt": "2026-03-01T11:59:58Z"}}}], None),
        ({}, [{"created": 3, "state": {"waiting": {"reason": "ErrImagePull"}}}], None),
    ],
    ids=["no job", "new job", "job without pod", "suspended", "over", "new pod", "silent pod", "running", "it speaks"],
)
def test_events_are_read_only_where_status_says_nothing(play, job, pods, asked):
    view = play.job(**job) if job is not None else None
    assert needs_events(view, [play.pod(play.raw_pod(**pod)) for pod in pods], play.NOW) == asked


def test_patience_is_measured_from_the_last_pod(play):
    failed = play.pod(play.ended(75, created=100))
    assert needs_events(play.job(created=200), [failed], play.NOW - timedelta(seconds=99)) is None
    assert needs_events(play.job(created=200), [failed], play.NOW) == ("Job", "dashcam-1f2e3d4c")

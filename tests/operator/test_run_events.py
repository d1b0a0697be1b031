"""Kubernetes Events: one for each new reason, the same whoever records it."""

import pytest

from selection_operator.runs.run_events import make_event


def status(reason, message="words"):
    return {"conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": message}]}


def test_a_new_reason_is_an_event(play):
    event = make_event(play.run(status=status("Running")), status("Pending"), play.NOW)
    assert (event["reason"], event["type"], event["involvedObject"]["uid"]) == ("Running", "Normal", play.UID)


def test_the_same_reason_is_none(play):
    assert make_event(play.run(status=status("Running", "other words")), status("Running"), play.NOW) is None


@pytest.mark.parametrize("reason", ["Unschedulable", "ImagePullBackOff", "OOMKilled", "InvalidSpec", "Retrying"])
def test_a_bad_reason_is_a_warning(play, reason):
    assert make_event(play.run(status=status(reason)), {}, play.NOW)["type"] == "Warning"


def test_two_operators_record_one_event(play):
    run = play.run(status=status("Running"))
    assert make_event(run, {}, play.NOW)["metadata"] == make_event(run, status("Pending"), play.NOW)["metadata"]


def test_a_long_message_is_cut_to_what_the_server_takes(play):
    assert len(make_event(play.run(status=status("Running", "x" * 5000)), {}, play.NOW)["message"]) == 1024

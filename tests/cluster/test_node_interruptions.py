"""Runs that are stopped in the middle, and go on where they were."""

import pytest
from testbed.waiting import wait_until

EPOCHS = 25


@pytest.fixture
def training(runs, recorder, filled_volume, make_cluster_manifest):
    """A run that trains for a while, and has begun to."""
    worker = {"enable_training": True, "checkpoint": None}
    lightly = {"pre_trained": False, "trainer": {"gpus": 0, "max_epochs": EPOCHS}}
    name = runs.apply(make_cluster_manifest(workerConfig=worker, lightlyConfig=lightly), "training")
    wait_until(lambda: batches_done(runs.status(name)) > 0, 120, "training has begun")
    return name


def batches_done(status):
    """Return how far the training is; 0 in any other stage."""
    return status["progress"]["done"] if status.get("stage") == "TRAINING" and status.get("progress") else 0


def assert_it_went_on(before, after):
    """The training went on from where it was, or beyond, and not from its first batch."""
    reached = max(batches_done(status) for status in before)
    went_on = [batches_done(status) for status in after if batches_done(status)]
    assert went_on
    assert min(went_on) >= reached > 0


def test_a_suspended_run_stops_its_pod_and_goes_on_from_its_last_batch_when_resumed(runs, training, recorder):
    runs.set_suspended(training, True)
    status = runs.wait_for_phase(training, "Suspended")
    assert status["conditions"]["Suspended"]["reason"] == "SuspendedByUser"
    wait_until(lambda: not runs.running_pods(training), 90, "the pod has stopped")
    before = recorder.statuses(training)
    runs.set_suspended(training, False)
    runs.wait_for_phase(training, "Complete", 240)
    assert_it_went_on(before, recorder.statuses(training)[len(before) :])


def test_a_run_whose_pod_is_evicted_is_not_charged_for_it_and_goes_on(runs, training, recorder):
    evicted = runs.running_pods(training)[0]
    runs.evict(evicted)
    wait_until(lambda: evicted not in runs.running_pods(training), 90, "the pod has stopped")
    before = recorder.statuses(training)
    status = runs.wait_for_phase(training, "Complete", 240)  # with a backoffLimit of 0
    assert status["disruptions"]["count"] == 1
    assert_it_went_on(before, recorder.statuses(training)[len(before) :])


def test_a_run_that_is_suspended_from_the_start_makes_no_job_until_it_is_resumed(runs, volume, make_cluster_manifest):
    volume.make_folder("input")
    name = runs.apply(make_cluster_manifest(suspend=True), "later")
    runs.wait_for_phase(name, "Suspended")
    assert runs.jobs(name) == []
    runs.set_suspended(name, False)
    assert runs.wait_for_phase(name, "Failed")["failure"]["reason"] == "UnusableData"
    assert len(runs.jobs(name)) == 1

"""Progress: times per stage from an injected clock, log lines with rate and time left."""

import logging

import pytest

from selection_api import Stage
from selection_job.errors import StopRequest
from selection_job.process.progress import Progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_time_spent_in_a_stage_adds_up_over_its_parts(clock):
    progress = Progress(quiet=True, clock=clock)
    for seconds in (2.0, 3.5):
        with progress.stage(Stage.EMBEDDING):
            clock.now += seconds
    assert progress.stage_seconds == {"EMBEDDING": 5.5}


@pytest.mark.parametrize("gap", [0.0, 1.5])
def test_the_times_of_the_stages_add_up_to_that_of_the_run(clock, gap):
    clock.now = 7.0
    progress = Progress(quiet=True, clock=clock)
    clock.now += 2 * gap
    for stage, seconds in ((Stage.LOADING_DATASET, 1.0), (Stage.EMBEDDING, 2.0), (Stage.SAMPLING, 0.0)):
        with progress.stage(stage):
            clock.now += seconds
            assert progress.elapsed() == clock.now - 7
        clock.now += gap
    with progress.stage(Stage.GENERATING_REPORT):
        begun = {"INITIALIZING": 2 * gap, "LOADING_DATASET": 1 + gap, "EMBEDDING": 2 + gap, "SAMPLING": gap}
        assert progress.stage_seconds == {name: seconds for name, seconds in begun.items() if gap or name[0] != "I"}
        assert sum(progress.stage_seconds.values()) == progress.elapsed() == clock.now - 7


def test_a_stage_that_fails_is_timed_and_stays_the_current_one(clock):
    progress = Progress(quiet=True, clock=clock)
    with pytest.raises(ZeroDivisionError), progress.stage(Stage.SAMPLING):
        clock.now += 1
        _ = 1 / 0
    assert (progress.current, progress.stage_seconds) == (Stage.SAMPLING, {"SAMPLING": 1.0})


def test_without_a_terminal_a_step_logs_now_and_then_with_rate_and_time_left(clock, caplog):
    caplog.set_level(logging.INFO)
    progress = Progress(clock=clock)
    with progress.bar("Reading", 100, "images") as bar:
        for _ in range(100):
            clock.now += 1
            bar.advance()
    assert caplog.messages == [
        "Reading: 30 of 100 images (30%), 1.0/s, 70 s left",
        "Reading: 60 of 100 images (60%), 1.0/s, 40 s left",
        "Reading: 90 of 100 images (90%), 1.0/s, 10 s left",
        "Reading: 100 of 100 images (100%), 1.0/s, 0 s left",
    ]


def test_a_stop_request_that_was_swallowed_is_raised_at_the_next_step():
    progress = Progress(quiet=True)
    with progress.bar("Reading", 10) as bar:
        bar.advance()
        progress.stop_request = StopRequest("SIGTERM")
        with pytest.raises(StopRequest):
            bar.advance()


def test_a_stop_request_that_was_swallowed_is_raised_at_the_next_stage():
    progress = Progress(quiet=True)
    progress.stop_request = StopRequest("SIGTERM")
    with pytest.raises(StopRequest), progress.stage(Stage.SAMPLING):
        pass


def test_what_a_resumed_step_begins_with_is_no_throughput(clock, caplog):
    caplog.set_level(logging.INFO)
    progress = Progress(clock=clock)
    with progress.stage(Stage.TRAINING), progress.bar("Training", 100, "batches", done=60) as bar:
        assert (progress.position.done, progress.position.total) == (60, 100)
        clock.now += 30
        bar.advance(30)
    assert caplog.messages[-1] == "Training: 90 of 100 batches (90%), 1.0/s, 10 s left"
    assert progress.units_done == {"TRAINING": 30}


def test_a_stage_logs_a_line_where_no_terminal_is(clock, caplog):
    caplog.set_level(logging.INFO)
    with Progress(clock=clock).stage(Stage.SAMPLING):
        pass
    assert caplog.messages == ["Stage SAMPLING"]


def test_a_stage_begins_without_the_bar_of_the_one_before_and_keeps_its_own_until_it_ends(clock):
    progress = Progress(quiet=True, clock=clock)
    seen = []

    def look():
        seen.append((progress.position.stage, progress.position.done, progress.position.total))

    progress.on_stage = look
    with progress.stage(Stage.EMBEDDING):
        with progress.bar("Reading", 2) as bar:
            bar.advance(5)
        look()
    look()
    with progress.stage(Stage.SAMPLING):
        pass
    assert seen == [("EMBEDDING", 0, 0), ("EMBEDDING", 2, 2), ("EMBEDDING", 2, 2), ("SAMPLING", 0, 0)]


def test_seconds_until_now_hold_the_present_stage_too_and_never_fall(clock):
    progress = Progress(quiet=True, clock=clock)
    seen = []

    def look():
        seen.append(progress.position.seconds_at(clock.now).get("EMBEDDING", 0.0))

    for _ in range(2):
        look()
        with progress.stage(Stage.EMBEDDING):
            look()
            clock.now += 2
            look()
        look()
    assert seen == [0, 0, 2, 2, 2, 2, 4, 4]


def test_counts_are_told_as_they_become_known():
    progress = Progress(quiet=True)
    progress.count(input=9)
    progress.count(corrupt=1, duplicate=2)
    assert progress.counts.model_dump(exclude_unset=True) == {"input": 9, "corrupt": 1, "duplicate": 2}

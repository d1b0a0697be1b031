"""Progress: times per stage from an injected clock, log lines with rate and time left."""

import logging

import pytest

from selection_api import Stage
from selection_job.errors import StopRequest
from selection_job.progress import Progress


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


def test_what_is_done_can_be_read_while_it_goes_on():
    progress = Progress(quiet=True)
    with progress.bar("Reading", 10) as bar:
        bar.advance(3)
        assert (progress.bar_now.done, progress.bar_now.total) == (3, 10)
    assert progress.bar_now is None

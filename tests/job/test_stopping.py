"""Stopping: a signal raises StopRequest once; where that does not lead to the end in time, the process is ended."""

import signal
import subprocess
import sys
import threading

import pytest
from testbed.waiting import wait_until

from selection_api import RunSummary
from selection_job.errors import StopRequest
from selection_job.process.progress import Progress
from selection_job.process.stopping import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_raises_once_and_the_handlers_before_come_back(number):
    before = signal.getsignal(number)
    progress = Progress(quiet=True)
    with pytest.raises(StopRequest, match=number.name), stop_on_signals(progress, pytest.fail):
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # has no effect: the clean-up goes on
    assert signal.getsignal(number) is before
    assert str(progress.stop_request) == number.name


def test_a_block_that_ends_leaves_no_thread_behind():
    with stop_on_signals(Progress(quiet=True), pytest.fail):
        assert any(thread.name == "stopping" for thread in threading.enumerate())
    wait_until(lambda: all(thread.name != "stopping" for thread in threading.enumerate()))


def test_a_block_that_does_not_end_in_time_is_given_up():
    given_up = threading.Event()
    names = []

    def give_up(name):
        names.append(name)
        given_up.set()

    with pytest.raises(StopRequest), stop_on_signals(Progress(quiet=True), give_up, give_up_seconds=0.1):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            assert given_up.wait(30)
    assert names == ["SIGTERM"]


HANGING = """
import os, signal, sys, threading
from pathlib import Path
from selection_job import __main__ as command_line
from selection_job.process import stopping

stopping.stop_on_signals.__wrapped__.__kwdefaults__["give_up_seconds"] = 0.2

def hang(*_):
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        threading.Event().wait()

command_line._carry_out = hang
command_line.main(["run", "x"], termination_message=Path(sys.argv[1]))
"""


def test_a_process_whose_clean_up_hangs_ends_with_75_and_its_last_word(tmp_path):
    message = tmp_path / "termination-log"
    message.touch()
    ended = subprocess.run(
        [sys.executable, "-c", HANGING, str(message)], check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 75, ended.stderr
    assert "cut off" in ended.stderr
    assert RunSummary.from_bytes(message.read_bytes()).message.startswith("Stopped by SIGTERM")

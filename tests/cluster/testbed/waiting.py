"""Waiting for a condition: polling with a deadline."""

import time


def wait_until(function, timeout=30.0, message=""):
    """Return the first truthy value of function(), or fail with its last value after timeout seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.02
    while not (value := function()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{message or 'the condition'}: not so within {timeout:g} s, last value: {value!r}")
        time.sleep(pause)
        pause = min(2 * pause, 0.25)
    return value

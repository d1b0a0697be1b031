"""Commands that build and download: each ends in time, or is stopped with its children and tells what it was at."""

import contextlib
import os
import signal
import subprocess

LIMIT_S = 2700
"""All programs together take 15 minutes on two quiet cores; a step that takes three times as long hangs."""


def run(command, *, cwd=None, env=None, limit_s=LIMIT_S):
    """Run a command and return what it prints.

    Raises RuntimeError with the command, its folder and its last words where it fails or does not end in time.
    """
    words = [str(word) for word in command]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    what = " ".join(words) + (f" in {cwd}" if cwd else "")
    try:
        said, complaints = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        raise RuntimeError(_explain(f"{what} hung: it was stopped after {limit_s} s", *process.communicate())) from None
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        raise RuntimeError(_explain(f"{what} ended with {process.returncode}", said, complaints))
    return said


def _end(process):
    """End the command and its children, which hold its pipes open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _explain(what, said, complaints):
    return f"{what}:\n{said[-2000:]}{complaints[-4000:]}"

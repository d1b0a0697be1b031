"""Helpers: processes that compile kernels while this one compiles others, where a machine has none kept yet.

Numba compiles one kernel at a time in a process, and most of it is Python's work. Which group of kernels a helper
compiles is told by the name that compile_kernels.py gives it.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from selection_job.numeric.compiling import is_kept, kernel_folder

TOO_LONG_S = 120.0
"""After which a helper is not waited for any more: the kernels are then compiled here."""


class Helper:
    """A helper at work, or none."""

    def __init__(self, process: "subprocess.Popen[bytes] | None") -> None:
        self._reaper = None if process is None else threading.Thread(target=process.wait, daemon=True)
        if self._reaper is not None:
            self._reaper.start()

    def wait(self) -> None:
        """Return when it has ended, however that went: what it did not keep is compiled by whoever needs it."""
        if self._reaper is not None:
            self._reaper.join(TOO_LONG_S)


def start_helper(group: str, kernel: Callable[..., Any]) -> Helper:
    """Compile a group in a process of its own where its main kernel is not kept, and there is a core for it."""
    if is_kept(kernel) or len(os.sched_getaffinity(0)) < 2 or not sys.executable:
        return Helper(None)
    command = [sys.executable, "-m", "selection_job.numeric.compile_kernels", str(kernel_folder().parent), group]
    nowhere = subprocess.DEVNULL
    try:
        return Helper(subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere))
    except OSError:
        return Helper(None)

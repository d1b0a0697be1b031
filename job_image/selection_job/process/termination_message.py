"""Last word: what a process leaves for the kubelet to pick up when it has ended, whatever ended it.

A preliminary word lies there from the start and says which stage the run is in, so that a process that is killed (out
of memory, node lost) leaves a word too. The real last word replaces it.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from selection_api import ExitCode, RunSummary
from selection_job.errors import JobError
from selection_job.process.progress import Progress

TERMINATION_MESSAGE = Path("/dev/termination-log")  # where the kubelet looks; absent outside a pod

_LONGEST_MESSAGE = 1500
_KILLED = (
    "The process ended without a last word: it was killed, for example for memory, or its node went down. "
    "Finished stages are kept."
)


@dataclass
class TerminationMessage:
    """The word of one process. Nothing is raised where it can't be left: a run never fails for its message."""

    path: Path
    progress: Progress
    run_id: str = ""

    def leave(self, summary: RunSummary) -> None:
        """Write the summary where the kubelet looks; outside a pod there is no such file, and nothing is written."""
        with suppress(OSError):
            _overwrite(self.path, summary.to_bytes())

    def leave_preliminary(self) -> None:
        """Leave what holds if the process is killed from now on."""
        self.leave(self.summarize(ExitCode.UNEXPECTED, _KILLED))

    def leave_error(self, error: BaseException) -> None:
        """Leave the sentence of an end that is understood, else the exception's class and message."""
        if isinstance(error, JobError):
            self.leave(self.summarize(error.exit_code, str(error)))
        else:
            self.leave(self.summarize(ExitCode.UNEXPECTED, describe_error(error)))

    def summarize(self, exit_code: ExitCode, message: str) -> RunSummary:
        """Return the summary of an end at the present stage, with the counts as far as they are known."""
        text = message.encode("utf-8", "backslashreplace").decode()  # names of files may be no text
        summary = RunSummary.of_exit(exit_code, text, stage=self.progress.current, run_id=self.run_id)
        return summary.model_copy(update={"counts": self.progress.counts})


def describe_error(error: BaseException) -> str:
    """Return class and message of an exception that nobody expected, shortened: the traceback is in the log."""
    message = f"{type(error).__name__}: {error}".removesuffix(": ")
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]} […]"
    return f"Unexpected error: {message}. The traceback is in the pod's log."


def _overwrite(path: Path, content: bytes) -> None:
    """Replace the content by one write, padded to the old length: killed at any moment, a whole word is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        old_bytes = os.fstat(descriptor).st_size
        os.pwrite(descriptor, content.ljust(min(old_bytes, 4096)), 0)  # blanks after JSON are JSON
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)

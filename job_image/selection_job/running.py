"""Run a manifest as a process: scratch folder, signals, the last word, the exit code."""

import errno
import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from selection_api import ExitCode, RunSummary, SelectionRun, accepted_without_effect
from selection_job.errors import JobError, Stopped, StopRequest, StorageUnavailable
from selection_job.machine import count_cores, read_versions
from selection_job.pipeline import run_pipeline
from selection_job.progress import Progress
from selection_job.results.closing_words import closing_words
from selection_job.workplace import Workplace, identify_run, set_up

log = logging.getLogger("selection_job")

_TERMINATION_MESSAGE = Path("/dev/termination-log")  # where the kubelet looks; absent outside a pod
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def run_manifest(run: SelectionRun, *, termination_message: Path = _TERMINATION_MESSAGE) -> int:
    """Run the manifest in this process and return the exit code of api.md.

    Raises nothing that is understood; anything unexpected passes, with its traceback.
    """
    progress = Progress()
    try:
        with _stop_on_signals(progress), tempfile.TemporaryDirectory(prefix="selection-job-") as scratch:
            summary = _run(run, Path(scratch), progress)
    except (JobError, OSError, StopRequest) as error:
        failure = _understand(error)
        word = RunSummary.of_exit(failure.exit_code, str(failure), stage=progress.current, run_id=identify_run(run))
        _leave_word(termination_message, word)
        print(f"selection-job: {failure}", file=sys.stderr)
        return failure.exit_code
    _leave_word(termination_message, summary)
    return ExitCode.DONE


def _run(run: SelectionRun, scratch: Path, progress: Progress) -> RunSummary:
    threads = run.spec.worker_config.num_processes
    torch.set_num_threads(threads if threads > 0 else count_cores())
    place = set_up(run, scratch, progress)
    for note in accepted_without_effect(run.spec):
        log.info("%s", note)
    if run.spec.worker_config.sanity_check:
        return _check_sanity(place)
    summary = run_pipeline(place)
    print(closing_words(summary, progress.stage_seconds))
    return summary


def _check_sanity(place: Workplace) -> RunSummary:
    """List the input and write, read and delete a probe in the lightly datasource; nothing else."""
    next(iter(place.source.list()), None)
    key, content = f".lightly/sanity-check-{uuid.uuid4().hex}", b"selection-job"
    place.target.write(key, content)
    if place.target.read(key) != content:
        raise StorageUnavailable(f"{place.target.url}{key} did not read back as it was written.")
    place.target.delete(key)
    print(f"selection-job {read_versions()['selection-operator']}: sanity check passed, both datasources answer.")
    return RunSummary.of_exit(ExitCode.DONE, "sanity check passed", run_id=place.run_id)


@contextmanager
def _stop_on_signals(progress: Progress) -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into StopRequest, once, in the main thread."""

    def stop(number: int, _: FrameType | None) -> None:
        for handled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(handled, signal.SIG_IGN)  # a second one must not cut the clean-up short
        progress.stop_request = StopRequest(signal.Signals(number).name)
        raise progress.stop_request

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _understand(error: JobError | OSError | StopRequest) -> JobError:
    if isinstance(error, JobError):
        return error
    if isinstance(error, StopRequest):
        return Stopped(f"Stopped by {error}. Finished stages are kept: the same command goes on from there.")
    if error.errno in _DISK_FULL:
        return StorageUnavailable(f"No space left for {error.filename or tempfile.gettempdir()}: {error.strerror}.")
    raise error


def _leave_word(path: Path, summary: RunSummary) -> None:
    """Write the last word where the kubelet picks it up; outside a pod there is no such file."""
    if path.exists() and os.access(path, os.W_OK):
        path.write_bytes(summary.to_bytes())

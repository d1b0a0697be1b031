"""Run a manifest as a process: scratch folder, progress for machines, the last word, the exit code."""

import errno
import logging
import os
import tempfile
import uuid
from pathlib import Path

import torch

from selection_api import ExitCode, RunSummary, SelectionRun, accepted_without_effect
from selection_job.errors import StorageUnavailable
from selection_job.pipeline import run_pipeline
from selection_job.process.environment import complete_environment
from selection_job.process.machine import count_cores, read_versions
from selection_job.process.progress import Progress
from selection_job.process.progress_server import ADDRESS_VARIABLE, serve_progress
from selection_job.process.termination_message import TerminationMessage
from selection_job.process.waiting import tell_waits
from selection_job.publishing.console_summary import console_summary
from selection_job.run.context import RunContext, set_up

log = logging.getLogger("selection_job")

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def run_manifest(run: SelectionRun, progress: Progress, word: TerminationMessage) -> int:
    """Run the manifest in this process, leave its last word and return the exit code.

    Raises JobError, StopRequest, and whatever nobody expected.
    """
    complete_environment()
    progress.on_stage = word.leave_preliminary
    try:
        with tempfile.TemporaryDirectory(prefix="selection-job-", ignore_cleanup_errors=True) as scratch:
            summary = _run(run, Path(scratch), progress)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        where = error.filename or tempfile.gettempdir()
        raise StorageUnavailable(f"No space left for {where}: {error.strerror}.") from error
    word.leave(summary)
    return ExitCode.DONE


def _run(run: SelectionRun, scratch: Path, progress: Progress) -> RunSummary:
    threads = run.spec.worker_config.num_processes
    torch.set_num_threads(threads if threads > 0 else count_cores())
    contexts = list[RunContext]()  # none yet: who asks how far the run is may be told that a bucket does not answer
    address = os.environ.get(ADDRESS_VARIABLE, "")

    def count_bytes_read() -> int:
        return contexts[0].source.bytes_read if contexts else 0

    with tell_waits(), serve_progress(address, progress, bytes_read=count_bytes_read, versions=read_versions()):
        context = set_up(run, scratch, progress)
        contexts.append(context)
        for note in accepted_without_effect(run.spec):
            log.info("%s", note)
        if run.spec.worker_config.sanity_check:
            return _check_sanity(context)
        summary = run_pipeline(context)
    if progress.report is not None:
        print(console_summary(summary, progress.report, progress.stage_seconds, context.medium), flush=True)
    return summary


def _check_sanity(context: RunContext) -> RunSummary:
    """List the input and write, read and delete a probe in the lightly datasource; nothing else."""
    next(iter(context.source.list(unreadable=[])), None)
    key, content = f".lightly/sanity-check-{uuid.uuid4().hex}", b"selection-job"
    context.target.write(key, content)
    if context.target.read(key) != content:
        raise StorageUnavailable(f"{context.target.url}{key} did not read back as it was written.")
    context.target.delete(key)
    print(f"selection-job {read_versions()['selection-operator']}: sanity check passed, both datasources answer.")
    return RunSummary.of_exit(ExitCode.DONE, "sanity check passed", run_id=context.run_id)

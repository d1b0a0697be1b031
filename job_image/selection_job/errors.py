"""The job's errors: one tree, and the exit code that each branch ends in.

JobError
├── IncompleteInstallation 1  a package is missing
├── InvalidManifest      2   the manifest is wrong (names the field and the rule)
├── UnusableData         3   nothing listed, all corrupt, nothing selected, a named file is missing
├── StorageRefused       4   credentials, permission, no such bucket or folder
│   └── ObjectRefused        one object only: whoever reads many images notes it and goes on
└── TryAgain            75   passing faults
    ├── StorageUnavailable   the storage or the disk failed for now
    └── Stopped              SIGTERM or Ctrl-C; finished stages are kept

Beside the tree stand ObjectMissing, an object that was listed and is gone (its reader decides what that means), and
StopRequest, which a signal raises anywhere in the main thread and which ends as Stopped.
"""

from selection_api.names import ExitCode


class JobError(Exception):
    """An end of the run that is understood; str() is the sentence for the user."""

    exit_code: ExitCode = ExitCode.UNEXPECTED


class IncompleteInstallation(JobError):
    """A package that the command needs is not installed: an extra was left out."""


class InvalidManifest(JobError):
    """The manifest is wrong: the user edits it, nobody retries."""

    exit_code = ExitCode.INVALID_MANIFEST


class UnusableData(JobError):
    """The data can't be used: the user changes the data, nobody retries."""

    exit_code = ExitCode.UNUSABLE_DATA


class StorageRefused(JobError):
    """The storage says no: credentials, permission, a bucket or folder that does not exist."""

    exit_code = ExitCode.STORAGE_REFUSED


class ObjectRefused(StorageRefused):
    """The storage gives one object not out while it gives out others."""


class TryAgain(JobError):
    """A passing fault: the same command may succeed later."""

    exit_code = ExitCode.TRY_AGAIN


class StorageUnavailable(TryAgain):
    """The storage or the local disk failed for now (timeouts, disk full)."""


class Stopped(TryAgain):
    """Someone asked the job to stop; finished stages are kept and reused by the same command."""


class ObjectMissing(Exception):
    """An object that was there when listed, or that was named by a user, is not there."""


class StopRequest(KeyboardInterrupt):
    """A signal asked the job to stop. No Exception: logging and libraries swallow those wherever they happen to be."""

"""Words that users, the operator and the job share: group and kind, stages, conditions, reasons, exit codes."""

from enum import IntEnum, StrEnum

GROUP = "dataselection.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "SelectionRun"
PLURAL = "selectionruns"
SHORT_NAME = "selrun"


class ExitCode(IntEnum):
    """How the job ends."""

    DONE = 0
    UNEXPECTED = 1
    INVALID_MANIFEST = 2
    UNUSABLE_DATA = 3
    STORAGE_REFUSED = 4
    TRY_AGAIN = 75


NEVER_RETRIED = (ExitCode.INVALID_MANIFEST, ExitCode.UNUSABLE_DATA, ExitCode.STORAGE_REFUSED)
"""Whoever wrote the manifest has to act first."""


class Stage(StrEnum):
    """Where a run is, in the words of the Lightly worker, in the order they occur."""

    # The job enters one by progress.stage() where its work begins: in pipeline, stages/medium, stages/sources,
    # stages/encoder or publishing. The operator takes this order for the order of a run (runs/disruptions).
    INITIALIZING = "INITIALIZING"
    LOADING_DATASET = "LOADING_DATASET"
    LOADING_METADATA = "LOADING_METADATA"
    LOADING_PREDICTION = "LOADING_PREDICTION"
    PRETAGGING = "PRETAGGING"
    CHECKING_CORRUPTNESS = "CHECKING_CORRUPTNESS"
    COMPUTING_METADATA = "COMPUTING_METADATA"
    TRAINING = "TRAINING"
    EMBEDDING = "EMBEDDING"
    COMPUTING_ACTIVE_LEARNING_SCORES = "COMPUTING_ACTIVE_LEARNING_SCORES"
    SAMPLING = "SAMPLING"
    SAVING_RESULTS = "SAVING_RESULTS"
    GENERATING_REPORT = "GENERATING_REPORT"
    UPLOADING_ARTIFACTS = "UPLOADING_ARTIFACTS"
    COMPLETED = "COMPLETED"


class Phase(StrEnum):
    """The status in one word for people, derived from the conditions."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"
    INVALID = "Invalid"


class ConditionType(StrEnum):
    """status.conditions, by kstatus rules."""

    ACCEPTED = "Accepted"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Reasons of conditions, of status.failure, of a RunSummary and of Events."""

    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    NOT_SUPPORTED = "NotSupported"
    TOO_LARGE = "TooLarge"
    JOB_REFUSED = "JobRefused"
    PENDING = "Pending"
    QUEUED = "Queued"
    SUSPENDED_BY_USER = "SuspendedByUser"
    SUSPEND_NOT_POSSIBLE = "SuspendNotPossible"
    NOT_SUSPENDED = "NotSuspended"
    RUNNING = "Running"
    RETRYING = "Retrying"
    COMPLETE = "Complete"
    INVALID_MANIFEST = "InvalidManifest"
    UNUSABLE_DATA = "UnusableData"
    STORAGE_REFUSED = "StorageRefused"
    TRY_AGAIN = "TryAgain"
    UNEXPECTED = "Unexpected"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    MISSING_SECRET = "MissingSecret"  # noqa: S105 - a reason, not a secret
    VOLUME_NOT_MOUNTED = "VolumeNotMounted"
    CONTAINER_NOT_STARTED = "ContainerNotStarted"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REFUSED = "PodRefused"
    FORBIDDEN = "Forbidden"
    OUT_OF_MEMORY = "OOMKilled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    JOB_FAILED = "JobFailed"
    DISRUPTED = "Disrupted"


REASON_OF_EXIT = {
    ExitCode.DONE: Reason.COMPLETE,
    ExitCode.UNEXPECTED: Reason.UNEXPECTED,
    ExitCode.INVALID_MANIFEST: Reason.INVALID_MANIFEST,
    ExitCode.UNUSABLE_DATA: Reason.UNUSABLE_DATA,
    ExitCode.STORAGE_REFUSED: Reason.STORAGE_REFUSED,
    ExitCode.TRY_AGAIN: Reason.TRY_AGAIN,
}

LONGEST_NAME = 54
"""metadata.name; with '-' and eight digits of the uid the Job's name fits 63."""

LONGEST_SUMMARY_BYTES = 4096
"""What the kubelet keeps of a termination message."""

RUNS_FOLDER = ".lightly/runs/"

LABEL_RUN = f"{GROUP}/run"
LABEL_RUN_UID = f"{GROUP}/run-uid"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
LABEL_PRIORITY = "kueue.x-k8s.io/priority-class"
LABEL_JOB_UID = "kueue.x-k8s.io/job-uid"
ANNOTATION_SUSPENDED_BY = f"{GROUP}/suspended-by"
ANNOTATION_MANIFEST = f"{GROUP}/manifest"
OPERATOR_NAME = "selection-operator"
JOB_CONTAINER = "selection-job"
"""The name of the container in a run's pod."""
PROGRESS_PORT = 9090

REPORT_PDF = "report.pdf"
REPORT_JSON = "report.json"
SELECTED_FILENAMES = "filenames/sampled_filenames_excluding_datapool.txt"


def run_id(name: str, uid_or_digest: str) -> str:
    """Return what a run's folder and its Job are called: the name and the first eight characters of its identity."""
    return f"{name}-{uid_or_digest[:8]}"

"""The API of selection runs: one model for the CRD, the operator and the job."""

from selection_api.lightly_config import LightlyConfig
from selection_api.names import ExitCode, Stage
from selection_api.parsing import parse_manifest
from selection_api.problems import ManifestError, Problem
from selection_api.run_summary import RunSummary
from selection_api.selection_config import SelectionConfig
from selection_api.selection_run import SelectionRun
from selection_api.stopping_condition import SampleTarget
from selection_api.unsupported import accepted_without_effect, check_supported, unsupported_options
from selection_api.worker_config import WorkerConfig

__all__ = [
    "ExitCode",
    "LightlyConfig",
    "ManifestError",
    "Problem",
    "RunSummary",
    "SampleTarget",
    "SelectionConfig",
    "SelectionRun",
    "Stage",
    "WorkerConfig",
    "accepted_without_effect",
    "check_supported",
    "parse_manifest",
    "unsupported_options",
]

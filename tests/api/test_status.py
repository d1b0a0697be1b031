"""The status that the operator writes: api.md's example reads, and writes back only what is known."""

from selection_api.names import Stage, run_id
from selection_api.schema import manifest_schema
from selection_api.status import Condition, Status

EXAMPLE = {
    "observedGeneration": 1,
    "phase": "Running",
    "stage": "EMBEDDING",
    "progress": {"done": 1200, "total": 5000, "percent": 24},
    "counts": {"input": 5000, "corrupt": 3, "duplicate": 41, "selected": 500, "removed": 4456},
    "outputs": {"path": "s3://bucket/output/.lightly/runs/dashcam-10-percent-1f2e3d4c/"},
    "job": {"name": "dashcam-10-percent-1f2e3d4c", "uid": "u"},
    "startTime": "2026-11-22T10:00:00Z",
    "failure": {"reason": "InvalidConfig", "message": "why", "exitCode": 2},
    "conditions": [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Valid",
            "message": "The manifest is valid.",
            "lastTransitionTime": "2026-11-22T10:00:00Z",
            "observedGeneration": 1,
        }
    ],
}


def test_example_reads_and_writes_back_the_same():
    status = Status.model_validate(EXAMPLE)
    assert status.stage is Stage.EMBEDDING
    assert status.model_dump(mode="json", by_alias=True, exclude_none=True) == EXAMPLE


def test_status_is_made_by_python_names():
    condition = Condition(
        type="Ready", status="False", reason="Running", message="m", last_transition_time="2026-11-22T10:00:00Z"
    )
    assert Status(observed_generation=2, conditions=(condition,)).conditions[0].reason == "Running"


def test_stages_of_the_schema_are_the_workers():
    stage = manifest_schema()["properties"]["status"]["properties"]["stage"]
    assert stage["enum"] == [member.value for member in Stage]


def test_name_of_the_run_and_its_job_fits_a_label():
    assert run_id("cats", "1f2e3d4c-0000-4000") == "cats-1f2e3d4c"
    assert len(run_id("a" * 54, "1f2e3d4c")) == 63

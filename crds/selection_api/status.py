"""status: what the operator writes and people read."""

from typing import Annotated, Literal

from pydantic import Field

from selection_api.model import Count, Integer, Items, ServerModel
from selection_api.names import Phase, Stage

LONGEST_IDENTITY = 320
"""Characters of an operator's name: a namespace, a slash, an object's name."""

Text = Annotated[str, Field(max_length=2048)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Percent = Annotated[Integer, Field(ge=0, le=100)]
BigCount = Annotated[Integer, Field(ge=0, le=2**53)]


class Progress(ServerModel):
    """How far the present stage is."""

    done: BigCount = 0
    """Items finished in the present stage."""

    total: BigCount = 0
    """Items of the present stage."""

    percent: Percent = 0
    """The same in percent."""


class Counts(ServerModel):
    """What became of the input images."""

    input: Count = 0
    """Images found, after relevant file names were applied."""

    corrupt: Count = 0
    """Images that can't be decoded."""

    duplicate: Count = 0
    """Images left out because another one has the same bytes."""

    selected: Count = 0
    """Images selected."""

    removed: Count = 0
    """Readable, distinct images that were not selected."""


class Outputs(ServerModel):
    """Where the results are."""

    path: Text | None = None
    """The run's folder in the lightly datasource."""

    report_pdf: Text | None = None
    """The report for people."""

    report_json: Text | None = None
    """The report for machines."""

    selected_filenames: Text | None = None
    """The list of selected file names."""

    checkpoint: Text | None = None
    """The trained model, when the run trained one."""


class JobReference(ServerModel):
    """The run's Job."""

    name: Annotated[str, Field(max_length=63)]
    """The Job's name."""

    uid: Annotated[str, Field(max_length=64)] | None = None
    """The Job's identity, once it exists."""


class Failure(ServerModel):
    """Why the run failed."""

    reason: Annotated[str, Field(max_length=1024)]
    """One word, such as InvalidManifest, UnusableData, StorageRefused, OOMKilled, DeadlineExceeded."""

    message: Annotated[str, Field(max_length=32768)]
    """A sentence that says what to do."""

    exit_code: Annotated[Integer, Field(ge=0, le=255)] | None = None
    """The job's exit code, when it had one."""


class Disruptions(ServerModel):
    """How often the run's pods were taken away (preempted, evicted, drained) without the run getting further."""

    count: Count = 0
    """Disruptions since a further stage was reached."""

    stage: Annotated[Stage, Field(strict=False)] | None = None
    """The furthest stage in which a pod was disrupted."""

    last_pod: Annotated[str, Field(max_length=64)] | None = None
    """The uid of the pod that was counted last."""

    last_pod_created: Time | None = None
    """When that pod was created."""


class Condition(ServerModel):
    """metav1.Condition."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Accepted, Suspended, Complete, Failed, Ready, Reconciling or Stalled."""

    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""

    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one word."""

    message: Annotated[str, Field(max_length=32768)]
    """Why, in a sentence."""

    last_transition_time: Time
    """When the status last changed."""

    observed_generation: Annotated[Integer, Field(ge=-1)] | None = None
    """The generation this was said of."""


class Status(ServerModel):
    """What the operator says about the run."""

    observed_generation: Annotated[Integer, Field(ge=-1, le=2**53)] = -1
    """The generation this status speaks of; -1 before the operator has seen the run."""

    phase: Annotated[Phase, Field(strict=False)] | None = None
    """The conditions in one word, for people."""

    stage: Annotated[Stage, Field(strict=False)] | None = None
    """Where the pipeline is, in the worker's words."""

    progress: Progress | None = None
    """How far the present stage is."""

    counts: Counts | None = None
    """What became of the input images."""

    outputs: Outputs | None = None
    """Where the results are."""

    job: JobReference | None = None
    """The run's Job. Once it is set, the spec is frozen but for suspend and ttlSecondsAfterFinished."""

    start_time: Time | None = None
    """When the Job's first pod started."""

    completion_time: Time | None = None
    """When the run ended."""

    failure: Failure | None = None
    """Why the run failed."""

    disruptions: Disruptions | None = None
    """How often the run's pods were taken away, once one was. After 10 in a row the run fails."""

    operator: Annotated[str, Field(max_length=LONGEST_IDENTITY)] | None = None
    """The operator that serves the run. Another one that sees the run too leaves it alone while this one does."""

    conditions: Annotated[
        Items[Condition],
        Field(
            max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
        ),
    ] = ()
    """Accepted, Suspended, Complete, Failed, Ready, Reconciling, Stalled."""

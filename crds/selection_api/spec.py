"""spec: one run, complete."""

from typing import Annotated, Literal

from pydantic import Field

from selection_api.datasource import Datasources
from selection_api.lightly_config import LightlyConfig
from selection_api.model import PATTERN_WORDS, Count, KubernetesModel, PositiveCount, default_section
from selection_api.pod_template import PodTemplate, Resources
from selection_api.selection_config import SelectionConfig
from selection_api.worker_config import WorkerConfig

DATASET_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9 ._-]*$"
PATTERN_WORDS[DATASET_NAME] = "a letter or digit, then letters, digits, spaces, '.', '_' and '-'"


class Dataset(KubernetesModel):
    """What the images belong to."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=DATASET_NAME)] | None = Field(
        default=None, json_schema_extra={"x-default": "metadata.name"}
    )
    """The dataset's name, in the report and of its datapool."""

    type: Literal["IMAGES", "VIDEOS"] = "IMAGES"
    """Whether the input holds images or videos."""

    every_nth_frame: PositiveCount | None = None
    """Of videos: look at the frames 0, n, 2n, … of each; all where neither this nor targetFps is set. A frame's name
    keeps its place among all frames."""

    target_fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Of videos: look at as many frames a second, by their timestamps; all where the video has fewer."""


class SelectionRunSpec(KubernetesModel):
    """One run: which images, how they are embedded, how they are selected, where results go."""

    dataset: Dataset = default_section()
    """What the images belong to."""

    datasources: Datasources
    """Where the images are and where results go."""

    worker_config: WorkerConfig = default_section()
    """What the run does: checks, training, embedding, the legacy form of selection, outputs. Keys are written in
    snake_case, as in the worker's documentation."""

    lightly_config: LightlyConfig = default_section()
    """How the embedding model is trained and used, in the keys of lightly's config.yaml (snake_case)."""

    selection_config: SelectionConfig | None = None
    """How images are selected: strategies, in snake_case. Either this or workerConfig's method, stopping_condition,
    scorer and active_learning, never both."""

    suspend: bool = False
    """Whether the run waits. A running one stops, keeps its finished stages, and goes on when this is false again."""

    backoff_limit: Count = 3
    """How often the Job tries again after an unexpected end."""

    active_deadline_seconds: PositiveCount | None = Field(default=None, json_schema_extra={"x-default": "no deadline"})
    """After this many seconds of running the run fails."""

    ttl_seconds_after_finished: Count | None = Field(default=None, json_schema_extra={"x-default": "never"})
    """This many seconds after its end the run is deleted, with its Job, not with its outputs."""

    resources: Resources | None = Field(default=None, json_schema_extra={"x-default": "the chart's"})
    """What the Job's container gets. Absent: the chart's default (as many GPUs as lightlyConfig's trainer.gpus).
    Present: replaces it as a whole; {} is CPU only."""

    pod_template: PodTemplate = default_section()
    """What the Job's pod gets besides what the operator decides."""

    @property
    def expects_gpu(self) -> bool:
        """Whether a machine without a GPU is a surprise: not where resources give none and trainer.gpus is unset."""
        trainer = self.lightly_config.trainer
        if self.resources is None or "gpus" in trainer.model_fields_set:
            return trainer.gpus > 0
        return self.resources.gpu_limit > 0

    @property
    def writes_images(self) -> bool:
        """Whether selected images are written as files: workerConfig.dump_dataset, which videos turn on."""
        asked = self.worker_config.dump_dataset
        return self.dataset.type == "VIDEOS" if asked is None else asked

    @property
    def checkpoint(self) -> str:
        """The checkpoint to start from, from whichever config names it; '' for none."""
        return self.worker_config.checkpoint or self.lightly_config.checkpoint

"""Report: the whole of report.json."""

from typing import Annotated

from pydantic import Field

from selection_job.report.models.base import JsonObject, MaybeAbsent, ReportModel
from selection_job.report.models.general import GeneralInformation
from selection_job.report.models.images import CorruptImages, ExactDuplicates, ImageGroups, SelectedAndRemovedImage
from selection_job.report.models.maps import EmbeddingInformation
from selection_job.report.models.queries import QueryInformation
from selection_job.report.models.savings import AnnotationSavings
from selection_job.report.models.selection import ObjectLevelInformation, SelectionInformation, SequenceInformation
from selection_job.report.models.statistics import MetadataInformation, TaskInformation
from selection_job.report.models.videos import VideoInformation

SCHEMA_VERSION = "1.5"
"""major.minor: the minor grows with added keys, the major when a key changes its meaning or goes. A key that is added
may be absent, so that the schema takes every report of its major."""


class DatasetAnalysis(ReportModel):
    """Distances and maps of the embeddings, and values of the metadata."""

    embedding_information: EmbeddingInformation
    metadata_information: MetadataInformation


class Settings(ReportModel):
    """The run's settings as JSON values."""

    config: JsonObject
    """The manifest with every default filled in."""
    overrides: JsonObject
    """What the user set."""


class Report(ReportModel):
    """Every number of report.pdf and the data of every plot. Keys follow the Lightly worker's report_v2.json where it
    has one. Lengths of time in seconds, distances Euclidean.
    """

    schema_version: Annotated[str, Field(pattern=r"^1\.[0-9]+$")]
    """major.minor: the minor grows with added keys, the major when a key changes its meaning or goes."""
    general_information: GeneralInformation
    selection_information: SelectionInformation
    corrupt_images: CorruptImages
    exact_duplicates: ExactDuplicates
    annotation_savings: AnnotationSavings
    selected_and_removed_image_examples: list[SelectedAndRemovedImage]
    """One for each filter_decision plot, from the nearest pair to the farthest."""
    image_groups: ImageGroups
    dataset_analysis: DatasetAnalysis
    prediction_task_information: dict[str, TaskInformation]
    """Of each task that the run looked at."""
    queries: MaybeAbsent[list[QueryInformation]] = None
    """Of each strategy on QUERIES, thresholds first; absent where there is none."""
    settings: Settings
    notes: list[str]
    video_information: MaybeAbsent[VideoInformation] = None
    object_level_information: MaybeAbsent[ObjectLevelInformation] = None
    sequence_information: MaybeAbsent[SequenceInformation] = None
    input_fingerprint: MaybeAbsent[str] = None
    """Changes when an input image is added, removed or changed."""
    summary: MaybeAbsent[JsonObject] = None
    """The run's last word, as the operator reads it."""

"""Values of the input beside those of the selection and of a random choice: of distances, metadata and predictions."""

from typing import Annotated

from pydantic import Field

from selection_job.report.models.base import Count, MaybeAbsent, MaybeNumber, Number, Pair, ReportModel

MOST_LABELS = 50
"""Labels that are listed, the most frequent first; the rest is counted together."""

MOST_EXAMPLES = 10
"""Images whose boxes are listed."""

MOST_BOXES = 30
"""Objects of an image that are listed, those with the highest scores first."""


class Metrics(ReportModel):
    """Statistics of the values of a set."""

    mean: Number
    std: Number
    min: Number
    max: Number
    percentile10: Number
    median: Number
    percentile90: Number


class NumericSet(ReportModel):
    """The values of a set."""

    counts: list[Count]
    """How many values lie in each bin."""
    metrics: Metrics | None
    """Null where there is no value (of distances: fewer than two images)."""
    n_measured: Count
    """Values measured."""
    n_all: Count
    """Values there are; more than nMeasured where a seeded random part was measured, or where some have no value."""


class NumericPerSet(ReportModel):
    """Numbers of several sets, counted in the same bins."""

    bins: Annotated[list[Number], Field(min_length=2)]
    """Bin edges, one more than bins; [edge, next edge), the last bin closed."""
    range: Pair
    input: MaybeAbsent[NumericSet] = None
    selected: NumericSet
    random: NumericSet
    """A seeded random choice of as many images as are selected."""
    preselected_datapool: MaybeAbsent[NumericSet] = None
    """With a datapool or marks in the table of embeddings: what was selected before."""
    selected_with_datapool: MaybeAbsent[NumericSet] = None
    """With a datapool: that and what is selected."""


class Evenness(ReportModel):
    """How evenly the labels of a set are spread."""

    gini_imbalance: MaybeNumber
    """Gini coefficient of the counts: 0 where all are equal."""
    normalized_entropy: MaybeNumber
    """1 where all labels are equally frequent."""


class CategoricalSet(ReportModel):
    """How often each label comes in a set."""

    counts: list[Count]
    """One for each of labels."""
    n_other: Count
    """Of labels that are not listed."""
    metrics: Evenness


class CategoricalPerSet(ReportModel):
    """Labels of several sets."""

    labels: Annotated[list[str], Field(max_length=MOST_LABELS)]
    """The most frequent ones of the input first, at most 50."""
    n_labels: Count
    input: CategoricalSet
    selected: CategoricalSet
    random: CategoricalSet


class MetadataInformation(ReportModel):
    """Metadata that the strategies look at."""

    lightly_numeric: dict[str, NumericPerSet]
    """Computed from the images, by key."""
    custom_numeric: dict[str, NumericPerSet]
    """Of .lightly/metadata/, by key."""
    custom_categorical: dict[str, CategoricalPerSet]
    """Of .lightly/metadata/, by key."""
    n_keys: Count
    """Keys that there are; at most 50 are described."""


class CountPerSet(ReportModel):
    """A count in each set."""

    input: Count
    selected: Count
    random: Count


class DetectedObject(ReportModel):
    """An object on an image."""

    category_id: Count
    bbox: Annotated[list[Number], Field(min_length=4, max_length=4)]
    """x, y, width, height in pixels."""
    score: MaybeNumber


class BoxExample(ReportModel):
    """A selected image with boxes, and the objects with the highest scores."""

    filename: str
    width_px: Count
    """0 where the image was not opened."""
    height_px: Count
    n_predictions: Count
    predictions: Annotated[list[DetectedObject], Field(max_length=MOST_BOXES)]


class DetectionTaskInformation(ReportModel):
    """What there is of tasks with boxes only."""

    bbox_examples: Annotated[list[BoxExample], Field(max_length=MOST_EXAMPLES)]
    """The first selected images with boxes; of each the objects with the highest scores."""


class ZeroShotInformation(ReportModel):
    """How a task that was made from prompts sees all images of the input, those that a filter kept out as well."""

    shares: dict[str, Number]
    """The share of the images whose best category is this, of each category."""
    mean_entropy: Number
    """Of the probabilities of an image, over the largest there is: 0 sure of everything, 1 of nothing."""
    remark: MaybeAbsent[str] = None
    """Where the model may not tell the categories apart."""


class TaskInformation(ReportModel):
    """A task: its classes, objects and scores in each set."""

    task_type: str
    n_categories: Count
    category_id_to_name: dict[str, str]
    """At most 1000."""
    n_images_with_predictions: CountPerSet
    category_distribution: CategoricalPerSet
    """Objects of each class."""
    category_to_image_with_category_count: CategoricalPerSet
    """Images with an object of each class."""
    objects_per_sample: NumericPerSet
    """Objects on an image."""
    category_to_counts_per_sample: dict[str, NumericPerSet]
    """Objects of a class on an image, for the 12 most frequent classes."""
    prediction_score_distribution: NumericPerSet
    """Scores of the objects."""
    active_learning_score_distributions: dict[str, NumericPerSet]
    """Of the images, by score."""
    detection_task_information: MaybeAbsent[DetectionTaskInformation] = None
    """Of tasks with boxes."""
    zero_shot: MaybeAbsent[ZeroShotInformation] = None
    """Of zero-shot tasks."""

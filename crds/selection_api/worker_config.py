"""workerConfig: what the run does, in the keys of the worker's documentation, legacy form included."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from selection_api.model import (
    PATTERN_WORDS,
    CountOrAll,
    Integer,
    Items,
    Model,
    NonNegative,
    PositiveCount,
    RelativePath,
    Share,
    TaskName,
    default_section,
    numbers_in,
)
from selection_api.pretagging import PretaggingConfig
from selection_api.problems import describe_value
from selection_api.report_factors import ReportFactors
from selection_api.stopping_condition import StoppingCondition
from selection_api.zero_shot import ZeroShotTask

LARGEST_SIDE_PX = 65535
SMALLEST_INPUT_PX = 32
BUILT_IN = "BUILT_IN"
IMAGE_SIZE_WORDS = f"-1 (as it is), the shortest edge in pixels (1 to {LARGEST_SIDE_PX}), or [height, width]"
CROP_DATASET_NAME = r"^[a-zA-Z0-9 _-]*$"
PATTERN_WORDS[CROP_DATASET_NAME] = "letters, digits, spaces, '_' and '-'"


class CorruptnessCheck(Model):
    """How strict the check of video frames is."""

    corruption_threshold: Share = 0.1
    """Has no effect: images and frames are corrupt when they can't be decoded. For striped frames use a THRESHOLD on
    lightly.uniformRowRatio."""


class ScorerConfig(Model):
    """How object-frequency scores are made from predictions."""

    frequency_penalty: Share = 0.25
    """What each further object of a class adds to the score, where the first adds 1."""

    min_score: Share = 0.9
    """The score of the image with the lowest object frequency; the highest is 1."""


class ActiveLearning(Model):
    """Which scores of which prediction task take part in the selection."""

    task_name: TaskName = ""
    """The prediction task whose scores are used; empty for none."""

    score_name: TaskName = "uncertainty_margin"
    """The score of that task; where only scorer is set, the scorer's."""


def _check_input_size(size_px: int) -> int:
    if size_px != -1 and size_px < SMALLEST_INPUT_PX:
        raise ValueError(f"expected -1, or {SMALLEST_INPUT_PX} to 1024 pixels; found {size_px}")
    return size_px


class ObjectLevel(Model):
    """Selection of object crops instead of whole images."""

    task_name: TaskName = ""
    """The task whose objects are selected, and the images that they are on: a prediction task, or one of auto_tasks.
    Empty for whole images."""

    crop_dataset_name: Annotated[str, Field(max_length=253, pattern=CROP_DATASET_NAME)] = ""
    """The folder below data/crops/ that dump_dataset writes the chosen objects into; empty for the dataset's name
    followed by -crops."""

    padding: NonNegative = 0.0
    """How much a crop grows: 0.1 makes it 10% wider and 10% higher."""


class EncoderConfig(Model):
    """How images become the input of workerConfig.encoder."""

    input_size: Annotated[Integer, Field(ge=-1, le=1024), AfterValidator(_check_input_size)] = -1
    """Edge of the encoder's input in pixels, 32 to 1024; -1 for the encoder's own."""

    resize: Literal["FOLDER", "SQUASH", "CROP", "PAD"] = "FOLDER"
    """How an image becomes a square: as the encoder's folder says, whole with its aspect changed, its middle cut
    out, or whole within a border."""


class PoolSettings(Model):
    """How use_datapool goes about the dataset's datapool; without it they have no effect."""

    process_all: bool = False
    """Choose among all images that are not in the datapool, not only among those that no earlier run has seen."""

    enable_datapool_update: bool = True
    """Whether what this run selects becomes part of the datapool."""


def _check_relevant_filenames_file(path: str) -> str:
    if path and (not path.startswith(".lightly/") or path.endswith("/")):
        raise ValueError(
            "expected a file under .lightly/ of the lightly datasource, such as .lightly/relevant_filenames.txt; "
            f"found {describe_value(path)}"
        )
    return path


def _parse_output_image_size(value: object) -> int | tuple[int, int]:
    match numbers_in(value, low=-1, high=LARGEST_SIDE_PX):
        case [size] if _is_side(size, smallest=-1) and not isinstance(value, list | tuple):
            return int(size)
        case [height, width] if _is_side(height) and _is_side(width):
            return (int(height), int(width))
    raise ValueError(f"expected {IMAGE_SIZE_WORDS}; found {describe_value(value)}")


def _is_side(size: float, *, smallest: int = 1) -> bool:
    return size.is_integer() and size != 0 and size >= smallest


OutputImageSize = Annotated[
    int | tuple[int, int],
    BeforeValidator(_parse_output_image_size),
    WithJsonSchema({"x-untyped": True, "x-type": "integer or list of 2 integers", "x-range": IMAGE_SIZE_WORDS}),
]
RelevantFilenamesFile = Annotated[RelativePath, AfterValidator(_check_relevant_filenames_file)]


def _check_exports(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is named twice")
    return names


Exports = Annotated[
    Items[Literal["LABEL_STUDIO", "CVAT", "COCO", "FIFTYONE", "PARQUET"]],
    Field(max_length=5),
    AfterValidator(_check_exports),
]


class WorkerConfig(Model):
    """What the run does: checks, training, embedding, the legacy form of selection, outputs."""

    enable_corruptness_check: bool = True
    """Decode each image in full, and list and leave out those that can't be. With false an image that is cut short is
    used as far as it goes."""

    corruptness_check: CorruptnessCheck = default_section()
    """Settings of the corruptness check."""

    remove_exact_duplicates: bool = True
    """Leave out all but the first name of images with the same bytes."""

    enable_training: bool = False
    """Train the embedding model on the input images, self-supervised, before embedding them."""

    checkpoint: RelativePath = ""
    """The embedding model: a checkpoint in the lightly datasource, relative to it, such as
    .lightly/runs/RUN/lightly_epoch_99.ckpt of an earlier run. With enable_training the training starts from it. Empty
    for a new training, for an encoder, or for lightly's model zoo."""

    encoder: RelativePath = ""
    """The embedding model where nothing is trained: BUILT_IN for EfficientNet-Lite0, which comes with the job and needs
    no network, and which an empty value means too unless checkpoint, embeddings, lightlyConfig.model or
    lightlyConfig.collate.input_size is set; or a folder in the lightly datasource, relative to it, in the layout of a
    Hugging Face repository: open_clip_config.json or config.json, and model.safetensors."""

    encoder_config: EncoderConfig = default_section()
    """How images become the encoder's input."""

    embeddings: RelativePath = ""
    """A CSV or Parquet file of embeddings under .lightly/embeddings/ of the lightly datasource, used instead of
    embedding; a path that begins with .lightly/ is taken from the datasource's top, for example a run's
    data/embeddings.csv."""

    normalize_embeddings: bool = True
    """Scale embeddings to unit length before selection, so that distances lie between 0 and 2."""

    method: Literal["coreset", "random", "coral"] = "coreset"
    """How images are selected: coreset (farthest-first, diverse; where active_learning names a task, weighted by its
    score), random, or coral (coreset weighted by a score: of active_learning's task, of pretagging, or from the column
    al_score of embeddings). Not together with selectionConfig."""

    stopping_condition: StoppingCondition = default_section()
    """When the selection ends. Not together with selectionConfig."""

    scorer: Literal[
        "",
        "object-frequency",
        "objectness-least-confidence",
        "uncertainty-least-confidence",
        "uncertainty-margin",
        "uncertainty-entropy",
    ] = "object-frequency"
    """Which active-learning score weighs the images, where active_learning does not name one. Not together with
    selectionConfig."""

    scorer_config: ScorerConfig = default_section()
    """Settings of the scorer."""

    active_learning: ActiveLearning = default_section()
    """Which scores take part in the selection. Not together with selectionConfig."""

    object_level: ObjectLevel = default_section()
    """Selection of objects instead of whole images; numbers and shares then count objects."""

    pretagging: bool = False
    """Run the built-in object detector on the input images: a Faster R-CNN that finds bicycles, buses, cars,
    motorcycles, persons, trains and trucks. They become the prediction task lightly_pretagging."""

    pretagging_config: PretaggingConfig = default_section()
    """Settings of the built-in object detector."""

    pretagging_upload: bool = False
    """Write what the built-in object detector finds to .lightly/predictions/lightly_pretagging/ of the lightly
    datasource, in the format of predictions."""

    pretagging_debug: bool = False
    """Draw what the built-in object detector finds on some of the images, for data/bounding_boxes_examples/ and the
    report."""

    zero_shot_tasks: Annotated[Items[ZeroShotTask], Field(max_length=64)] = ()
    """Classification tasks that are made from prompts. The encoder needs a text tower."""

    zero_shot_upload: bool = False
    """Write the zero-shot tasks to .lightly/predictions/ of the lightly datasource, in the format of predictions."""

    selected_sequence_length: PositiveCount = 1
    """Select sequences of this many frames that follow one another, instead of single ones: each video, or each folder
    of images by name, is cut into such sequences. n_samples still counts frames and must be a multiple; a share is
    rounded up to one."""

    use_datapool: bool = False
    """Start from what earlier runs of this dataset (dataset.name) selected, and look at new or changed files only.
    n_samples then counts new picks, and a share is one of the new files."""

    datasource: PoolSettings = default_section()
    """How use_datapool goes about the dataset's datapool."""

    relevant_filenames_file: RelevantFilenamesFile = ""
    """A text file under .lightly/ of the lightly datasource, one file name a line: only these inputs are considered.
    Empty for all."""

    dump_dataset: bool | None = Field(default=None, json_schema_extra={"x-default": "true of videos, else false"})
    """Write the selected images into data/sampled/, all readable ones into data/clean/, and where objects were selected
    those into data/crops/, of the run's outputs. Of videos the selected frames only, which are no files otherwise."""

    output_image_size: OutputImageSize = -1
    """The size of images and frames written by dump_dataset: -1 as they are, one number for the shortest edge in
    pixels, or [height, width]."""

    output_image_format: Literal["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"] = "png"
    """The file format of images written by dump_dataset when output_image_size changes them, of video frames, and of
    objects, which keep their own size."""

    exports: Exports = ("LABEL_STUDIO", "CVAT", "COCO", "FIFTYONE", "PARQUET")
    """The forms in which the selection is written to exports/: LABEL_STUDIO tasks, a CVAT manifest, a COCO file, a
    FIFTYONE dataset, PARQUET tables. [] for none."""

    tables: Literal["CSV", "PARQUET", "BOTH"] = "CSV"
    """The form of the tables of embeddings under data/: CSV as the worker writes them, PARQUET (float32, a third of the
    size and less), or BOTH. workerConfig.embeddings reads either."""

    n_example_images: Annotated[Integer, Field(ge=0, le=1000, multiple_of=2)] = 6
    """How many pairs of a retained image and its nearest removed one the report shows; even."""

    num_threads: CountOrAll = -1
    """Threads that read and decode images; -1 and 0 stand for as many as suit the machine."""

    num_processes: CountOrAll = -1
    """CPU cores used by the neural network and the selection; -1 and 0 stand for all."""

    decoder: Literal["exact", "fast"] = "exact"
    """How images are decoded for the embedding: exact (all pixels), or fast (JPEG draft scaling)."""

    sanity_check: bool = False
    """Only check the manifest and that both datasources answer (list the input; write, read and delete a probe in
    lightly), and print the version; select nothing."""

    report: ReportFactors = default_section()
    """Factors of the savings that the report estimates."""

    @property
    def table_forms(self) -> tuple[Literal["CSV", "PARQUET"], ...]:
        """The forms of the tables of embeddings."""
        return ("CSV", "PARQUET") if self.tables == "BOTH" else (self.tables,)


def legacy_selection_keys(config: WorkerConfig) -> list[str]:
    """Return the keys of the legacy form of selection that the user has set."""
    legacy = ("method", "stopping_condition", "scorer", "active_learning")
    return [key for key in legacy if key in config.model_fields_set]

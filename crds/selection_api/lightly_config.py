"""lightlyConfig: training and embedding, in the keys of lightly's own config.yaml."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from selection_api.model import (
    Count,
    CountOrAll,
    Integer,
    Items,
    Model,
    NonNegative,
    OpenMapping,
    PositiveCount,
    RelativePath,
    Share,
    default_section,
    numbers_in,
)
from selection_api.problems import describe_value

LARGEST_SEED = 2**32 - 1
Sigma = Annotated[float, Field(gt=0)]
EnvironmentVariable = Annotated[str, Field(max_length=253)]


class Loader(Model):
    """How batches are made."""

    batch_size: PositiveCount = 16
    """Images in a batch, in training and in embedding. A dataset smaller than this makes one batch."""

    shuffle: bool = True
    """Whether each training epoch sees the images in a new order."""

    num_workers: CountOrAll = -1
    """Worker processes that load batches; -1 for as many as there are CPU cores, 0 for none."""

    drop_last: bool = True
    """Whether training leaves out an epoch's last batch when it is not full."""


class ModelShape(Model):
    """The neural network."""

    name: Literal["resnet-9", "resnet-18", "resnet-34", "resnet-50", "resnet-101", "resnet-152"] = "resnet-18"
    """The backbone."""

    out_dim: PositiveCount = 128
    """Dimensions of the projection that the training loss sees."""

    num_ftrs: PositiveCount = 32
    """Dimensions of an embedding."""

    width: Annotated[float, Field(ge=1 / 64, le=64)] = 1.0
    """A factor on the number of the backbone's channels."""


class Trainer(Model):
    """How training runs."""

    gpus: Count = 1
    """How many GPUs to use; 0 for the CPU. With 1 and no GPU in the machine the CPU does the work; the log says so."""

    max_epochs: Count = 100
    """How often training sees all images."""

    precision: Annotated[Literal[16, 32], BeforeValidator(lambda p: int(p) if p in (16.0, 32.0) else p)] = 32
    """Bits of the floating-point numbers in training: 32, or 16 for mixed precision where the device supports it."""

    enable_model_summary: bool = True
    """Whether the log shows a summary of the model before training."""

    weights_summary: Annotated[str | None, Field(max_length=253)] = None
    """Without effect, for configurations of older versions; enable_model_summary takes its place."""


class Criterion(Model):
    """The training loss, NT-Xent."""

    temperature: Annotated[float, Field(gt=0)] = 0.5
    """What similarities are divided by."""

    memory_bank_size: Count = 0
    """How many projections of earlier batches serve as further negatives; 0 for none."""


class Optimizer(Model):
    """Stochastic gradient descent."""

    lr: NonNegative = 1.0
    """The learning rate."""

    weight_decay: Share = 0.00001
    """The L2 penalty."""


def _check_sigmas(sigmas: tuple[float, ...]) -> tuple[float, ...]:
    if sigmas[0] > sigmas[1]:
        raise ValueError(f"expected [smallest, largest]; found {describe_value(sigmas)}")
    return sigmas


def _parse_degrees(value: object) -> float | tuple[float, float]:
    match numbers_in(value, low=-360, high=360):
        case [angle] if angle >= 0 and not isinstance(value, list | tuple):
            return angle
        case [smallest, largest] if smallest <= largest:
            return (smallest, largest)
    raise ValueError(f"expected {DEGREES_WORDS}; found {describe_value(value)}")


DEGREES_WORDS = "a number of degrees from 0 to 360, or [smallest, largest] between -360 and 360"
Degrees = Annotated[
    float | tuple[float, float],
    BeforeValidator(_parse_degrees),
    WithJsonSchema({"x-untyped": True, "x-type": "number or list of 2 numbers", "x-range": DEGREES_WORDS}),
]


class Collate(Model):
    """How an image becomes the network's input, and its two random views in training."""

    input_size: Annotated[Integer, Field(ge=1, le=8192)] = 64
    """Edge length of the network's input in pixels, in training and in embedding."""

    cj_prob: Share = 0.8
    """Probability of colour jitter."""

    cj_bright: Share = 0.7
    """How much the brightness jitters."""

    cj_contrast: Share = 0.7
    """How much the contrast jitters."""

    cj_sat: Share = 0.7
    """How much the saturation jitters."""

    cj_hue: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """How much the hue jitters, as a share of the colour circle to each side."""

    min_scale: Share = 0.15
    """The smallest random crop, as a share of the image's area."""

    random_gray_scale: Share = 0.2
    """Probability of a view in shades of grey."""

    gaussian_blur: Share = 0.5
    """Probability of Gaussian blur."""

    sigmas: Annotated[Items[Sigma], Field(min_length=2, max_length=2), AfterValidator(_check_sigmas)] = (0.2, 2.0)
    """Smallest and largest sigma of the Gaussian blur, in pixels."""

    kernel_size: NonNegative | None = None
    """Without effect, for configurations of older versions; sigmas takes its place."""

    vf_prob: Share = 0.0
    """Probability of a vertical flip."""

    hf_prob: Share = 0.5
    """Probability of a horizontal flip."""

    rr_prob: Share = 0.0
    """Probability of a rotation."""

    rr_degrees: Degrees | None = Field(default=None, json_schema_extra={"x-default": "90 degrees"})
    """The angle of a rotation, counter-clockwise: absent turns by 90 degrees, one number by a random angle up to it on
    either side, [smallest, largest] by a random angle between them."""


class CheckpointCallback(Model):
    """Which checkpoints training keeps."""

    save_last: bool = True
    """Whether the checkpoint of the last epoch is kept as last.ckpt."""

    save_top_k: CountOrAll = 1
    """How many of the checkpoints with the lowest loss are kept; -1 for all, 0 for none."""

    dirpath: RelativePath | None = Field(default=None, json_schema_extra={"x-default": "the run's folder"})
    """The folder of the checkpoints, relative to the run's folder."""


class SummaryCallback(Model):
    """Settings of a training summary, without effect."""

    max_depth: Integer = 1
    """Without effect: the summary of enable_model_summary has one line a layer."""


class EnvironmentVariableNames(Model):
    """Names of environment variables, without effect."""

    lightly_last_checkpoint_path: EnvironmentVariable = "LIGHTLY_LAST_CHECKPOINT_PATH"
    """Without effect: status.outputs names the checkpoint."""

    lightly_last_embedding_path: EnvironmentVariable = "LIGHTLY_LAST_EMBEDDING_PATH"
    """Without effect: status.outputs names the run's folder."""


class LightlyConfig(Model):
    """How the embedding model is trained and used, in the keys of lightly's config.yaml."""

    seed: Annotated[Integer, Field(ge=0, le=LARGEST_SEED)] = 1
    """The seed of all randomness of the run."""

    pre_trained: bool = True
    """Whether training starts from a model of lightly's zoo where no checkpoint is given."""

    checkpoint: RelativePath = ""
    """The same as workerConfig.checkpoint; set one of them."""

    loader: Loader = default_section()
    """How batches are made."""

    model: ModelShape = default_section()
    """The neural network: that of the training, of the checkpoint, or, where neither is there, of lightly's model zoo.
    Absent, with nothing else said, the run embeds with workerConfig.encoder BUILT_IN."""

    trainer: Trainer = default_section()
    """How training runs."""

    criterion: Criterion = default_section()
    """The training loss, NT-Xent."""

    optimizer: Optimizer = default_section()
    """Stochastic gradient descent."""

    collate: Collate = default_section()
    """How an image becomes the network's input, and its two random views in training."""

    checkpoint_callback: CheckpointCallback = default_section()
    """Which checkpoints training keeps."""

    summary_callback: SummaryCallback = default_section()
    """Without effect: settings of lightly's summary callback."""

    environment_variable_names: EnvironmentVariableNames = default_section()
    """Without effect: names of environment variables that lightly's command-line tool sets for its caller."""

    hydra: OpenMapping = Field(default_factory=dict, json_schema_extra={"x-default": "{}"})
    """Without effect: settings of the Hydra framework, such as its output folder. Any keys are accepted."""

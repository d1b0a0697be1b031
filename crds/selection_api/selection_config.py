"""selectionConfig: strategies that are combined into one greedy selection."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

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
)
from selection_api.problems import describe_value

SCORE_NAME = r"^[a-zA-Z0-9_+=,.@:\/-]+$"
DATASET_ID = r"^[a-f0-9]{24}$"
TAG_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9 .:;=@_-]+$"
PATTERN_WORDS |= {
    SCORE_NAME: "letters, digits and _ + = , . @ : / -",
    DATASET_ID: "24 digits and letters a to f",
    TAG_NAME: "a letter or digit, then letters, digits, spaces and . : ; = @ _ -",
}
LARGEST_STRENGTH = 1e9


def _check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected each name once; found {', '.join(twice)} more than once")
    return names


def _check_sentences(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise ValueError(f"expected each sentence once; found {describe_value(twice)} more than once")
    return texts


def _check_sentence(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a sentence; found only blanks")
    return text


Name = Annotated[str, Field(min_length=1, max_length=253)]
Sentence = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_check_sentence)]
Sentences = Annotated[Items[Sentence], Field(min_length=1, max_length=100), AfterValidator(_check_sentences)]
Categories = Annotated[Items[Name], Field(min_length=1, max_length=1000), AfterValidator(_check_unique)]


class SelectionInput(Model):
    """What a strategy looks at."""

    type: Literal["EMBEDDINGS", "SCORES", "METADATA", "PREDICTIONS", "RANDOM", "QUERIES"]
    """The kind of input: EMBEDDINGS, SCORES (task and score), METADATA (key), PREDICTIONS (task and name), RANDOM,
    QUERIES (texts or images)."""

    task: TaskName | None = None
    """The prediction task: whose scores or predictions are used, or whose object crops are embedded."""

    score: Annotated[str, Field(max_length=253, pattern=SCORE_NAME)] | None = None
    """SCORES: the active-learning score of the task, such as uncertainty_entropy."""

    key: Name | None = None
    """METADATA: the path of a value, such as weather.temperature, or lightly.sharpness for a computed one."""

    name: Literal["CLASS_DISTRIBUTION", "CATEGORY_COUNT", "CATEGORY_PROBABILITY"] | None = None
    """PREDICTIONS: the distribution of the classes, the number of objects in `categories`, or their probability."""

    categories: Categories | None = None
    """PREDICTIONS: the names of the categories whose objects are counted (CATEGORY_COUNT), or whose probabilities are
    added up (CATEGORY_PROBABILITY)."""

    dataset_id: Annotated[str, Field(pattern=DATASET_ID)] | None = None
    """EMBEDDINGS for SIMILARITY: the dataset with the query images, whose embeddings are the table
    .lightly/embeddings/DATASET_ID/TAG_NAME.csv in the lightly datasource."""

    tag_name: Annotated[str, Field(min_length=3, max_length=253, pattern=TAG_NAME)] | None = None
    """EMBEDDINGS for SIMILARITY: the tag of the query images in that dataset."""

    texts: Sentences | None = None
    """QUERIES: sentences that say what is looked for; an image counts by the one that it is nearest to."""

    other_texts: Sentences | None = None
    """QUERIES with texts: what else an image may show. The value is then the probability of texts among all, 0 to 1."""

    images: Annotated[RelativePath, Field(min_length=1)] | None = None
    """QUERIES: a folder of up to 1,000 images in the lightly datasource, relative to it, that show what is looked for;
    an image counts by the one that it is nearest to."""

    random_seed: Annotated[Integer, Field(ge=-(2**53), le=2**53)] | None = None
    """RANDOM: the seed; lightlyConfig.seed when absent."""


class TargetRange(Model):
    """A range in which the sum of the inputs should end."""

    min_sum: NonNegative | None = None
    """The smallest sum that is aimed at."""

    max_sum: NonNegative | None = None
    """The largest sum that is aimed at."""


class Strategy(Model):
    """What a strategy aims at."""

    # Which keys and inputs each takes is told in selection_rules, what it computes in the job's strategy_inputs.
    type: Literal["DIVERSITY", "WEIGHTS", "THRESHOLD", "BALANCE", "SIMILARITY", "TYPICALITY"]
    """The kind of strategy. THRESHOLD filters first; all others are combined at each pick."""

    strength: Annotated[float, Field(ge=-LARGEST_STRENGTH, le=LARGEST_STRENGTH)] | None = Field(
        default=None, json_schema_extra={"x-default": "1.0"}
    )
    """How much the strategy counts against the others; a negative one turns it round. Not for THRESHOLD."""

    stopping_condition_minimum_distance: Annotated[float, Field(ge=0)] | None = None
    """DIVERSITY: end before two selected images would lie nearer to each other than this (0 to 2 with normalised
    embeddings)."""

    stopping_condition_max_sum: NonNegative | None = None
    """WEIGHTS: end when the inputs of the selected images add up to this."""

    target_range: TargetRange | None = None
    """WEIGHTS: the range in which the sum of the inputs should end."""

    threshold: float | None = None
    """THRESHOLD: what each input is compared with."""

    operation: Literal["SMALLER", "SMALLER_EQUAL", "BIGGER", "BIGGER_EQUAL"] | None = None
    """THRESHOLD: how; images for which the comparison holds are kept."""

    distribution: Literal["TARGET", "UNIFORM", "INPUT"] | None = None
    """BALANCE: towards the ratios in `target`, equal ratios, or those of the input."""

    target: Annotated[dict[Name, Share], Field(min_length=1, max_length=1000)] | None = None
    """BALANCE with TARGET: the aimed ratio of each category; together at most 1."""

    num_nearest_neighbors: Annotated[PositiveCount, Field(ge=2)] | None = None
    """TYPICALITY: how many neighbours tell how typical an image is."""

    stopping_condition_minimum_typicality: Annotated[float, Field(gt=0)] | None = None
    """TYPICALITY: end when the next image is less typical than this."""


class SelectionStrategy(Model):
    """One input and what to do with it."""

    input: SelectionInput
    """What the strategy looks at."""

    strategy: Strategy
    """What the strategy aims at."""


class AutoTask(Model):
    """Boxes that serve as predictions without a model: tiles or fixed crops, for EMBEDDINGS with this task."""

    type: Literal["TILING", "CROP"]
    """TILING cuts the image into a grid, CROP into the given boxes."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=SCORE_NAME)]
    """The task's name, to be named in an input's `task`."""

    num_rows: PositiveCount | None = None
    """TILING: rows of the grid."""

    num_cols: PositiveCount | None = None
    """TILING: columns of the grid."""

    overlap: Share | None = None
    """TILING: how much tiles overlap, as a share of a tile; 0 when absent."""

    bboxs: (
        Annotated[
            Items[Annotated[Items[Share], Field(min_length=4, max_length=4)]], Field(min_length=1, max_length=1000)
        ]
        | None
    ) = None
    """CROP: boxes [x, y, width, height] of numbers from 0 to 1, relative to the image."""


class SelectionConfig(Model):
    """How many images are kept and by which strategies."""

    n_samples: CountOrAll | None = None
    """How many images to keep; -1 for no limit besides the strategies' stopping conditions. Either this or
    proportion_samples."""

    proportion_samples: Share | None = None
    """The share of the input to keep. Either this or n_samples."""

    strategies: Annotated[Items[SelectionStrategy], Field(min_length=1, max_length=64)]
    """The strategies; each pick is the image with the largest product of all objectives. With THRESHOLD alone, a
    random choice of what passes."""

    lightly_path_regex: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """A regular expression (RE2) that takes metadata out of file names: its named groups are keys, such as camera of
    (?P<camera>[^/]+)."""

    auto_tasks: Annotated[Items[AutoTask], Field(max_length=64)] = ()
    """Tasks that need no predictions."""

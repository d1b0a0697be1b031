"""Zero-shot tasks: classifications that are made from prompts, as if they lay in files."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from selection_api.zero_shot import PLACE, ZeroShotCategory, ZeroShotTask
from selection_job.catalog.image_names import escape_name
from selection_job.errors import UnusableData
from selection_job.numeric.sentences import measure_probabilities
from selection_job.predictions.columns import MOST_PROBABILITIES
from selection_job.predictions.scores import class_probabilities, entropy
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.predictions.task_schema import TaskSchema

KIND = "classification"
ONE_FOR_ALL = 0.99
"""Share of the images that are one category, above which the model may tell nothing apart."""
ALL_ALIKE = 0.95
"""Mean entropy over its largest, above which the model tells nothing apart."""

_BLOCK = 65536


def list_prompts(task: ZeroShotTask, category: ZeroShotCategory) -> tuple[str, ...]:
    """Return the sentences that mean a category: its texts, else the templates with its name."""
    if category.texts is not None:
        return category.texts
    return tuple(template.replace(PLACE, category.name) for template in task.templates)


def make_zero_shot_schema(task: ZeroShotTask, encoder: str = "") -> TaskSchema:
    """Return the schema of the task; ids of the categories are their places.

    encoder  identifies what embeds prompts and images: with other prompts or another encoder the schema is another one
    """
    prompts = [(category.name, list_prompts(task, category)) for category in task.categories]
    digest = sha256(repr((prompts, encoder)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    categories = tuple(Category(place, name) for place, name in enumerate(task.category_names))
    n_keypoints = (None,) * len(categories)
    return TaskSchema(task.name, KIND, categories, n_keypoints, made_by=f"zero_shot_tasks {digest}")


def classify_images(
    schema: TaskSchema, embeddings: NDArray[np.float32], classes: NDArray[np.float32], *, scale: float
) -> TaskPredictions:
    """Return the probability of each category on each image.

    embeddings  (n, d) of any length; classes (c, d) of unit length, one for each category of the schema
    scale       what cosines are multiplied with before the softmax
    Raises UnusableData where there are more than MOST_PROBABILITIES.
    """
    n, c = len(embeddings), len(classes)
    if n * c > MOST_PROBABILITIES:
        raise UnusableData(
            f"The zero-shot task {schema.task} has {c:,} categories for {n:,} images; their product may be "
            f"{MOST_PROBABILITIES:,} at most. Use fewer categories."
        )
    probabilities = measure_probabilities(embeddings, classes, scale=scale)
    best = probabilities.argmax(axis=1).astype(np.int32) if n else np.empty(0, np.int32)
    return TaskPredictions(
        name=schema.task,
        kind=schema.kind,
        categories=schema.categories,
        has_file=np.ones(n, dtype=np.bool_),
        owners=np.arange(n, dtype=np.int64),
        category_index=best,
        scores=probabilities[np.arange(n), best],
        probabilities=probabilities,
        is_zero_shot=True,
    )


def sketch_task(task: ZeroShotTask) -> TaskPredictions:
    """Return the task without any image: its kind and its categories, for checks before anything is embedded."""
    c = len(task.categories)
    return classify_images(
        make_zero_shot_schema(task), np.empty((0, 1), np.float32), np.empty((c, 1), np.float32), scale=1
    )


@dataclass(frozen=True)
class Certainty:
    """How well a zero-shot task tells its categories apart."""

    shares: dict[str, float]
    """The share of the images whose best category is this, of each category."""
    mean_entropy: float
    """Of the images' probabilities, over the largest there is: 0 sure of everything, 1 of nothing."""
    remark: str | None
    """Where the categories may not be told apart: why."""


def measure_certainty(task: TaskPredictions, n: int) -> Certainty:
    """Return how sure the task is of the first n images, n >= 1."""
    names = [category.name for category in task.categories]
    counts = np.bincount(task.category_index[:n], minlength=len(names))
    shares = dict(zip(names, (counts / n).tolist(), strict=True))
    blocks = [slice(first, min(first + _BLOCK, n)) for first in range(0, n, _BLOCK)]
    mean = float(sum(entropy(class_probabilities(task, block)).sum() for block in blocks) / n)
    return Certainty(shares, mean, _remark(shares, mean))


def _remark(shares: dict[str, float], mean_entropy: float) -> str | None:
    largest = max(shares, key=lambda name: shares[name])
    if mean_entropy > ALL_ALIKE:
        return (
            f"The model can't tell these categories apart: on average it finds them about equally likely (entropy "
            f"{mean_entropy:.2f} of 1). Name what can be seen, in whole sentences, or take another encoder."
        )
    if shares[largest] > ONE_FOR_ALL:
        return (
            f"More than 99% of the images are {escape_name(largest)}: either they are, or the model can't tell these "
            "categories apart. Look at some of them before you rely on the task."
        )
    return None


def note_certainty(task: TaskPredictions, n: int) -> Iterator[str]:
    """Yield what the user should know of how the first n images were classified, where something is odd."""
    if n and (remark := measure_certainty(task, n).remark):
        yield f"Zero-shot task {task.name}: {remark}"

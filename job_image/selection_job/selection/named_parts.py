"""Named parts: scores, categories and targets that the strategies name, checked before any image is read."""

from collections.abc import Iterable, Mapping

from selection_job.manifest.goal import NamedStrategy
from selection_job.predictions.scores import check_score
from selection_job.predictions.task_predictions import TaskPredictions, find_categories
from selection_job.selection.class_shares import check_target


def check_named_parts(entries: Iterable[NamedStrategy], tasks: Mapping[str, TaskPredictions]) -> None:
    """Raise UnusableData, with the strategy, where it names what its task does not have.

    A mistake is told in the first minute this way, and not after the embedding.
    """
    for entry in entries:
        task = tasks.get(entry.input.task or "")
        if task is not None and entry.input.type in ("SCORES", "PREDICTIONS"):
            with entry.located():
                _check(entry, task)


def _check(entry: NamedStrategy, task: TaskPredictions) -> None:
    if entry.input.type == "SCORES":
        check_score(task, entry.input.score or "")
        return
    find_categories(task, entry.input.categories or ())
    check_target(entry, tuple(category.name for category in task.categories))

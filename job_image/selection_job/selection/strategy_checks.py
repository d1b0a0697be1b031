"""Strategy checks: scores, categories and targets that the strategies name, before any image is read."""

from collections.abc import Iterable, Mapping

from selection_job.manifest.goal import NamedStrategy
from selection_job.predictions.scores import check_score
from selection_job.predictions.task_predictions import TaskPredictions, find_categories
from selection_job.selection.class_shares import check_target


def check_strategies(entries: Iterable[NamedStrategy], tasks: Mapping[str, TaskPredictions]) -> None:
    """Raise UnusableData, with the strategy, where it names what its task does not have.

    A mistake is told in the first minute this way, and not after the embedding.
    """
    for entry in entries:
        given, task = entry.input, tasks.get(entry.input.task or "")
        if task is None:
            continue
        with entry.located():
            if given.type == "SCORES":
                check_score(task, given.score or "")
            elif given.type == "PREDICTIONS":
                find_categories(task, given.categories or ())
                check_target(entry, tuple(category.name for category in task.categories))

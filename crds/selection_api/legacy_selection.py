"""The older form of selection, in workerConfig, as the strategies of selectionConfig that it stands for."""

from selection_api.selection_config import SelectionInput, SelectionStrategy, Strategy
from selection_api.spec import SelectionRunSpec
from selection_api.worker_config import WorkerConfig

PRETAGGING_TASK = "lightly_pretagging"
"""The task of the built-in detector."""

TABLE_SCORE = "al_score"
"""The column of workerConfig.embeddings that holds a score; its task is ''."""


def legacy_strategies(worker: WorkerConfig) -> tuple[SelectionStrategy, ...]:
    """Return what method coreset or coral stands for: diversity, and the score where a task is named.

    Empty for random, which no strategy ranks.
    """
    if worker.method == "random":
        return ()
    stopping = worker.stopping_condition
    diversity = SelectionStrategy(
        input=SelectionInput(type="EMBEDDINGS"),
        strategy=Strategy(
            type="DIVERSITY",
            stopping_condition_minimum_distance=stopping.min_distance if stopping.min_distance > 0 else None,
        ),
    )
    named = legacy_score(worker)
    if named is None:
        return (diversity,)
    what = SelectionInput(type="SCORES", task=named[0], score=named[1])
    return (diversity, SelectionStrategy(input=what, strategy=Strategy(type="WEIGHTS")))


def legacy_score(worker: WorkerConfig) -> tuple[str, str] | None:
    """Return the task and the score that weigh the coreset; None where there are none.

    active_learning.score_name says which score, or scorer where that alone was set. Without a task, coral takes the
    al_score column of workerConfig.embeddings, or the scorer's score of pretagging.
    """
    if worker.method == "random":
        return None
    active, scorer = worker.active_learning, worker.scorer.replace("-", "_")
    if active.task_name:
        return active.task_name, scorer if scorer and _is_scorer_alone(worker) else active.score_name
    if worker.method != "coral":
        return None
    return ("", TABLE_SCORE) if worker.embeddings else (PRETAGGING_TASK, scorer or "object_frequency")


def _is_scorer_alone(worker: WorkerConfig) -> bool:
    return "scorer" in worker.model_fields_set and "score_name" not in worker.active_learning.model_fields_set


def scores_used(spec: SelectionRunSpec) -> set[tuple[str, str]]:
    """Return task and score of every score that takes part in the selection."""
    config = spec.selection_config
    entries = legacy_strategies(spec.worker_config) if config is None else config.strategies
    inputs = [entry.input for entry in entries if entry.input.type == "SCORES"]
    return {(given.task or "", given.score or "") for given in inputs}

"""Rules about objects: what a selection of objects can look at, and names that would mean two things."""

from collections.abc import Iterator

from selection_api.legacy_selection import PRETAGGING_TASK, legacy_score
from selection_api.selection_config import SelectionInput
from selection_api.spec import SelectionRunSpec

OWN_TASK = "spec.workerConfig.object_level.task_name"

_ANOTHER = (
    f"looks at another task than {OWN_TASK}, which makes objects the ones that are selected: of an object only its own "
    "prediction is known"
)


def find_on_object_level(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    """Yield the path of each input that crops have not, and why; nothing where whole images are selected."""
    own = spec.worker_config.object_level.task_name
    if not own:
        return
    is_auto = own in {task.name for task in spec.selection_config.auto_tasks} if spec.selection_config else False
    for path, given in _list_inputs(spec):
        if given.task and given.task != own:
            yield path, f"{_ANOTHER}; name {own}"
        elif given.task and given.type != "EMBEDDINGS" and is_auto:
            yield path, f"names one of auto_tasks, which predict nothing; name a prediction task in {OWN_TASK}"
    score = None if spec.selection_config else legacy_score(spec.worker_config)
    if score is not None and score[0] != own:
        key = "active_learning.task_name" if spec.worker_config.active_learning.task_name else "method"
        yield f"spec.workerConfig.{key}", f"{_ANOTHER}; set active_learning.task_name to {own}"


def find_shared_names(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    """Yield each of auto_tasks whose name is that of a prediction task of this run."""
    predicted = {given.task for _, given in _list_inputs(spec) if given.type in ("SCORES", "PREDICTIONS")}
    if spec.worker_config.pretagging:
        predicted.add(PRETAGGING_TASK)
    for i, task in enumerate(spec.selection_config.auto_tasks if spec.selection_config else ()):
        if task.name in predicted:
            yield (
                f"spec.selectionConfig.auto_tasks[{i}].name",
                f"is the name of a prediction task of this run too ({task.name}); give the auto task another",
            )


def notes_on_frequency(spec: SelectionRunSpec) -> Iterator[str]:
    """Yield a sentence for each object_frequency that weighs objects, which all have the same."""
    if not spec.worker_config.object_level.task_name:
        return
    why = "has no effect: each object stands for itself, so object_frequency is the same for all"
    for path, given in _list_inputs(spec):
        if given.score == "object_frequency":
            yield f"{path.removesuffix('task')}score {why}"
    legacy = None if spec.selection_config else legacy_score(spec.worker_config)
    if legacy is not None and legacy[1] == "object_frequency":
        is_named = "score_name" in spec.worker_config.active_learning.model_fields_set
        yield f"spec.workerConfig.{'active_learning.score_name' if is_named else 'scorer'} {why}"


def notes_on_auto_tasks(spec: SelectionRunSpec) -> Iterator[str]:
    """Yield a sentence for each of auto_tasks that nothing looks at."""
    own = spec.worker_config.object_level.task_name
    named = {own} if own else {given.task for _, given in _list_inputs(spec)}
    for i, task in enumerate(spec.selection_config.auto_tasks if spec.selection_config else ()):
        if task.name not in named:
            yield f"spec.selectionConfig.auto_tasks[{i}] has no effect: no strategy names {task.name}"


def _list_inputs(spec: SelectionRunSpec) -> Iterator[tuple[str, SelectionInput]]:
    """Yield the path of the task and the input of each strategy of selectionConfig."""
    for i, entry in enumerate(spec.selection_config.strategies if spec.selection_config else ()):
        yield f"spec.selectionConfig.strategies[{i}].input.task", entry.input

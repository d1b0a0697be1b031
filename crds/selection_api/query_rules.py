"""Rules of queries and zero-shot tasks: what they need, what they may be called, and what they do not work with."""

from collections.abc import Iterator, Sequence

from selection_api.legacy_selection import PRETAGGING_TASK
from selection_api.problems import Finding, Location, quote
from selection_api.selection_config import SelectionInput, SelectionStrategy
from selection_api.selection_rules import find_fault_in_task
from selection_api.spec import SelectionRunSpec
from selection_api.worker_config import BUILT_IN
from selection_api.zero_shot import ZeroShotTask

UNCERTAINTIES = ("uncertainty_least_confidence", "uncertainty_margin", "uncertainty_entropy")
"""The scores of a classification task, zero-shot tasks among them."""

_WORKER: Location = ("spec", "workerConfig")
_ENCODER: Location = (*_WORKER, "encoder")
_TASKS: Location = (*_WORKER, "zero_shot_tasks")
_STRATEGIES: Location = ("spec", "selectionConfig", "strategies")

NEEDS_TEXT_TOWER = "needs an encoder with a text tower: name one in spec.workerConfig.encoder"


def find_in_queries(spec: SelectionRunSpec) -> Iterator[Finding]:
    """Yield what is wrong with the QUERIES inputs of the strategies, and with zero_shot_tasks."""
    for i, entry in enumerate(spec.selection_config.strategies if spec.selection_config else ()):
        if entry.input.type == "QUERIES":
            yield from _find_in_query(entry.input, spec, (*_STRATEGIES, i, "input"))
    yield from _find_in_tasks(spec)


def uses_text_tower(spec: SelectionRunSpec) -> bool:
    """Say whether the run embeds texts."""
    return bool(spec.worker_config.zero_shot_tasks) or any(given.texts for given in _list_queries(spec))


def uses_query_images(spec: SelectionRunSpec) -> bool:
    """Say whether the run embeds images of queries."""
    return any(given.images for given in _list_queries(spec))


def _list_queries(spec: SelectionRunSpec) -> list[SelectionInput]:
    strategies = spec.selection_config.strategies if spec.selection_config else ()
    return [entry.input for entry in strategies if entry.input.type == "QUERIES"]


def _has_text_tower(spec: SelectionRunSpec) -> bool:
    return spec.worker_config.encoder not in ("", BUILT_IN)


def _find_in_query(given: SelectionInput, spec: SelectionRunSpec, here: Location) -> Iterator[Finding]:
    if given.texts is None and given.images is None:
        yield Finding(here, "QUERIES needs texts or images: what is looked for", (here,))
    if given.texts is not None and given.images is not None:
        message = "and texts are values of two kinds; put each into a strategy of its own"
        yield Finding((*here, "images"), message, ((*here, "texts"),))
    if given.other_texts is not None and given.texts is None:
        message = "is what an image may show instead of texts, and there are none; add texts, or remove it"
        yield Finding((*here, "other_texts"), message, ((*here, "texts"),))
    for i, text in enumerate(given.other_texts or ()):
        if text in (given.texts or ()):
            message = "is one of texts as well; what an image may show is said once"
            yield Finding((*here, "other_texts", i), message, ((*here, "texts"),))
    if given.texts is not None and not _has_text_tower(spec):
        yield Finding((*here, "texts"), NEEDS_TEXT_TOWER, (_ENCODER,))
    if given.images is not None and spec.worker_config.embeddings and not spec.worker_config.encoder:
        message = (
            "are embedded as the images of spec.workerConfig.embeddings were: name the encoder that made these in "
            "spec.workerConfig.encoder"
        )
        yield Finding((*here, "images"), message, (_ENCODER, (*_WORKER, "embeddings")))


def _find_in_tasks(spec: SelectionRunSpec) -> Iterator[Finding]:
    tasks = spec.worker_config.zero_shot_tasks
    if tasks and not _has_text_tower(spec):
        yield Finding(_TASKS, NEEDS_TEXT_TOWER, (_ENCODER,))
    auto_tasks = {task.name for task in spec.selection_config.auto_tasks} if spec.selection_config else set()
    for i, task in enumerate(tasks):
        here = (*_TASKS, i)
        if fault := find_fault_in_task(task.name):
            yield Finding((*here, "name"), fault)
        if task.name == PRETAGGING_TASK:
            yield Finding((*here, "name"), f"{task.name} is the name of the built-in detector's task; give it another")
        if task.name in auto_tasks:
            message = f"is the name of one of auto_tasks too ({task.name}); give one of them another"
            yield Finding((*here, "name"), message, (("spec", "selectionConfig", "auto_tasks"),))
        if task.name in {earlier.name for earlier in tasks[:i]}:
            yield Finding((*here, "name"), "is the name of an earlier task; each has its own")
        yield from _find_in_categories(task, (*here, "categories"))
        yield from _find_in_uses(task, spec)


def _find_in_categories(task: ZeroShotTask, here: Location) -> Iterator[Finding]:
    """Yield names that come twice, and prompts that can't tell two categories apart."""
    names: set[str] = set()
    prompts: dict[tuple[str, ...], str] = {}
    for i, category in enumerate(task.categories):
        if category.name in names:
            yield Finding((*here, i, "name"), "is the name of an earlier category; each has its own")
        names.add(category.name)
        if category.texts is not None:
            earlier = prompts.setdefault(tuple(sorted(category.texts)), category.name)
            if earlier != category.name:
                message = f"are the prompts of {quote(earlier)} as well: nothing tells the two apart"
                yield Finding((*here, i, "texts"), message)


def _find_in_uses(task: ZeroShotTask, spec: SelectionRunSpec) -> Iterator[Finding]:
    """Yield what strategies want of a task and it has not."""
    own = spec.worker_config.object_level.task_name
    if own == task.name:
        message = f"{task.name} is one of zero_shot_tasks, which say something of whole images and have no boxes"
        yield Finding((*_WORKER, "object_level", "task_name"), message, (_TASKS,))
    for i, entry in enumerate(spec.selection_config.strategies if spec.selection_config else ()):
        if entry.input.task == task.name:
            yield from _find_in_use(task, entry, (*_STRATEGIES, i))


def _find_in_use(task: ZeroShotTask, entry: SelectionStrategy, here: Location) -> Iterator[Finding]:
    given, depends = entry.input, (_TASKS, here)
    if given.type == "EMBEDDINGS":
        message = f"{task.name} is one of zero_shot_tasks, which have no objects that could be compared; remove it"
        yield Finding((*here, "input", "task"), message, depends)
    if given.type == "SCORES" and given.score is not None and given.score not in UNCERTAINTIES:
        message = f"{task.name} is one of zero_shot_tasks, whose scores are {', '.join(UNCERTAINTIES)}"
        yield Finding((*here, "input", "score"), message, depends)
    named = ((("input", "categories"), given.categories or ()), (("strategy", "target"), entry.strategy.target or ()))
    for place, names in named:
        if missing := [name for name in names if name not in task.category_names]:
            message = f"{task.name} has no {_list(missing)}; its categories: {_list(task.category_names)}"
            yield Finding((*here, *place), message, depends)


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names[:10])) + (", …" if len(names) > 10 else "")


def refuse_queries(spec: SelectionRunSpec, not_yet: str) -> Iterator[tuple[str, str]]:
    """Yield each QUERIES input that looks at whole images where something else is selected, and why.

    not_yet  how this version says that it can't do something
    """
    worker = spec.worker_config
    if worker.object_level.task_name:
        what, whole, key = "objects", "whole images", "object_level"
    elif worker.selected_sequence_length > 1:
        what, whole, key = "sequences", "single frames", "selected_sequence_length"
    else:
        return
    for i, entry in enumerate(spec.selection_config.strategies if spec.selection_config else ()):
        if entry.input.type == "QUERIES":
            message = (
                f"QUERIES {not_yet} where {what} are selected (workerConfig.{key}): a query is compared with {whole}; "
                "leave out one of them"
            )
            yield f"spec.selectionConfig.strategies[{i}].input.type", message


def notes_on_queries(spec: SelectionRunSpec) -> Iterator[str]:
    """Yield what is set for zero-shot tasks where there are none."""
    worker = spec.worker_config
    if worker.zero_shot_upload and not worker.zero_shot_tasks:
        yield "spec.workerConfig.zero_shot_upload has no effect: there are no zero_shot_tasks"

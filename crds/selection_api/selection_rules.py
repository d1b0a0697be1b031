"""Rules between fields of selectionConfig: which keys belong to which type of input, strategy and task."""

from collections.abc import Iterator, Mapping

from selection_api.metadata_rules import find_in_metadata, find_in_path_regex
from selection_api.model import Model
from selection_api.problems import Finding, Location
from selection_api.selection_config import SelectionConfig, SelectionInput, SelectionStrategy

Keys = tuple[frozenset[str], frozenset[str]]
"""Keys that are needed, and keys that are possible besides."""


def _keys(needed: str, possible: str) -> Keys:
    return frozenset(needed.split()), frozenset(possible.split())


INPUT_KEYS: Mapping[str, Keys] = {
    "EMBEDDINGS": _keys("", "task dataset_id tag_name"),
    "SCORES": _keys("task score", ""),
    "METADATA": _keys("key", ""),
    "PREDICTIONS": _keys("task name", "categories"),
    "RANDOM": _keys("", "random_seed"),
    "QUERIES": _keys("", "texts other_texts images"),
}
STRATEGY_KEYS: Mapping[str, Keys] = {
    "DIVERSITY": _keys("", "strength stopping_condition_minimum_distance"),
    "WEIGHTS": _keys("", "strength stopping_condition_max_sum target_range"),
    "THRESHOLD": _keys("threshold operation", ""),
    "BALANCE": _keys("distribution", "strength target"),
    "SIMILARITY": _keys("", "strength"),
    "TYPICALITY": _keys("", "strength num_nearest_neighbors stopping_condition_minimum_typicality"),
}
AUTO_TASK_KEYS: Mapping[str, Keys] = {
    "TILING": _keys("num_rows num_cols", "overlap"),
    "CROP": _keys("bboxs", ""),
}
INPUTS_OF_STRATEGY: Mapping[str, frozenset[str]] = {
    "DIVERSITY": frozenset({"EMBEDDINGS"}),
    "WEIGHTS": frozenset({"SCORES", "METADATA", "RANDOM", "PREDICTIONS"}),
    "THRESHOLD": frozenset({"SCORES", "METADATA", "PREDICTIONS", "QUERIES"}),
    "BALANCE": frozenset({"PREDICTIONS", "METADATA"}),
    "SIMILARITY": frozenset({"EMBEDDINGS", "QUERIES"}),
    "TYPICALITY": frozenset({"EMBEDDINGS"}),
}
MOST_TILES = 1000
"""Tiles of an image, all of which are embedded."""

PREDICTIONS_OF_STRATEGY: Mapping[str, tuple[str, ...]] = {
    "BALANCE": ("CLASS_DISTRIBUTION",),
    "WEIGHTS": ("CATEGORY_COUNT", "CATEGORY_PROBABILITY"),
    "THRESHOLD": ("CATEGORY_COUNT", "CATEGORY_PROBABILITY"),
}
STOPPING_KEYS = (
    "stopping_condition_minimum_distance",
    "stopping_condition_max_sum",
    "stopping_condition_minimum_typicality",
)


def find_in_selection(config: SelectionConfig, location: Location) -> Iterator[Finding]:
    """Yield every broken rule of a selectionConfig at the given location."""
    yield from _find_in_amount(config, location)
    yield from find_in_path_regex(config, location)
    for i, entry in enumerate(config.strategies):
        here = (*location, "strategies", i)
        yield from _find_keys_of_type(entry.input, INPUT_KEYS[entry.input.type], (*here, "input"))
        yield from _find_keys_of_type(entry.strategy, STRATEGY_KEYS[entry.strategy.type], (*here, "strategy"))
        yield from _find_in_pair(entry, here)
        yield from _find_in_input(entry, here)
        yield from _find_in_task(entry.input, {task.name for task in config.auto_tasks}, (*here, "input", "task"))
        yield from find_in_metadata(entry, here)
    for i, task in enumerate(config.auto_tasks):
        here = (*location, "auto_tasks", i)
        yield from _find_keys_of_type(task, AUTO_TASK_KEYS[task.type], here, always=frozenset({"name"}))
        if task.name in {earlier.name for earlier in config.auto_tasks[:i]}:
            yield Finding((*here, "name"), "is the name of an earlier task; each has its own")
        if (n_tiles := (task.num_rows or 0) * (task.num_cols or 0)) > MOST_TILES:
            yield Finding((*here, "num_rows"), f"{n_tiles} tiles an image are more than {MOST_TILES}; make fewer")


def _find_in_amount(config: SelectionConfig, location: Location) -> Iterator[Finding]:
    """Yield what is wrong with how many images should be kept."""
    if (config.n_samples is None) == (config.proportion_samples is None):
        state = "none" if config.n_samples is None else "both"
        yield Finding(location, f"expected exactly one of n_samples and proportion_samples; found {state}", (location,))
    for key in ("n_samples", "proportion_samples"):
        if getattr(config, key) == 0:
            yield Finding((*location, key), "0 would select nothing; give a larger number")
    stops = any(getattr(entry.strategy, key) is not None for entry in config.strategies for key in STOPPING_KEYS)
    filters = any(entry.strategy.type == "THRESHOLD" for entry in config.strategies)
    if config.n_samples == -1 and not (stops or filters):
        message = (
            "-1 is no limit, and no strategy is a THRESHOLD or has a stopping condition: nothing tells how many images "
            "to keep"
        )
        yield Finding((*location, "n_samples"), message, (location,))


def _find_keys_of_type(
    model: Model, keys: Keys, location: Location, *, always: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Yield keys that the model's type needs and lacks, and keys that belong to other types."""
    needed, possible = keys
    kind = getattr(model, "type")  # noqa: B009 - every model given here has one
    given = set(model.model_dump(exclude_none=True)) - {"type"} - always
    for missing in sorted(needed - given):
        yield Finding((*location, missing), f"is required for type {kind}", (location,))
    for foreign in sorted(given - needed - possible):
        allowed = ", ".join(sorted(needed | possible)) or "none"
        message = f"does not belong to type {kind} (its keys: {allowed}); remove it"
        yield Finding((*location, foreign), message, ((*location, "type"),))


def _find_in_pair(entry: SelectionStrategy, location: Location) -> Iterator[Finding]:
    """Yield a strategy that can't work with its input."""
    kind, strategy = entry.input.type, entry.strategy
    allowed = INPUTS_OF_STRATEGY[strategy.type]
    if kind not in allowed:
        message = f"{strategy.type} does not work with {kind}; its inputs: {', '.join(sorted(allowed))}"
        yield Finding((*location, "input", "type"), message, (location,))
    if strategy.type == "BALANCE" and (strategy.distribution == "TARGET") != (strategy.target is not None):
        message = "distribution TARGET and `target` belong together; give both or none"
        yield Finding((*location, "strategy", "target"), message, (location,))
    if strategy.target is not None and sum(strategy.target.values()) > 1 + 1e-9:
        yield Finding((*location, "strategy", "target"), "ratios add up to more than 1")
    span = strategy.target_range
    if span is not None and span.min_sum is not None and span.max_sum is not None and span.min_sum > span.max_sum:
        yield Finding((*location, "strategy", "target_range"), "min_sum lies above max_sum")


def _find_in_input(entry: SelectionStrategy, location: Location) -> Iterator[Finding]:
    """Yield what the input says and its strategy can't use, and what the strategy needs and the input lacks."""
    given, here = entry.input, (*location, "input")
    if given.type == "PREDICTIONS" and given.name is not None:
        yield from _find_in_predictions(given, entry.strategy.type, here)
    elif entry.strategy.type == "SIMILARITY" and given.type != "QUERIES":
        if not (given.dataset_id and given.tag_name):
            yield Finding(here, "SIMILARITY needs dataset_id and tag_name of the query images", (location,))
        if given.task:
            yield Finding((*here, "task"), "SIMILARITY compares whole images; remove it", (location,))
    elif given.type == "EMBEDDINGS":
        for key in ("dataset_id", "tag_name"):
            if getattr(given, key) is not None:
                message = f"belongs to SIMILARITY, not to {entry.strategy.type}; remove it"
                yield Finding((*here, key), message, (location,))


def _find_in_task(given: SelectionInput, auto_tasks: set[str], location: Location) -> Iterator[Finding]:
    if given.task is None or given.task in auto_tasks:
        return
    if not given.task and given.type in ("SCORES", "PREDICTIONS"):
        yield Finding(location, "is empty; name a prediction task", (location[:-1],))
    elif given.task and (fault := find_fault_in_task(given.task)):
        yield Finding(location, fault, (location[:-1],))


def find_fault_in_task(name: str) -> str | None:
    """Return what keeps a task's name from being a folder; None where nothing does."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return (
            "is the name of a folder below .lightly/predictions/; expected parts between '/' that are not empty, '.' "
            "or '..'"
        )
    return None


def _find_in_predictions(given: SelectionInput, strategy: str, here: Location) -> Iterator[Finding]:
    depends = (here[:-1],)
    possible = PREDICTIONS_OF_STRATEGY.get(strategy, (given.name,))
    if given.name not in possible:
        expected = " and ".join(map(str, possible))
        yield Finding((*here, "name"), f"{strategy} works with {expected}, not with {given.name}", depends)
    elif given.name == "CATEGORY_COUNT" and given.categories is None:
        yield Finding((*here, "categories"), "is required for CATEGORY_COUNT: whose objects are counted", depends)
    elif given.name == "CATEGORY_PROBABILITY" and given.categories is None:
        message = "is required for CATEGORY_PROBABILITY: whose probabilities are added up"
        yield Finding((*here, "categories"), message, depends)
    elif given.name == "CLASS_DISTRIBUTION" and given.categories is not None:
        message = (
            "belongs to CATEGORY_COUNT and CATEGORY_PROBABILITY; remove it (BALANCE names categories in "
            "strategy.target)"
        )
        yield Finding((*here, "categories"), message, depends)

"""Options that this version can't carry out, and options that change nothing: each with its sentence.

parse_manifest accepts both, so that a manifest stays valid from version to version. check_supported refuses the
first kind, and only where a value would change the result; accepted_without_effect names the second kind, for the log
and for report.json.
"""

from collections.abc import Iterator

from selection_api.lightly_config import LightlyConfig
from selection_api.problems import ManifestError, Problem
from selection_api.selection_config import SelectionConfig, SelectionStrategy
from selection_api.selection_run import SelectionRun
from selection_api.spec import SelectionRunSpec
from selection_api.worker_config import WorkerConfig

NOT_YET = "is not supported by this version"

WITHOUT_EFFECT = {
    "collate.kernel_size": "lightly takes the size of the blur from collate.sigmas",
    "trainer.weights_summary": "it is an old name; trainer.enable_model_summary says whether the model is summed up",
    "summary_callback": "the summary of the model has one line a layer, whatever max_depth says",
    "environment_variable_names": "the job has no caller to set variables for; status.outputs names the files",
    "hydra": "there is no Hydra; outputs go to .lightly/runs/ in the lightly datasource",
}
"""Keys of lightlyConfig that lightly 1.6's train and embed do not use, or that have no meaning in a Job, and why."""


def check_supported(run: SelectionRun) -> SelectionRun:
    """Return the run, or raise ManifestError with every option that this version can't carry out."""
    problems = unsupported_options(run.spec)
    if problems:
        raise ManifestError(problems)
    return run


def unsupported_options(spec: SelectionRunSpec) -> list[Problem]:
    """Return every option whose value asks for something that this version can't do."""
    paths: list[tuple[str, str]] = []
    if spec.dataset.type == "VIDEOS":
        paths.append(("spec.dataset.type", f"VIDEOS {NOT_YET}; use IMAGES"))
    paths += _in_worker_config(spec.worker_config)
    paths += _in_lightly_config(spec.lightly_config)
    if spec.selection_config is not None:
        paths += _in_selection_config(spec.selection_config)
    return [Problem(path, message) for path, message in paths]


def _in_worker_config(config: WorkerConfig) -> Iterator[tuple[str, str]]:
    wanted = {
        "pretagging": (config.pretagging, "true"),
        "pretagging_debug": (config.pretagging_debug, "true"),
        "active_learning.task_name": (config.active_learning.task_name != "", "a prediction task"),
        "object_level.task_name": (config.object_level.task_name != "", "a prediction task"),
        "use_datapool": (config.use_datapool, "true"),
        "embeddings": (config.embeddings != "", "a file of embeddings"),
        "selected_sequence_length": (config.selected_sequence_length > 1, "more than 1"),
        "method": (config.method == "coral", "coral"),
    }
    for key, (asked, value) in wanted.items():
        if asked:
            yield f"spec.workerConfig.{key}", f"{value} {NOT_YET}"


def _in_lightly_config(config: LightlyConfig) -> Iterator[tuple[str, str]]:
    if config.trainer.gpus > 1:
        yield "spec.lightlyConfig.trainer.gpus", f"more than 1 {NOT_YET}"


def _in_selection_config(config: SelectionConfig) -> Iterator[tuple[str, str]]:
    path = "spec.selectionConfig"
    if config.lightly_path_regex is not None:
        yield f"{path}.lightly_path_regex", NOT_YET
    if config.auto_tasks:
        yield f"{path}.auto_tasks", NOT_YET
    for i, entry in enumerate(config.strategies):
        yield from _in_strategy(entry, f"{path}.strategies[{i}]")


def _in_strategy(entry: SelectionStrategy, path: str) -> Iterator[tuple[str, str]]:
    pair = (entry.strategy.type, entry.input.type)
    if pair not in {("DIVERSITY", "EMBEDDINGS"), ("TYPICALITY", "EMBEDDINGS"), ("WEIGHTS", "RANDOM")}:
        yield path, f"{pair[0]} on {pair[1]} {NOT_YET}; use DIVERSITY or TYPICALITY on EMBEDDINGS, or WEIGHTS on RANDOM"
        return
    for key in ("task", "dataset_id", "tag_name"):
        if getattr(entry.input, key):
            yield f"{path}.input.{key}", NOT_YET


def accepted_without_effect(spec: SelectionRunSpec) -> list[str]:
    """Return a sentence for each key that the user set and that changes nothing in this run, with the reason."""
    notes = [f"spec.workerConfig.{key} has no effect: {why}" for key, why in _worker_notes(spec.worker_config)]
    notes += [f"spec.lightlyConfig.{key} has no effect: {why}" for key, why in _lightly_notes(spec)]
    return notes


def _worker_notes(config: WorkerConfig) -> Iterator[tuple[str, str]]:
    given = config.model_fields_set
    no_task = "no prediction task is named, so there is nothing to score"
    for key in ("scorer", "scorer_config", "active_learning"):
        if key in given and not config.active_learning.task_name:
            yield key, no_task
    if "object_level" in given and not config.object_level.task_name:
        yield "object_level", "its task_name is empty, so whole images are selected"
    if "corruption_threshold" in config.corruptness_check.model_fields_set:
        yield (
            "corruptness_check.corruption_threshold",
            "it concerns video frames; images are corrupt when they can't be decoded",
        )
    for key in ("output_image_size", "output_image_format"):
        if key in given and not config.dump_dataset:
            yield key, "dump_dataset is false, so no images are written"


def _lightly_notes(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    config = spec.lightly_config
    for key, why in WITHOUT_EFFECT.items():
        section, _, name = key.partition(".")
        given = getattr(config, section).model_fields_set if name else config.model_fields_set
        if (name or section) in given:
            yield key, why
    if spec.worker_config.enable_training:
        return
    for key in ("criterion", "optimizer", "checkpoint_callback"):
        if key in config.model_fields_set:
            yield key, "enable_training is false, so nothing is trained"
    if "max_epochs" in config.trainer.model_fields_set:
        yield "trainer.max_epochs", "enable_training is false, so nothing is trained"

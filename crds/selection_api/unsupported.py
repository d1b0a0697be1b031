"""Options that this version can't carry out, and options that change nothing: each with its sentence.

parse_manifest accepts both, so that a manifest stays valid from version to version. check_supported refuses the
first kind, and only where a value would change the result; accepted_without_effect names the second kind, for the log
and for report.json.
"""

from collections.abc import Iterator

from selection_api.encoder_rules import notes_on_lightly
from selection_api.legacy_selection import scores_used
from selection_api.lightly_config import LightlyConfig
from selection_api.metadata_rules import COMPUTED_KEYS, FILE_SIZE, notes_on_decoder, notes_on_path_regex
from selection_api.object_rules import (
    OWN_TASK,
    find_on_object_level,
    find_shared_names,
    notes_on_auto_tasks,
    notes_on_frequency,
)
from selection_api.problems import ManifestError, Problem
from selection_api.query_rules import notes_on_queries, refuse_queries, uses_query_images, uses_text_tower
from selection_api.selection_config import SelectionInput
from selection_api.selection_run import SelectionRun
from selection_api.spec import SelectionRunSpec
from selection_api.worker_config import EncoderConfig, WorkerConfig

NOT_YET = "is not supported by this version"

WITHOUT_EFFECT = {
    "collate.kernel_size": "lightly takes the size of the blur from collate.sigmas",
    "trainer.weights_summary": "it is an old name; trainer.enable_model_summary says whether the model is summed up",
    "summary_callback": "the summary of the model has one line a layer, whatever max_depth says",
    "environment_variable_names": "the job has no caller to set variables for; status.outputs names the files",
    "hydra": "there is no Hydra; outputs go to .lightly/runs/ in the lightly datasource",
}
"""Keys of lightlyConfig that lightly 1.6's train and embed do not use, or that have no meaning in a Job, and why."""


_OF_EMBEDDING = ("checkpoint", "collate", "loader", "model", "pre_trained")


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
        paths += _beside_videos(spec)
    paths += _in_lightly_config(spec.lightly_config)
    paths += refuse_queries(spec, NOT_YET)
    paths += find_on_object_level(spec)
    paths += find_shared_names(spec)
    if spec.worker_config.embeddings:
        paths += _beside_given_embeddings(spec)
    if spec.worker_config.use_datapool:
        paths += _beside_the_datapool(spec)
    if spec.worker_config.selected_sequence_length > 1:
        paths += _beside_sequences(spec)
    return [Problem(path, message) for path, message in paths]


def _in_lightly_config(config: LightlyConfig) -> Iterator[tuple[str, str]]:
    if config.trainer.gpus > 1:
        yield "spec.lightlyConfig.trainer.gpus", f"more than 1 {NOT_YET}"


def _beside_videos(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    """Yield what looks at objects or files, where there are frames that nobody has listed before they are embedded."""
    why = f"{NOT_YET} with dataset type VIDEOS; leave it out, or extract the frames and use IMAGES"
    if spec.worker_config.embeddings:
        yield "spec.workerConfig.embeddings", why
    if spec.worker_config.pretagging:
        yield "spec.workerConfig.pretagging", why
    yield from _about_objects(spec, why)
    for path, given in _list_inputs(spec):
        if given.type == "METADATA" and given.key == FILE_SIZE:
            yield f"{path}.key", "is the size of an image's file, which a frame of a video has not; leave it out"


def _beside_given_embeddings(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    """Yield what is made from pixels in the pass that embeds, where embeddings are given and there is no such pass."""
    why = "is made from the images' pixels, and with workerConfig.embeddings no image is read; leave out one of them"
    if spec.worker_config.pretagging:
        yield "spec.workerConfig.pretagging", why
    yield from _about_objects(spec, why)
    for path, given in _list_inputs(spec):
        if given.type == "METADATA" and given.key in COMPUTED_KEYS and given.key != FILE_SIZE:
            yield f"{path}.key", why


def _beside_the_datapool(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    """Yield what compares objects: the datapool keeps the vectors of whole images."""
    why = f"is about objects, which {NOT_YET} together with use_datapool; leave out one of them"
    yield from _about_objects(spec, why)


def _beside_sequences(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    """Yield what compares objects: a sequence is compared by the mean of its frames' vectors."""
    why = f"is about objects, which {NOT_YET} together with selected_sequence_length above 1; leave out one of them"
    yield from _about_objects(spec, why)


def _about_objects(spec: SelectionRunSpec, why: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each setting that selects or compares objects."""
    if spec.worker_config.object_level.task_name:
        yield OWN_TASK, why
    for path, given in _list_inputs(spec):
        if given.type == "EMBEDDINGS" and given.task:
            yield f"{path}.task", why


def _list_inputs(spec: SelectionRunSpec) -> Iterator[tuple[str, SelectionInput]]:
    for i, entry in enumerate(spec.selection_config.strategies if spec.selection_config else ()):
        yield f"spec.selectionConfig.strategies[{i}].input", entry.input


def accepted_without_effect(spec: SelectionRunSpec) -> list[str]:
    """Return a sentence for each key that the user set and that changes nothing in this run, with the reason."""
    notes = [f"spec.workerConfig.{key} has no effect: {why}" for key, why in _score_notes(spec)]
    notes += [f"spec.workerConfig.{key} has no effect: {why}" for key, why in _worker_notes(spec)]
    notes += [f"spec.lightlyConfig.{key} has no effect: {why}" for key, why in _lightly_notes(spec)]
    notes += notes_on_lightly(spec)
    notes += notes_on_auto_tasks(spec)
    notes += notes_on_frequency(spec)
    notes += notes_on_queries(spec)
    notes += notes_on_path_regex(spec.selection_config)
    notes += notes_on_decoder(spec.selection_config, spec.worker_config.decoder)
    if spec.worker_config.embeddings:
        notes += _notes_on_given_embeddings(spec)
    return notes


def _notes_on_given_embeddings(spec: SelectionRunSpec) -> Iterator[str]:
    why = "has no effect: embeddings are given, so no image is opened to embed it"
    embeds, asks = uses_query_images(spec), uses_query_images(spec) or uses_text_tower(spec)
    unused = (
        "checkpoint",
        *(() if asks else ("encoder",)),
        *(() if embeds else ("decoder", "enable_corruptness_check")),
    )
    for key in unused:
        if key in spec.worker_config.model_fields_set and getattr(spec.worker_config, key):
            yield f"spec.workerConfig.{key} {why}"
    if spec.worker_config.encoder_config != EncoderConfig() and not asks:
        yield f"spec.workerConfig.encoder_config {why}"
    for key in ("checkpoint", "collate", "model", "pre_trained") if embeds else _OF_EMBEDDING:
        if key in spec.lightly_config.model_fields_set:
            yield f"spec.lightlyConfig.{key} {why}"


def _score_notes(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    """Yield settings of scores that no strategy looks at."""
    worker = spec.worker_config
    given, used = worker.model_fields_set, scores_used(spec)
    scores = {score for _, score in used}
    nothing = (
        "method random looks at no scores"
        if worker.method == "random"
        else "no prediction task is named, so there is nothing to score"
    )
    if worker.scorer and "scorer" in given and worker.scorer.replace("-", "_") not in scores:
        yield "scorer", "another key names the score (active_learning.score_name, or al_score)" if used else nothing
    if "scorer_config" in given and "object_frequency" not in scores:
        yield "scorer_config", "it concerns object_frequency, which is not used" if used else nothing
    if "active_learning" in given and not used & {(worker.active_learning.task_name, score) for score in scores}:
        yield "active_learning", nothing


def _worker_notes(spec: SelectionRunSpec) -> Iterator[tuple[str, str]]:
    config = spec.worker_config
    given = config.model_fields_set
    if "datasource" in given and not config.use_datapool:
        yield "datasource", "use_datapool is false, so the run neither uses nor fills a datapool"
    if "object_level" in given and not config.object_level.task_name:
        yield "object_level", "its task_name is empty, so whole images are selected"
    if "corruption_threshold" in config.corruptness_check.model_fields_set:
        yield (
            "corruptness_check.corruption_threshold",
            "images and frames are corrupt when they can't be decoded; for striped frames use a THRESHOLD on "
            "lightly.uniformRowRatio",
        )
    if not config.pretagging:
        yield from _notes_without_pretagging(config)
    if config.object_level.task_name and config.object_level.crop_dataset_name and not spec.writes_images:
        yield "object_level.crop_dataset_name", "dump_dataset is false, so no crops are written as images"
    for key in ("output_image_size", "output_image_format"):
        if key in given and not spec.writes_images:
            yield key, "dump_dataset is false, so no images are written"


def _notes_without_pretagging(config: WorkerConfig) -> Iterator[tuple[str, str]]:
    why = "pretagging is false, so nothing is detected"
    if config.pretagging_config.model_fields_set:
        yield "pretagging_config", why
    for key in ("pretagging_upload", "pretagging_debug"):
        if getattr(config, key):
            yield key, why


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

"""The sources of a run: predictions, metadata and query sets, loaded where the configuration names them.

What lies in files is loaded before the images are read: a broken file is told at once, and objects are cut out in the
pass that reads the images.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from selection_api import Stage
from selection_api.legacy_selection import PRETAGGING_TASK
from selection_api.worker_config import BUILT_IN
from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.embedded import Embedded
from selection_job.embeddings.encoder_record import list_record_keys
from selection_job.embeddings.given_embeddings import find_table_key
from selection_job.embeddings.query_set import load_query_set, query_key
from selection_job.metadata.loading import METADATA_FOLDER, check_metadata_schema, load_metadata
from selection_job.metadata.metadata_column import MetadataColumn, make_measured_columns, take_columns
from selection_job.predictions.box_forms import note_form
from selection_job.predictions.clipped_boxes import clip_boxes
from selection_job.predictions.image_sizes import note_misfits
from selection_job.predictions.loading import load_predictions
from selection_job.predictions.task_predictions import TaskPredictions, add_images, take_images
from selection_job.predictions.task_schema import load_schemas
from selection_job.predictions.turned_boxes import note_unturned, turn_boxes
from selection_job.predictions.zero_shot import sketch_task
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import Noted
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.strategy_checks import check_strategies
from selection_job.stages.pretagging import pretag_images
from selection_job.stages.queries import AskedVectors, measure_fits
from selection_job.stages.zero_shot import classify

log = logging.getLogger("selection_job")


@dataclass(frozen=True)
class LoadedSources:
    """What the lightly datasource and the built-in detector say about the images. Aligned with names."""

    names: list[str]
    tasks: dict[str, TaskPredictions] = field(default_factory=dict)
    columns: dict[str, MetadataColumn] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def list_source_versions(context: RunContext) -> list[tuple[str, str]]:
    """Return key and version of every file that strategies, the encoder's folder or the detector are read from, sorted.

    They change when one of the files is changed.
    """
    needs = context.needs
    folders = [f".lightly/predictions/{task}/" for task in _list_tasks_in_files(context)]
    if needs.metadata_in_files:
        folders.append(METADATA_FOLDER)
    folders += needs.query_folders
    if context.worker.encoder not in ("", BUILT_IN):
        folders.append(context.worker.encoder.rstrip("/") + "/")
    asks = needs.queries or context.worker.zero_shot_tasks
    keys = {query_key(*query_set) for query_set in needs.query_sets}
    if asks and context.worker.embeddings:
        keys.update(list_record_keys(find_table_key(context.worker.embeddings)))
    if context.worker.pretagging and (checkpoint := context.worker.pretagging_config.checkpoint):
        keys.add(checkpoint)
    found = [(info.key, info.version) for folder in folders for info in context.target.list(folder)]
    found += [(info.key, info.version) for key in keys for info in context.target.list(key) if info.key in keys]
    return sorted(found)


def _list_tasks_in_files(context: RunContext) -> list[str]:
    made = {task.name for task in context.worker.zero_shot_tasks}
    if context.worker.pretagging:
        made.add(PRETAGGING_TASK)
    return [task for task in context.needs.tasks if task not in made]


def check_schemas(context: RunContext) -> None:
    """Raise UnusableData where tasks.json or a schema is missing or wrong, before hours are spent on videos."""
    if tasks := _list_tasks_in_files(context):
        load_schemas(context.target, tasks)
    check_metadata_schema(context.target, context.goal.strategies, context.needs)


def load_sources(context: RunContext, listing: Listing, pool: Sequence[str] = ()) -> LoadedSources:
    """Load predictions and metadata that the strategies look at, and run the built-in detector where it is asked for.

    pool  names of the datapool's images, which come behind the listed ones
    Raises UnusableData where something that the configuration names is missing or wrong.
    """
    loaded = LoadedSources([*listing.names, *pool])
    target, stages, progress = context.target, context.stages, context.progress
    if context.needs.custom_metadata:
        with progress.stage(Stage.LOADING_METADATA):
            metadata = load_metadata(
                target, loaded.names, context.goal.strategies, context.needs, stages=stages, progress=progress
            )
        loaded.columns.update({column.key: column for column in metadata.value})
        loaded.notes.extend(_tell(metadata.notes))
    if tasks := _list_tasks_in_files(context):
        with progress.stage(Stage.LOADING_PREDICTION):
            predictions = load_predictions(
                target, tasks, loaded.names, stages=stages, scratch=context.scratch, progress=progress
            )
        loaded.tasks.update(predictions.value)
        loaded.notes.extend(_tell(predictions.notes))
    if context.worker.pretagging:
        with progress.stage(Stage.PRETAGGING):
            pretagged = pretag_images(context, listing)
        loaded.tasks[PRETAGGING_TASK] = add_images(pretagged.value, len(pool))
        loaded.notes.extend(_tell(pretagged.notes))
    sketches = {task.name: sketch_task(task) for task in context.worker.zero_shot_tasks}
    check_strategies(context.goal.strategies, loaded.tasks | sketches)
    return loaded


def gather_sources(
    context: RunContext,
    loaded: LoadedSources,
    embedded: Embedded,
    table_scores: NDArray[np.float64] | None = None,
    *,
    asked: AskedVectors | None = None,
) -> Noted[GatheredSources]:
    """Align all that was loaded with the catalog, add what the images themselves gave, and compute the scores.

    table_scores  (n,) the al_score column of workerConfig.embeddings, where it has one
    asked         what the run's queries and zero-shot tasks look for
    Raises UnusableData where something that the configuration names is missing or wrong.
    """
    needs, catalog = context.needs, embedded.catalog
    rows = _rows_of(catalog, loaded.names)
    measured = make_measured_columns(catalog) if needs.computed_metadata else {}
    columns = {**take_columns(loaded.columns, rows), **measured}
    tasks = _fit_tasks(context, loaded, catalog, rows)
    asked = asked or AskedVectors()
    classified = classify(context, asked, embedded)
    sources = GatheredSources(
        n=len(catalog.names),
        names=catalog.names,
        columns=columns,
        tasks=tasks.value | classified.value,
        objects={crops.task: (crops.vectors, crops.image_rows) for crops in embedded.crops},
        queries=_load_queries(context, embedded.embeddings.shape[1]),
        folders=asked.folders,
        fits=measure_fits(asked, embedded.embeddings),
        scorer_config=context.worker.scorer_config,
        table_scores=table_scores,
    )
    if needs.scores:
        _compute_scores(context, sources)
    return Noted(sources, tuple(_tell((*tasks.notes, *classified.notes))))


def _tell(notes: Iterable[str]) -> Iterable[str]:
    """Yield the notes, and log each: who watches the log need not wait for the report."""
    for note in notes:
        log.info("%s", note)
        yield note


def _fit_tasks(
    context: RunContext, loaded: LoadedSources, catalog: Catalog, rows: NDArray[np.int64]
) -> Noted[dict[str, TaskPredictions]]:
    """Return the tasks with boxes as they lie on the pictures, and what is odd about those that lie in files."""
    fitted, notes, in_files = {}, [], _list_tasks_in_files(context)
    for name, task in loaded.tasks.items():
        given = take_images(task, rows)
        shown = turn_boxes(given, catalog)
        clipped = clip_boxes(shown, catalog)
        fitted[name] = clipped.task
        if name in in_files:
            notes += note_unturned(given, catalog)
            notes += note_misfits(shown, catalog, scratch=context.scratch)
            notes += clipped.notes
            notes += note_form(given, catalog)
    return Noted(fitted, tuple(notes))


def _rows_of(catalog: Catalog, names: list[str]) -> NDArray[np.int64]:
    """Return (n,) the place among the names of each image of the catalog."""
    if catalog.names == names:
        return np.arange(len(names))
    places = {name: row for row, name in enumerate(names)}
    return np.array([places[name] for name in catalog.names], dtype=np.int64)


def _compute_scores(context: RunContext, sources: GatheredSources) -> None:
    with context.progress.stage(Stage.COMPUTING_ACTIVE_LEARNING_SCORES):
        for entry in context.goal.strategies:
            if entry.input.type == "SCORES":
                with entry.located():
                    sources.scores(entry.input.task or "", entry.input.score or "")


def _load_queries(context: RunContext, dimensions: int) -> dict[tuple[str, str], NDArray[np.float32]]:
    return {
        (dataset_id, tag_name): load_query_set(
            context.target, dataset_id, tag_name, dimensions=dimensions, scratch=context.scratch
        )
        for dataset_id, tag_name in context.needs.query_sets
    }

"""Writing exports/: what workerConfig.exports names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from selection_job.formats.distinct_names import Renamed, list_renamed
from selection_job.predictions.shapes import KINDS_WITH_SHAPES, ShapeFiles
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.predictions.task_schema import load_schemas
from selection_job.publishing.run_results import RunResults
from selection_job.results.exports.chosen_images import ChosenImages, name_values
from selection_job.results.exports.coco_file import write_coco
from selection_job.results.exports.cvat_manifest import write_cvat_manifest
from selection_job.results.exports.fiftyone_dataset import list_fiftyone_fields, write_fiftyone
from selection_job.results.exports.label_studio import list_label_studio_columns, write_label_studio
from selection_job.results.exports.parquet_tables import list_parquet_columns, write_selected_table
from selection_job.results.tables.embedding_parquet import write_decided
from selection_job.run.context import RunContext

_WRITERS: Mapping[str, Callable[[Path, ChosenImages], None]] = {
    "LABEL_STUDIO": write_label_studio,
    "CVAT": write_cvat_manifest,
    "COCO": write_coco,
    "FIFTYONE": write_fiftyone,
    "PARQUET": write_selected_table,
}
_WITH_SHAPES = frozenset({"LABEL_STUDIO", "COCO"})

_FIELDS: Mapping[str, Callable[[ChosenImages], list[Renamed]]] = {
    "LABEL_STUDIO": list_label_studio_columns,
    "FIFTYONE": list_fiftyone_fields,
    "PARQUET": list_parquet_columns,
}


def write_exports(folder: Path, context: RunContext, results: RunResults) -> list[Renamed]:
    """Write the files of each export that the configuration names into the folder; return what is renamed in them.

    Time: about 10 µs a selected image and export; memory does not grow with their number.
    """
    if not context.worker.exports:
        return []
    chosen = gather_chosen(context, results)
    for name in context.worker.exports:
        _WRITERS[name](folder, chosen)
    if "PARQUET" in context.worker.exports and context.worker.tables == "CSV":  # else the same lies in data/
        write_decided(folder, results.catalog, results.embeddings, results.selection)
    return list_renamed_columns(context, chosen)


def gather_chosen(context: RunContext, results: RunResults) -> ChosenImages:
    """Return the selected images with what the strategies looked at."""
    catalog, sources = results.catalog, results.sources
    selected = [catalog.names[row] for row in results.selection.selected.tolist()]
    media, file_names = results.medium.find_files(context, selected)
    scores = [sources.scores(task, score) for task, score in context.goal.scores]
    metadata = [_values_of(sources.columns[key]) for key in context.needs.metadata]
    columns = dict(zip(name_values(_list_columns(context), catalog.medium), [*scores, *metadata], strict=True))
    shapes = _find_shapes(context, catalog.names, sources.tasks)
    return ChosenImages(catalog, results.selection, media, file_names, columns, sources.tasks, shapes)


def _list_columns(context: RunContext) -> list[str]:
    """Return what each score and each metadata value is usually called, in this order."""
    return [*(f"{task} {score}".strip() for task, score in context.goal.scores), *context.needs.metadata]


def _find_shapes(
    context: RunContext, names: Sequence[str], tasks: Mapping[str, TaskPredictions]
) -> dict[str, ShapeFiles]:
    """Return where the keypoints and masks lie of each task that has any, for the exports that show them."""
    wanted = [name for name, task in tasks.items() if task.kind in KINDS_WITH_SHAPES]
    if not wanted or not _WITH_SHAPES.intersection(context.worker.exports):
        return {}
    schemas = load_schemas(context.target, wanted)
    return {schema.task: ShapeFiles(context.target, schema, names) for schema in schemas}


def list_renamed_columns(context: RunContext, chosen: ChosenImages) -> list[Renamed]:
    """Return what has another name in the exports than usual."""
    wanted = _list_columns(context)
    renamed = list_renamed("column of all exports", wanted, wanted, name_values(wanted, chosen.catalog.medium))
    for export, name_fields in _FIELDS.items():
        if export in context.worker.exports:
            renamed += name_fields(chosen)
    return renamed


def _values_of(column: Any) -> Sequence[Any] | NDArray[Any]:
    values: Sequence[Any] | NDArray[Any] = column.numbers if column.labels is None else column.labels
    return values

"""Writing exports/: what workerConfig.exports names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from selection_job.manifest.data_needs import find_needs, list_scores
from selection_job.publishing.run_results import RunResults
from selection_job.results.exports.chosen_images import ChosenImages
from selection_job.results.exports.coco_file import write_coco
from selection_job.results.exports.cvat_manifest import write_cvat_manifest
from selection_job.results.exports.fiftyone_dataset import write_fiftyone
from selection_job.results.exports.label_studio import write_label_studio
from selection_job.results.exports.media_place import MediaPlace, make_place
from selection_job.results.exports.parquet_tables import write_embedding_table, write_selected_table
from selection_job.results.pictures.image_copies import name_copies
from selection_job.run.context import RunContext

_WRITERS: Mapping[str, Callable[[Path, ChosenImages], None]] = {
    "LABEL_STUDIO": write_label_studio,
    "CVAT": write_cvat_manifest,
    "COCO": write_coco,
    "FIFTYONE": write_fiftyone,
    "PARQUET": write_selected_table,
}


def write_exports(folder: Path, context: RunContext, findings: RunResults) -> None:
    """Write the files of each export that the configuration names into the folder.

    Time: about 10 µs a selected image and export; memory does not grow with their number.
    """
    chosen = gather_chosen(context, findings)
    for name in context.worker.exports:
        _WRITERS[name](folder, chosen)
    if "PARQUET" in context.worker.exports:
        write_embedding_table(folder, findings.catalog, findings.embeddings, findings.selection)


def gather_chosen(context: RunContext, findings: RunResults) -> ChosenImages:
    """Return the selected images with what the strategies looked at."""
    catalog, sources = findings.catalog, findings.sources
    selected = [catalog.names[row] for row in findings.selection.selected.tolist()]
    media, file_names = _find_files(context, findings, selected)
    scores = {f"{task} {score}".strip(): sources.scores(task, score) for task, score in list_scores(context.spec)}
    metadata = {key: _values_of(sources.columns[key]) for key in find_needs(context.spec).metadata}
    return ChosenImages(catalog, findings.selection, media, file_names, {**scores, **metadata}, sources.tasks)


def _find_files(context: RunContext, findings: RunResults, selected: list[str]) -> tuple[MediaPlace, list[str]]:
    """Return where the files of the selected images lie: in the input, or for frames among the results."""
    datasources = context.spec.datasources
    if findings.catalog.frames is None:
        return make_place(datasources.input, context.source.url), selected
    written = make_place(datasources.lightly, context.target.url, f"{context.run_key}data/sampled/")
    return written, name_copies(selected, context.worker.output_image_format)


def _values_of(column: Any) -> Sequence[Any] | NDArray[Any]:
    values: Sequence[Any] | NDArray[Any] = column.numbers if column.labels is None else column.labels
    return values

"""Writing exports/: what workerConfig.exports names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from selection_job.exports.chosen_images import ChosenImages
from selection_job.exports.coco_file import write_coco
from selection_job.exports.cvat_manifest import write_cvat_manifest
from selection_job.exports.fiftyone_dataset import write_fiftyone
from selection_job.exports.label_studio import write_label_studio
from selection_job.exports.media_place import MediaPlace, make_place
from selection_job.exports.parquet_tables import write_embedding_table, write_selected_table
from selection_job.needs import find_needs
from selection_job.results.findings import Findings
from selection_job.results.image_copies import name_copies
from selection_job.results.score_table import list_scores
from selection_job.workplace import Workplace

_WRITERS: Mapping[str, Callable[[Path, ChosenImages], None]] = {
    "LABEL_STUDIO": write_label_studio,
    "CVAT": write_cvat_manifest,
    "COCO": write_coco,
    "FIFTYONE": write_fiftyone,
    "PARQUET": write_selected_table,
}


def write_exports(folder: Path, place: Workplace, findings: Findings) -> None:
    """Write the files of each export that the configuration names into the folder.

    Time: about 10 µs a selected image and export; memory does not grow with their number.
    """
    chosen = gather_chosen(place, findings)
    for name in place.worker.exports:
        _WRITERS[name](folder, chosen)
    if "PARQUET" in place.worker.exports:
        write_embedding_table(folder, findings.catalog, findings.embeddings, findings.selection)


def gather_chosen(place: Workplace, findings: Findings) -> ChosenImages:
    """Return the selected images with what the strategies looked at."""
    catalog, sources = findings.catalog, findings.sources
    selected = [catalog.names[row] for row in findings.selection.selected.tolist()]
    media, file_names = _find_files(place, findings, selected)
    scores = {f"{task} {score}".strip(): sources.scores(task, score) for task, score in list_scores(place.spec)}
    metadata = {key: _values_of(sources.columns[key]) for key in find_needs(place.spec).metadata}
    return ChosenImages(catalog, findings.selection, media, file_names, {**scores, **metadata}, sources.tasks)


def _find_files(place: Workplace, findings: Findings, selected: list[str]) -> tuple[MediaPlace, list[str]]:
    """Return where the files of the selected images lie: in the input, or for frames among the results."""
    datasources = place.spec.datasources
    if findings.catalog.frames is None:
        return make_place(datasources.input, place.source.url), selected
    written = make_place(datasources.lightly, place.target.url, f"{place.run_key}data/sampled/")
    return written, name_copies(selected, place.worker.output_image_format)


def _values_of(column: Any) -> Sequence[Any] | NDArray[Any]:
    values: Sequence[Any] | NDArray[Any] = column.numbers if column.labels is None else column.labels
    return values

"""Selection of objects: each crop is chosen as an image would be; an image is kept where one of its crops is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_api.spec import SelectionRunSpec
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.errors import UnusableData
from selection_job.manifest.goal import name_min_counts
from selection_job.metadata.metadata_column import MetadataColumn, take_columns
from selection_job.numeric.neighbours import nearest_rows
from selection_job.predictions.task_predictions import OF_IMAGES, TaskPredictions, take_objects
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.selecting import select_images
from selection_job.selection.selection import PASSED, Selection, StrategyRecord
from selection_job.selection.thresholds import apply_thresholds
from selection_job.selection.vectors import normalize_rows


@dataclass(frozen=True, eq=False)
class ObjectSelection:
    """The objects of the task that object_level names, and which of them were chosen."""

    crops: Crops  # all there are, on exact duplicates too
    selection: Selection
    """Rows refer to the crops; candidates are those on images that take part and pass min_counts. Radii, distances and
    contributions are of crops among crops."""
    images: NDArray[np.int64]  # (c,) rows of the catalog that take part, sorted
    filters: tuple[StrategyRecord, ...]
    """What may keep an image out, aligned with images: that it has no object, pretagging_config.min_counts, that none
    of its objects passes every THRESHOLD."""
    filtered_by: NDArray[np.int64]  # (c,) which of `filters` keeps the image out, or PASSED


def select_objects(catalog: Catalog, crops: Crops, spec: SelectionRunSpec, sources: GatheredSources) -> ObjectSelection:
    """Choose crops by the configuration. Numbers count crops, and a share counts from all crops.

    sources  of the images: predictions of the crops' own task, and metadata, are handed down to the crops
    Raises UnusableData where no image has an object, or where nothing is left to choose from.
    """
    is_in = np.ones(len(catalog.names), dtype=bool)
    if spec.worker_config.remove_exact_duplicates:
        is_in &= ~catalog.is_duplicate
    images = np.flatnonzero(is_in)
    own = _count_objects(f"at least 1 object of {crops.task}", crops.owners, images)
    if not own.passes.any():
        raise UnusableData(
            f"Nothing to select from: no image has an object of the task {crops.task!r} "
            "(spec.workerConfig.object_level.task_name) that lies on it. Corrupt images and exact copies don't count."
        )
    entries = name_min_counts(spec.worker_config)
    counted, failed = apply_thresholds(entries, sources, images, seed=spec.lightly_config.seed)
    is_in[images[failed != PASSED]] = False
    selection = _select(crops, is_in[crops.owners], spec, sources)
    filters = [own.record, *counted]
    if selection.thresholds:
        name = f"at least 1 object of {crops.task} that passes every THRESHOLD"
        filters.append(_count_objects(name, crops.owners[_passing(selection)], images).record)
    return ObjectSelection(crops, selection, images, tuple(filters), _find_first_failed(filters))


def _select(crops: Crops, takes_part: NDArray[np.bool_], spec: SelectionRunSpec, sources: GatheredSources) -> Selection:
    try:
        return select_images(
            _catalog_of(crops, takes_part),
            crops.vectors,
            _rewrite(spec, crops.task),
            hand_down(sources, crops),
            what="objects",
        )
    except UnusableData as error:
        raise UnusableData(
            f"spec.workerConfig.object_level: each object of {crops.task} is chosen as if it was an image. {error}"
        ) from error


def _rewrite(spec: SelectionRunSpec, task: str) -> SelectionRunSpec:
    """Return the spec as it reads for crops: their own embeddings are the only ones, and min_counts are done with."""
    worker = spec.worker_config.model_copy(update={"remove_exact_duplicates": True, "pretagging": False})
    config = spec.selection_config
    if config is not None:
        strategies = tuple(
            entry.model_copy(update={"input": entry.input.model_copy(update={"task": None})})
            if entry.input.type == "EMBEDDINGS" and entry.input.task == task
            else entry
            for entry in config.strategies
        )
        config = config.model_copy(update={"strategies": strategies})
    return spec.model_copy(update={"worker_config": worker, "selection_config": config})


def _catalog_of(crops: Crops, takes_part: NDArray[np.bool_]) -> Catalog:
    """Return the crops as if each was an image of its own, and those that don't take part as exact duplicates."""
    m = len(crops)
    sizes_px = crops.boxes_px[:, 2:] - crops.boxes_px[:, :2]
    return Catalog(
        names=[""] * m,
        sha256=np.broadcast_to(np.uint8(0), (m, 32)),
        sizes_bytes=np.broadcast_to(np.int64(0), m),
        widths_px=sizes_px[:, 0],
        heights_px=sizes_px[:, 1],
        duplicate_of=np.where(takes_part, np.arange(m), -1),
        corrupt={},
    )


def hand_down(sources: GatheredSources, crops: Crops) -> GatheredSources:
    """Return the sources of crops: each has the prediction that it was cut out by, and its image's metadata."""
    task = sources.tasks.get(crops.task)
    return GatheredSources(
        n=len(crops),
        tasks={} if task is None else {crops.task: own_predictions(task, crops)},
        columns=_ColumnsOfOwners(sources.columns, crops.owners),
        queries=sources.queries,
        scorer_config=sources.scorer_config,
    )


class _ColumnsOfOwners(Mapping[str, MetadataColumn]):
    """The metadata of crops, made when looked at: all columns of ten million crops would take gigabytes."""

    def __init__(self, columns: Mapping[str, MetadataColumn], owners: NDArray[np.int64]) -> None:
        self._columns, self._owners = columns, owners

    def __getitem__(self, key: str) -> MetadataColumn:
        return take_columns({key: self._columns[key]}, self._owners)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def own_predictions(task: TaskPredictions, crops: Crops) -> TaskPredictions:
    """Return the predictions of the crops, as if each was an image with one object."""
    rows = np.searchsorted(task.owners, crops.owners) + crops.numbers
    of_images: dict[str, Any] = {
        name: None if (column := getattr(task, name)) is None else column[crops.owners] for name in OF_IMAGES
    }
    return replace(take_objects(task, rows), owners=np.arange(len(crops), dtype=np.int64), **of_images)


@dataclass(frozen=True, eq=False)
class _Counted:
    """How many objects each image has, as a THRESHOLD of 1 sees it."""

    passes: NDArray[np.bool_]
    record: StrategyRecord


def _count_objects(name: str, owners: NDArray[np.int64], images: NDArray[np.int64]) -> _Counted:
    counts = np.searchsorted(owners, images, side="right") - np.searchsorted(owners, images)
    passes = counts > 0
    return _Counted(passes, StrategyRecord(name, "THRESHOLD", None, values=counts.astype(np.float64), passes=passes))


def _passing(selection: Selection) -> NDArray[np.int64]:
    """Return the candidates that pass every THRESHOLD, sorted."""
    is_filtered = np.isin(selection.candidates, selection.removed[selection.filtered_by != PASSED], assume_unique=True)
    return selection.candidates[~is_filtered]


def _find_first_failed(filters: Sequence[StrategyRecord]) -> NDArray[np.int64]:
    passes = np.stack([record.passes for record in filters if record.passes is not None])
    return np.where(passes.all(axis=0), PASSED, passes.argmin(axis=0))


def select_owners(
    catalog: Catalog, embeddings: NDArray[np.float32], objects: ObjectSelection, *, normalize: bool
) -> Selection:
    """Return which images are kept: those with a chosen crop, in the order in which their first one was chosen.

    distances are of that crop when it was chosen; nearest_selected and nearest_distance are of whole images.
    """
    chosen = objects.crops.owners[objects.selection.selected]
    _, first = np.unique(chosen, return_index=True)
    first.sort()
    selected = chosen[first]
    is_removed = ~np.isin(objects.images, selected)
    removed = objects.images[is_removed]
    vectors = normalize_rows(embeddings) if normalize else embeddings
    nearest, distances = nearest_rows(vectors[removed], vectors[selected])
    return Selection(
        candidates=objects.images,
        selected=selected,
        radii=np.full(len(selected), np.nan, dtype=np.float32),
        removed=removed,
        nearest_selected=selected[nearest],
        nearest_distance=distances,
        method="objects",
        stopped_by=objects.selection.stopped_by,
        distances=objects.selection.distances[first],
        contributions=np.empty((len(selected), 0)),
        filtered_by=objects.filtered_by[is_removed],
        thresholds=objects.filters,
        notes=[_describe(objects, len(selected)), *objects.selection.notes],
    )


def _describe(objects: ObjectSelection, n_images: int) -> str:
    n_chosen, n_all = len(objects.selection.selected), len(objects.crops)
    n_owners = len(np.unique(objects.crops.owners))
    return (
        f"Object level: {n_chosen} of {n_all} objects of {objects.crops.task} were chosen; "
        f"{n_images} of the {n_owners} images with objects have them."
    )

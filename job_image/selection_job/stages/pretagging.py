"""The pretagging stage: the built-in detector's objects on every readable image, as a prediction task."""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Listing
from selection_job.detector.detecting import Detections, detect_objects
from selection_job.detector.detector import CATEGORIES, TASK, Detector
from selection_job.detector.loading import load_detector
from selection_job.errors import UnusableData
from selection_job.manifest.noun import OBJECT
from selection_job.predictions.columns import load_task_columns, save_task_columns
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.predictions.task_schema import TaskSchema
from selection_job.predictions.task_upload import check_folder, upload_task
from selection_job.process.progress import Bar
from selection_job.reading.images import READER, ReadImage, ReadOptions, make_read_options, read_images
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import KeptStage, Noted, make_fingerprint
from selection_job.stores.fetching import fetch_file

IMAGES_PER_PART = 1000
"""A run that is cut off goes on with the part it was at; on a CPU an image takes seconds."""

SCHEMA = TaskSchema(TASK, "object-detection", CATEGORIES, (None,) * len(CATEGORIES))

_MOST_CHECKPOINT_BYTES = 1 << 30
_UPLOAD = "pretagging_upload"
_FIELD = "spec.workerConfig.pretagging_config.checkpoint"


def pretag_images(context: RunContext, listing: Listing) -> Noted[TaskPredictions]:
    """Read every image once more and return what the detector finds, aligned with listing.names.

    Images that can't be read have no predictions. With pretagging_upload they are also written to the lightly
    datasource. Raises UnusableData where the detector's weights can't be had.
    """
    settings = context.worker.pretagging_config
    if context.worker.pretagging_upload:
        check_folder(context.target, SCHEMA, option=_UPLOAD)
    detector = _load_detector(context)
    fingerprint = make_fingerprint(
        listing=listing.fingerprint,
        detector=detector.fingerprint,
        shortest_px=detector.shortest_px,
        min_score=settings.min_score,
        device=context.device.type,
        decoder=context.worker.decoder,
        check=context.worker.enable_corruptness_check,
        reader=READER,
        part=IMAGES_PER_PART,
    )
    task = _detect_all(context, listing, detector, fingerprint)
    found = (
        f"Pretagging found {OBJECT.count(len(task.owners))} on {len(np.unique(task.owners)):,} of "
        f"{np.count_nonzero(task.has_file):,} readable images, by {detector.source} ({detector.fingerprint[:16]})."
    )
    if not context.worker.pretagging_upload:
        return Noted(task, (found,))

    def upload(_: Path) -> list[str]:
        return upload_task(context.target, SCHEMA, task, listing.names, option=_UPLOAD, progress=context.progress)

    # Kept for its notes alone: a retried run does not write the files again.
    stage = KeptStage("pretagging-upload", make_fingerprint(of=fingerprint), upload, lambda _: None)
    return Noted(task, (found, *context.stages.reuse_or_make(stage).notes))


def _detect_all(context: RunContext, listing: Listing, detector: Detector, fingerprint: str) -> TaskPredictions:
    """Return the objects on all images, part by part; finished parts come from an earlier try."""
    n = len(listing.names)
    bars: list[Bar] = []
    with ExitStack() as stack:

        def detect(part: slice, folder: Path) -> None:
            if not bars:  # a resumed run's bar begins at the first part that is left
                bars.append(stack.enter_context(context.progress.bar("Detecting objects", n, done=part.start)))
            save_task_columns(_detect_part(context, listing, detector, part, bars[0]), folder)

        cut = [slice(first, min(first + IMAGES_PER_PART, n)) for first in range(0, max(n, 1), IMAGES_PER_PART)]
        parts = [
            KeptStage(
                f"pretagging-{number}",
                fingerprint,
                partial(detect, part),
                partial(load_task_columns, SCHEMA, part.stop - part.start),
            )
            for number, part in enumerate(cut)
        ]
        return context.stages.join(parts, _concatenate).value


def _detect_part(context: RunContext, listing: Listing, detector: Detector, part: slice, bar: Bar) -> TaskPredictions:
    names = listing.names[part]
    images = read_images(
        context.source, names, options=_read_options(context, detector), sizes_bytes=listing.sizes_bytes[part]
    )
    seen = _Seen(len(names))
    settings = context.worker.pretagging_config
    pictures = seen.pictures(images, bar)
    for detections in detect_objects(detector, pictures, device=context.device, min_score=settings.min_score):
        seen.add(detections)
        bar.advance()
    return seen.build()


def _read_options(context: RunContext, detector: Detector) -> ReadOptions:
    return replace(
        make_read_options(context.worker, None),
        choose_size=detector.fit,
        resized_bytes=3 * detector.shortest_px * detector.longest_px,
    )


@dataclass
class _Seen:
    """What was found so far. Pictures go out ahead of what is found on them."""

    n_images: int
    is_readable: NDArray[np.bool_] = field(init=False)
    waiting: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Row, width and height in pixels of pictures that went out."""
    found: list[dict[str, NDArray[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.is_readable = np.zeros(self.n_images, dtype=np.bool_)

    def pictures(self, images: Iterator[ReadImage], bar: Bar) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures of the readable images; the others are done with."""
        for row, image in enumerate(images):
            if image.resized_pixels is None:
                bar.advance()
                continue
            self.is_readable[row] = True
            self.waiting.append((row, image.width_px, image.height_px))
            yield image.resized_pixels

    def add(self, detections: Detections) -> None:
        """Take in what was found on the picture that has waited longest."""
        row, width_px, height_px = self.waiting.popleft()
        edges = np.array([width_px, height_px] * 2, dtype=np.float32)
        self.found.append(
            {
                "owners": np.full(len(detections.scores), row, dtype=np.int64),
                "category_index": detections.category_index,
                "scores": detections.scores,
                "probabilities": detections.probabilities,
                "boxes_px": detections.boxes * edges,
            }
        )

    def build(self) -> TaskPredictions:
        """Return the columns, sorted by image."""
        empty = {
            "owners": np.empty(0, np.int64),
            "category_index": np.empty(0, np.int32),
            "scores": np.empty(0, np.float32),
            "probabilities": np.empty((0, len(CATEGORIES)), np.float32),
            "boxes_px": np.empty((0, 4), np.float32),
        }
        columns: dict[str, Any] = {
            name: np.concatenate([nothing, *(each[name] for each in self.found)]) for name, nothing in empty.items()
        }
        return TaskPredictions(name=TASK, kind=SCHEMA.kind, categories=CATEGORIES, has_file=self.is_readable, **columns)


def _concatenate(parts: list[TaskPredictions]) -> TaskPredictions:
    """Return one task of all images, in order."""
    firsts = np.cumsum([0, *(len(part.has_file) for part in parts)])
    parts = [replace(part, owners=part.owners + first) for part, first in zip(parts, firsts, strict=False)]
    columns: dict[str, Any] = {
        each.name: np.concatenate([getattr(part, each.name) for part in parts])
        for each in fields(TaskPredictions)
        if isinstance(getattr(parts[0], each.name), np.ndarray)
    }
    return replace(parts[0], **columns)


def _load_detector(context: RunContext) -> Detector:
    settings = context.worker.pretagging_config
    shortest_px = max(settings.input_size, 0) or None
    if not settings.checkpoint:
        return load_detector(None, shortest_px=shortest_px)
    path = _fetch_weights(context, settings.checkpoint)
    try:
        return load_detector(path, key=settings.checkpoint, shortest_px=shortest_px)
    except UnusableData as error:
        raise UnusableData(f"{_FIELD}: {error}") from error


def _fetch_weights(context: RunContext, key: str) -> Path:
    for info in context.target.list(key):
        if info.key == key and info.size_bytes > _MOST_CHECKPOINT_BYTES:
            raise UnusableData(
                f"{_FIELD} names {key!r}, and {context.target.url}{key} has {info.size_bytes} bytes, above the limit "
                f"of {_MOST_CHECKPOINT_BYTES}. Save the state_dict alone; torchvision's has 170 MB."
            )
    advice = "Give the path of a checkpoint relative to the lightly datasource."
    return fetch_file(context.target, key, context.scratch / "detector.pth", field=_FIELD, advice=advice)

"""data/bounding_boxes_examples/: some of the images with what the built-in detector found drawn on them."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from selection_job.catalog.catalog import Catalog
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.images.decoding import CorruptImage, decode_rgb
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.results.tables.bounding_boxes import draw_boxes, relative_corners
from selection_job.stores.store import Store

MOST_EXAMPLES = 20
_LONGEST_NAME = 100


def write_examples(folder: Path, source: Store, catalog: Catalog, task: TaskPredictions) -> None:
    """Write up to MOST_EXAMPLES JPEGs, 00_<name>.jpg and so on; each of the images is read once more.

    task  aligned with the catalog
    An image that is gone by then is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(choose_examples(catalog, task)):
        try:
            picture = decode_rgb(source.read(catalog.names[row]), allow_truncated=True)
        except (ObjectMissing, ObjectRefused, CorruptImage):
            continue
        first, end = np.searchsorted(task.owners, [row, row + 1])
        assert task.boxes_px is not None
        drawn = first + np.flatnonzero(np.isfinite(task.boxes_px[first:end]).all(axis=1))
        labels = [
            f"{task.categories[index].name} {score:.2f}"
            for index, score in zip(task.category_index[drawn], task.scores[drawn], strict=True)
        ]
        corners = relative_corners(task.boxes_px[drawn], catalog, row)
        content = draw_boxes(picture, corners, labels, task.category_index[drawn].tolist())
        (folder / f"{number:02}_{_as_file_name(catalog.names[row])}.jpg").write_bytes(content)


def choose_examples(catalog: Catalog, task: TaskPredictions) -> list[int]:
    """Return rows of images that were read, spread evenly over the input: as many with objects as there are.

    For each category comes first the image with its surest object, so that rare ones are seen.
    """
    readable = np.flatnonzero(task.has_file & ~catalog.is_duplicate)
    surest = dict.fromkeys(_surest_of_each(task))
    with_objects = readable[np.isin(readable, task.owners)]
    rows = with_objects if len(with_objects) >= MOST_EXAMPLES else readable
    spread = rows[np.linspace(0, len(rows) - 1, min(MOST_EXAMPLES, len(rows))).round().astype(int)] if len(rows) else []
    return sorted(list(dict.fromkeys([*surest, *map(int, spread)]))[:MOST_EXAMPLES])


def _surest_of_each(task: TaskPredictions) -> Iterator[int]:
    for index in range(len(task.categories)):
        places = np.flatnonzero(task.category_index == index)
        if len(places):
            yield int(task.owners[places[task.scores[places].argmax()]])


def _as_file_name(name: str) -> str:
    """Return a name for a file of any system.

    >>> _as_file_name("night/rain 1.png")
    'night_rain_1'
    """
    return re.sub(r"[^A-Za-z0-9-]+", "_", name.rpartition(".")[0])[-_LONGEST_NAME:]

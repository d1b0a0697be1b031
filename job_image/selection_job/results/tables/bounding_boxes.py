"""data/bounding_boxes.json: the boxes of prediction tasks in the worker's format, and pictures with boxes drawn."""

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from selection_job.catalog.catalog import Catalog
from selection_job.predictions.task_predictions import TaskPredictions

_BLOCK = 65536  # objects
_EXAMPLE_PX = 1024
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")  # Okabe and Ito
_LONGEST_LABEL = 40


def write_bounding_boxes(path: Path, catalog: Catalog, tasks: Iterable[TaskPredictions]) -> bool:
    """Write a list of {filename, task, boxes, labels, scores}, an entry for each image and task with an object.

    tasks  aligned with the catalog; those without boxes are left out

    boxes are [x0, y0, x1, y1] from 0 to 1, relative to the image; an object without a box, or on an image of unknown
    size, is left out. Nothing is written, and False returned, where no task has a box. Streamed: some 10 µs and no
    memory for an object.
    """
    entries = (entry for task in tasks for entry in _entries(catalog, task))
    first = next(entries, None)
    if first is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write("[\n" + json.dumps(first, ensure_ascii=False))
        file.writelines(",\n" + json.dumps(entry, ensure_ascii=False) for entry in entries)
        file.write("\n]\n")
    return True


def _entries(catalog: Catalog, task: TaskPredictions) -> Iterator[dict[str, object]]:
    """Yield an entry for each image; the objects of an image are never in two blocks."""
    if task.boxes_px is None:
        return
    is_known = np.isfinite(task.boxes_px).all(axis=1) & (task.owners < catalog.n_new)
    is_known &= np.minimum(catalog.widths_px, catalog.heights_px)[task.owners] > 0
    places = np.flatnonzero(is_known)
    names = [category.name for category in task.categories]
    for part in _split_by_image(places, task.owners):
        owners = task.owners[part]
        boxes = relative_corners(task.boxes_px[part], catalog, owners).round(6).tolist()
        scores = task.scores[part].astype(np.float64).round(6).tolist()
        labels = [names[index] for index in task.category_index[part].tolist()]
        starts = np.flatnonzero(np.diff(owners, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(part)], strict=True):
            yield {
                "filename": catalog.names[owners[start]],
                "task": task.name,
                "boxes": boxes[start:end],
                "labels": labels[start:end],
                "scores": scores[start:end],
            }


def _split_by_image(places: NDArray[np.int64], owners: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the places in parts of about _BLOCK that end where an image ends."""
    start, own = 0, owners[places]
    while start < len(places):
        last = min(start + _BLOCK, len(places)) - 1
        end = int(np.searchsorted(own, own[last], side="right"))
        yield places[start:end]
        start = end


def relative_corners(
    boxes_px: NDArray[np.float32], catalog: Catalog, rows: NDArray[np.int64] | int
) -> NDArray[np.float64]:
    """Return (k, 4) x0, y0, x1, y1 from 0 to 1 of boxes x, y, width, height in pixels.

    rows  (k,) of the catalog, or the one that all boxes are on; their sizes are known
    """
    edges = np.stack([catalog.widths_px[rows], catalog.heights_px[rows]], axis=-1).astype(np.float64)
    low = boxes_px[:, :2].astype(np.float64)
    corners: NDArray[np.float64] = np.concatenate([low / edges, (low + boxes_px[:, 2:]) / edges], axis=1)
    return np.clip(corners, 0.0, 1.0, out=corners)


def draw_boxes(
    image: Image.Image, corners: NDArray[np.float64], labels: Iterable[str], indices: Iterable[int]
) -> bytes:
    """Return a JPEG, at most 1024 pixels an edge, of an RGB image with boxes and their labels drawn on it.

    corners  (k, 4) relative, as relative_corners gives them
    indices  (k,) of the categories; they choose the colours
    """
    picture = _shrink(image)
    draw = ImageDraw.Draw(picture)
    edges = np.array([picture.width, picture.height] * 2) - 1
    for box, label, index in zip((corners * edges).tolist(), labels, indices, strict=True):
        colour = _COLOURS[index % len(_COLOURS)]
        draw.rectangle(box, outline=colour, width=max(1, max(picture.size) // 300))
        _draw_label(draw, box[0], max(0.0, box[1] - 12), label, colour)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _shrink(image: Image.Image) -> Image.Image:
    scale = _EXAMPLE_PX / max(image.size)
    if scale >= 1:
        return image.copy()
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _draw_label(draw: ImageDraw.ImageDraw, x: float, y: float, label: str, colour: str) -> None:
    text = label[:_LONGEST_LABEL].encode("latin-1", "replace").decode("latin-1")  # the built-in font has no more
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    draw.rectangle(draw.textbbox((x + 2, y), text), fill=colour)
    draw.text((x + 2, y), text, fill="black")

"""label-studio-tasks.json: tasks as Label Studio's import takes them, with the predictions as pre-annotations.

https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from selection_job.formats.distinct_names import Renamed, keep_apart, list_renamed
from selection_job.formats.json_writing import open_new, split, write_items
from selection_job.numeric.outlines import trace_outlines
from selection_job.predictions.shapes import Shape, fill_mask
from selection_job.results.exports.chosen_images import ChosenImage, ChosenImages, FoundObject

MOST_TASKS = 100_000
"""In one file: what Label Studio advises for one project."""

MOST_CORNERS = 10_000
"""Of an object's polygons; one of more is its box."""

_CONTROLS = {
    "object-detection": ("label",),
    "classification": ("choice",),
    "instance-segmentation": ("polygon", "label"),
    "semantic-segmentation": ("polygon",),
    "keypoint-detection": ("keypoint", "label"),
}
_TYPES = {"label": "rectanglelabels", "choice": "choices", "polygon": "polygonlabels", "keypoint": "keypointlabels"}
_POINT_WIDTH = 0.5  # percent of the image
_OWN_COLUMNS = frozenset({"image", "filename", "rank"})


def write_label_studio(folder: Path, chosen: ChosenImages) -> None:
    """Write label-studio-tasks.json, or label-studio-tasks-1.json, -2, … where there are more than MOST_TASKS."""
    parts = split(_tasks(chosen), MOST_TASKS)
    for number, tasks in enumerate(parts, start=1):
        name = f"label-studio-tasks-{number}.json" if len(chosen) > MOST_TASKS else "label-studio-tasks.json"
        with open_new(folder / name) as file:
            write_items(file, tasks)


def _tasks(chosen: ChosenImages) -> Iterator[dict[str, Any]]:
    kinds = {name: task.kind for name, task in chosen.tasks.items()}
    columns, controls, model_version = _name_columns(chosen), _name_controls(kinds), ", ".join(kinds)
    for image, shapes in chosen.with_shapes():
        task: dict[str, Any] = {
            "data": {
                "image": chosen.place.name_label_studio(image.file_name),
                "filename": image.name,
                "rank": image.rank,
                **{columns[name]: value for name, value in image.values.items()},
            }
        }
        if results := list(_results(image, shapes, kinds, controls)):
            scores = [found.score for objects in image.objects.values() for found in objects]
            score = sum(scores) / len(scores)
            task["predictions"] = [{"model_version": model_version, "score": score, "result": results}]
        yield task


def list_label_studio_columns(chosen: ChosenImages) -> list[Renamed]:
    """Return the values whose column is another's already."""
    names = chosen.value_names
    written = list(_name_columns(chosen).values())
    return list_renamed("Label Studio column", [_name_column(name) for name in names], names, written)


def _name_columns(chosen: ChosenImages) -> dict[str, str]:
    names = chosen.value_names
    return dict(zip(names, keep_apart([_name_column(name) for name in names], _OWN_COLUMNS), strict=True))


def _name_column(name: str) -> str:
    """Return the name; a value that is called as one of the task's own must not take its place."""
    return f"{name}_" if name in _OWN_COLUMNS else name


def _name_controls(kinds: dict[str, str]) -> dict[tuple[str, str], str]:
    """Return, by task and what it shows, the name of the control of the labelling configuration that takes it.

    Of several tasks that show the same the first has the plain name, a detector before others; each other one has its
    own control, for a control takes one choice, and labels of its own.
    """
    names: dict[tuple[str, str], str] = {}
    for task in sorted(kinds, key=lambda task: kinds[task] != "object-detection"):
        for control in _CONTROLS[kinds[task]]:
            names[task, control] = f"{control}-{task}" if control in names.values() else control
    return names


def _results(
    image: ChosenImage, shapes: dict[str, list[Shape]], kinds: dict[str, str], controls: dict[tuple[str, str], str]
) -> Iterator[dict[str, Any]]:
    """Yield the results of all tasks: Label Studio shows one prediction of a task at a time."""
    numbers = count(1)
    for task, objects in image.objects.items():
        known = shapes.get(task) or [Shape()] * len(objects)
        for found, shape in zip(objects, known, strict=True):
            for control, result in _show(image, kinds[task], found, shape, numbers):
                yield {"type": _TYPES[control], "from_name": controls[task, control], "to_name": "image", **result}


def _show(
    image: ChosenImage, kind: str, found: FoundObject, shape: Shape, numbers: Iterator[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield control and result of what shows an object: a choice, its polygons, or its box and the keypoints in it."""
    if kind == "classification":
        yield "choice", {"value": {"choices": [found.category]}, "score": found.score}
        return
    if not (image.width_px and image.height_px):
        return
    polygons = _outline(image, shape)
    for points in polygons:
        value = {"points": points, "closed": True, "polygonlabels": [found.category]}
        yield "polygon", _region(image, value, found.score, numbers)
    box: dict[str, Any] = {}
    if found.box_px is not None and not polygons:
        box = _region(image, _box_value(image, found.box_px, found.category), found.score, numbers)
        yield "label", box
    names = shape.keypoint_names or (found.category,) * len(shape.keypoints)
    for (x, y, confidence), name in zip(shape.keypoints, names, strict=True):
        if confidence > 0:
            place = {"x": x * 100 / image.width_px, "y": y * 100 / image.height_px, "width": _POINT_WIDTH}
            point = _region(image, {**place, "keypointlabels": [name]}, confidence, numbers)
            yield "keypoint", point | ({"parentID": box["id"]} if box else {})


def _box_value(image: ChosenImage, box_px: tuple[float, float, float, float], category: str) -> dict[str, Any]:
    x, y, width, height = box_px
    across, down = 100 / image.width_px, 100 / image.height_px
    place = {"x": x * across, "y": y * down, "width": width * across, "height": height * down}
    return {**place, "rotation": 0, "rectanglelabels": [category]}


def _outline(image: ChosenImage, shape: Shape) -> list[list[list[float]]]:
    """Return the corners of a mask's parts in percent of the image; [] where there is none, or one of another size."""
    mask = fill_mask(shape.runs, image.width_px, image.height_px)
    outlines = [] if mask is None else trace_outlines(mask)
    if sum(map(len, outlines)) > MOST_CORNERS:
        return []
    percent = np.array([100 / image.width_px, 100 / image.height_px])
    return [(corners * percent).tolist() for corners in outlines]


def _region(image: ChosenImage, value: dict[str, Any], score: float, numbers: Iterator[int]) -> dict[str, Any]:
    return {
        "id": str(next(numbers)),
        "original_width": image.width_px,
        "original_height": image.height_px,
        "score": score,
        "value": value,
    }

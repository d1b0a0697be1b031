"""label-studio-tasks.json: tasks as Label Studio's import takes them, with the predictions as pre-annotations.

https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selection_job.formats.json_writing import open_new, split, write_items
from selection_job.results.exports.chosen_images import ChosenImage, ChosenImages, FoundObject

MOST_TASKS = 100_000
"""In one file: what Label Studio advises for one project."""

_BOXES = "object-detection"
_CHOICES = "classification"
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
    for image in chosen:
        task: dict[str, Any] = {
            "data": {
                "image": chosen.place.name_label_studio(image.file_name),
                "filename": image.name,
                "rank": image.rank,
                **{_name_column(name): value for name, value in image.values.items()},
            }
        }
        if predictions := list(_predictions(image, kinds)):
            task["predictions"] = predictions
        yield task


def _name_column(name: str) -> str:
    """Return the name; a value that is called as one of the task's own must not take its place."""
    return f"{name}_" if name in _OWN_COLUMNS else name


def _predictions(image: ChosenImage, kinds: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the pre-annotations of each task: boxes in percent of the image, or one choice."""
    for name, objects in image.objects.items():
        results = [result for found in objects if (result := _result(image, kinds[name], found)) is not None]
        if results:
            score = sum(found.score for found in objects) / len(objects)
            yield {"model_version": name, "score": score, "result": results}


def _result(image: ChosenImage, kind: str, found: FoundObject) -> dict[str, Any] | None:
    if kind == _CHOICES:
        choice = {"type": "choices", "from_name": "choice", "value": {"choices": [found.category]}}
        return {**choice, "to_name": "image", "score": found.score}
    if kind != _BOXES or found.box_px is None or not (image.width_px and image.height_px):
        return None
    x, y, width, height = found.box_px
    across, down = 100 / image.width_px, 100 / image.height_px
    return {
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": image.width_px,
        "original_height": image.height_px,
        "score": found.score,
        "value": {
            **{"x": x * across, "y": y * down, "width": width * across, "height": height * down},
            "rotation": 0,
            "rectanglelabels": [found.category],
        },
    }

"""coco.json: the selected images in COCO's form, with predicted boxes as annotations that carry a score.

https://cocodataset.org/#format-data; readers ask for area, iscrowd and segmentation of every annotation.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.formats.json_writing import dump, open_new, write_items
from selection_job.predictions.shapes import Shape, fill_mask, list_runs
from selection_job.results.exports.chosen_images import ChosenImage, ChosenImages


def write_coco(folder: Path, chosen: ChosenImages) -> None:
    """Write info, images, categories and annotations. Ids of images are their ranks.

    Categories are those of every task with boxes; of several tasks each is a supercategory.
    """
    categories = _number_categories(chosen)
    with open_new(folder / "coco.json") as file:
        file.write('{"info":{"description":"Selected by selection-operator"},"licenses":[],\n"images":')
        write_items(file, _images(chosen))
        listed = [
            {"id": number, "name": category, "supercategory": task, **_keypoints_of(chosen, task, category)}
            for (task, category), number in categories.items()
        ]
        file.write(f',\n"categories":{dump(listed)},\n"annotations":')
        write_items(file, _annotations(chosen, categories))
        file.write("}\n")


def _number_categories(chosen: ChosenImages) -> dict[tuple[str, str], int]:
    named = [
        (name, category.name)
        for name, task in chosen.tasks.items()
        if task.boxes_px is not None
        for category in task.categories
    ]
    return {category: number for number, category in enumerate(dict.fromkeys(named), start=1)}


def _keypoints_of(chosen: ChosenImages, task: str, category: str) -> dict[str, Any]:
    """Return what COCO says about a category whose objects have keypoints: names, and pairs of places from 1."""
    if chosen.tasks[task].kind != "keypoint-detection" or task not in chosen.shapes:
        return {}
    schema = chosen.shapes[task].schema
    place = [known.name for known in schema.categories].index(category)
    skeleton = [[end + 1 for end in pair] for pair in schema.keypoint_skeletons[place]]
    return {"keypoints": list(schema.keypoint_names[place] or ()), "skeleton": skeleton}


def _images(chosen: ChosenImages) -> Iterator[dict[str, Any]]:
    for image in chosen:
        entry: dict[str, Any] = {"id": image.rank, "file_name": image.file_name}
        if image.width_px and image.height_px:
            entry |= {"width": image.width_px, "height": image.height_px}
        yield entry | {"coco_url": chosen.place.name_uri(image.file_name)}


def _annotations(chosen: ChosenImages, categories: dict[tuple[str, str], int]) -> Iterator[dict[str, Any]]:
    numbers = count(1)
    for image, shapes in chosen.with_shapes():
        for task, objects in image.objects.items():
            known = shapes.get(task) or [Shape()] * len(objects)
            for found, shape in zip(objects, known, strict=True):
                if found.box_px is None:
                    continue
                yield {
                    "id": next(numbers),
                    "image_id": image.rank,
                    "category_id": categories[task, found.category],
                    "bbox": list(found.box_px),
                    **_segment(image, found.box_px, shape),
                    "iscrowd": 0,
                    **_points(shape),
                    "score": found.score,
                }


def _segment(image: ChosenImage, box_px: tuple[float, float, float, float], shape: Shape) -> dict[str, Any]:
    """Return segmentation and area: of the mask in runs, or where none is known of the box as a polygon."""
    mask = fill_mask(shape.runs, image.width_px, image.height_px)
    if mask is not None:
        runs = {"counts": _to_runs(mask), "size": [image.height_px, image.width_px]}
        return {"area": int(mask.sum()), "segmentation": runs}
    x, y, width, height = box_px
    corners = [x, y, x, y + height, x + width, y + height, x + width, y]
    return {"area": width * height, "segmentation": [corners]}


def _to_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of runs of zeros and ones in turn, column by column, as COCO has them; zeros first."""
    return list_runs(mask.T.ravel())


def _points(shape: Shape) -> dict[str, Any]:
    """Return keypoints as x, y and 2 of each that was seen, zeros of the others."""
    if not shape.keypoints:
        return {}
    points = [(x, y, 2) if confidence > 0 else (0, 0, 0) for x, y, confidence in shape.keypoints]
    return {
        "keypoints": [value for point in points for value in point],
        "num_keypoints": sum(v == 2 for *_, v in points),
    }

"""coco.json: the selected images in COCO's form, with predicted boxes as annotations that carry a score."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selection_job.formats.json_writing import dump, open_new, write_items
from selection_job.results.exports.chosen_images import ChosenImages


def write_coco(folder: Path, chosen: ChosenImages) -> None:
    """Write info, images, categories and annotations. Ids of images are their ranks.

    Categories are those of every task with boxes; of several tasks each is a supercategory.
    """
    categories = _number_categories(chosen)
    with open_new(folder / "coco.json") as file:
        file.write('{"info":{"description":"Selected by selection-operator"},"licenses":[],\n"images":')
        write_items(file, _images(chosen))
        listed = [
            {"id": number, "name": category, "supercategory": task} for (task, category), number in categories.items()
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


def _images(chosen: ChosenImages) -> Iterator[dict[str, Any]]:
    for image in chosen:
        entry: dict[str, Any] = {"id": image.rank, "file_name": image.file_name}
        if image.width_px and image.height_px:
            entry |= {"width": image.width_px, "height": image.height_px}
        yield entry | {"coco_url": chosen.place.name_uri(image.file_name)}


def _annotations(chosen: ChosenImages, categories: dict[tuple[str, str], int]) -> Iterator[dict[str, Any]]:
    number = 0
    for image in chosen:
        for task, objects in image.objects.items():
            for found in objects:
                if found.box_px is None:
                    continue
                number += 1
                yield {
                    "id": number,
                    "image_id": image.rank,
                    "category_id": categories[task, found.category],
                    "bbox": list(found.box_px),
                    "area": found.box_px[2] * found.box_px[3],
                    "iscrowd": 0,
                    "score": found.score,
                }

"""fiftyone/: a dataset in FiftyOne's serialized form, which fo.types.LegacyFiftyOneDataset imports without copies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selection_job.formats.json_writing import dump, open_new, write_items
from selection_job.results.exports.chosen_images import ChosenImage, ChosenImages, FoundObject

_TAG = "selected"
_OWN_FIELDS = frozenset({"id", "filepath", "tags", "metadata", "filename", "rank"})


def write_fiftyone(folder: Path, chosen: ChosenImages) -> None:
    """Write samples.json and metadata.json. Paths are absolute for a folder, addresses for a bucket."""
    kinds = {name: task.kind for name, task in chosen.tasks.items()}
    with open_new(folder / "fiftyone" / "metadata.json") as file:
        file.write(dump({"name": "selection", "media_type": "image", "info": {}}) + "\n")
    with open_new(folder / "fiftyone" / "samples.json") as file:
        file.write('{"samples":')
        write_items(file, (_sample(chosen, image, kinds) for image in chosen))
        file.write("}\n")


def _sample(chosen: ChosenImages, image: ChosenImage, kinds: dict[str, str]) -> dict[str, Any]:
    sample: dict[str, Any] = {
        "filepath": chosen.place.name_uri(image.file_name),
        "tags": [_TAG],
        "metadata": None,
        "filename": image.name,
        "rank": image.rank,
    }
    sample |= {_name_field(name): value for name, value in image.values.items()}
    return sample | dict(_labels(image, kinds))


def _labels(image: ChosenImage, kinds: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, objects in image.objects.items():
        if kinds[name] == "classification":
            label = {"_cls": "Classification", "tags": [], "attributes": {}, "label": objects[0].category}
            yield _name_field(name), {**label, "confidence": objects[0].score}
        elif boxes := [_detection(image, found) for found in objects if found.box_px and image.width_px]:
            yield _name_field(name), {"_cls": "Detections", "detections": boxes}


def _detection(image: ChosenImage, found: FoundObject) -> dict[str, Any]:
    assert found.box_px is not None
    x, y, width, height = found.box_px
    box = [x / image.width_px, y / image.height_px, width / image.width_px, height / image.height_px]
    return {
        "_cls": "Detection",
        "tags": [],
        "attributes": {},
        "label": found.category,
        "bounding_box": box,
        "confidence": found.score,
    }


def _name_field(name: str) -> str:
    """Return the name with what a field of FiftyOne can't hold as '_', and one behind a name of the sample's own."""
    field = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in name)
    return f"{field}_" if field in _OWN_FIELDS else field

"""cvat/manifest.jsonl: the images of a cloud storage, as CVAT's dataset manifest, version 1.1.

https://docs.cvat.ai/docs/dataset_management/dataset_manifest
"""

from pathlib import Path, PurePosixPath
from typing import Any

from selection_job.formats.json_writing import dump, open_new
from selection_job.results.exports.chosen_images import ChosenImage, ChosenImages


def write_cvat_manifest(folder: Path, chosen: ChosenImages) -> None:
    """Write the manifest; the images keep the order of choice where the task is made with sorting "predefined".

    Names are keys of the bucket, or paths below the folder of the datasource.
    """
    with open_new(folder / "cvat" / "manifest.jsonl") as file:
        file.write('{"version":"1.1"}\n{"type":"images"}\n')
        for image in chosen:
            file.write(f"{dump(_line(chosen, image))}\n")


def _line(chosen: ChosenImages, image: ChosenImage) -> dict[str, Any]:
    # The name is cut as text: as a path the key a//b.jpg would become another object's, a/b.jpg.
    key = chosen.place.name_key(image.file_name)
    extension = PurePosixPath(key).suffix
    line: dict[str, Any] = {"name": key.removesuffix(extension), "extension": extension}
    if image.width_px and image.height_px:
        line |= {"width": image.width_px, "height": image.height_px}
    return line

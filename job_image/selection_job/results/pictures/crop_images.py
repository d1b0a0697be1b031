"""data/crops/: the chosen objects as images of their own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.images.decoding import CorruptImage, load_rgb, open_image
from selection_job.images.large_images import LargeImages
from selection_job.process.parallel_calls import call_in_parallel, check_before_each
from selection_job.process.progress import Progress
from selection_job.results.pictures.image_copies import encode_image
from selection_job.selection.object_selection import ObjectSelection
from selection_job.stores.store import Store

_PARALLEL_IMAGES = 8  # each may hold an image
_LONGEST_CATEGORY = 50
_LONGEST_FOLDER = 200


def write_crop_images(
    source: Store,
    target: Store,
    folder: str,
    *,
    catalog: Catalog,
    objects: ObjectSelection,
    worker: WorkerConfig,
    progress: Progress,
    check_cheaply: Callable[[], None],
) -> list[str]:
    """Write the chosen objects, cut out as they were embedded but not resized; return notes on what was missing.

    An object is <folder>/IMAGE/NUMBER_CATEGORY.FORMAT, FORMAT being output_image_format. Each image that has one is
    read once more, some at a time.
    check_cheaply  called before each image; what it raises ends the writing after those under way
    """
    crops, chosen = objects.crops, np.sort(objects.selection.selected)
    owners, starts = np.unique(crops.image_rows[chosen], return_index=True)
    writer = _CropWriter(source, target, folder, catalog, crops, worker)
    calls = (partial(writer.write, *pair) for pair in zip(owners.tolist(), np.split(chosen, starts[1:]), strict=True))
    notes: list[str] = []
    with progress.bar("Writing crops", len(owners)) as bar:
        parallel = min(target.parallel_reads, _PARALLEL_IMAGES)
        for note in call_in_parallel(check_before_each(check_cheaply, calls), parallel):
            notes.extend(note)
            bar.advance()
    return notes


def name_folder(worker: WorkerConfig, dataset_name: str) -> str:
    """Return the name of the dataset of crops: crop_dataset_name, or the dataset's name with -crops behind it."""
    given = worker.object_level.crop_dataset_name.strip()
    return (given or f"{dataset_name[:_LONGEST_FOLDER]}-crops")[:_LONGEST_FOLDER]


def make_filename(category: str) -> str:
    """Return the category with what is no letter, digit, '-' or '_' as '_', and cut off: it may be any text.

    >>> make_filename("traffic light/../x")
    'traffic_light____x'
    """
    letters = (letter if letter.isalnum() or letter == "-" else "_" for letter in category[:_LONGEST_CATEGORY])
    return "".join(letters)


@dataclass(frozen=True, eq=False)
class _CropWriter:
    """Writes the objects of one image after the other; called in threads."""

    source: Store
    target: Store
    folder: str
    catalog: Catalog
    crops: Crops
    worker: WorkerConfig
    large: LargeImages = field(default_factory=LargeImages)

    def write(self, owner: int, rows: NDArray[np.int64]) -> list[str]:
        """Write these objects of an image; return notes on what was missing."""
        name = self.catalog.names[owner]
        try:
            opened = open_image(self.source.read(name))
            with self.large.take_turn(opened.width_px * opened.height_px):
                image = load_rgb(opened, allow_truncated=not self.worker.enable_corruptness_check)
                if image.size != (self.catalog.widths_px[owner], self.catalog.heights_px[owner]):
                    raise CorruptImage("it has another size than when it was embedded")
                return [note for row in rows.tolist() for note in self._write_one(name, image, row)]
        except (ObjectMissing, ObjectRefused, CorruptImage) as error:
            return [f"{name}: its {len(rows)} chosen objects could not be written as images: {error}"]

    def _write_one(self, name: str, image: Image.Image, row: int) -> list[str]:
        crops, image_format = self.crops, self.worker.output_image_format
        crop = (
            f"{crops.index_in_image[row]}_{make_filename(crops.categories[crops.category_index[row]])}.{image_format}"
        )
        try:
            content = encode_image(image.crop(tuple(crops.boxes_px[row].tolist())), image_format)
        except (OSError, ValueError, MemoryError) as error:  # formats have limits: WebP ends at 16383 pixels
            return [f"{name}: its object {crop} could not be written: {error}"]
        self.target.write(f"{self.folder}/{name}/{crop}", content)
        return []

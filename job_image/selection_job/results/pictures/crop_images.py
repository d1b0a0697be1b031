"""data/crops/: the chosen objects as images of their own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.images.decoding import CorruptImage, load_rgb, open_image
from selection_job.images.large_images import LargeImages
from selection_job.process.parallel_calls import call_in_parallel
from selection_job.results.pictures.image_copies import encode_image
from selection_job.run.context import RunContext
from selection_job.selection.object_selection import ObjectSelection

Call = Callable[[], list[str]]

_PARALLEL_IMAGES = 8  # each may hold an image
_LONGEST_CATEGORY = 50
_LONGEST_FOLDER = 200


def write_crop_images(context: RunContext, catalog: Catalog, objects: ObjectSelection) -> list[str]:
    """Write the chosen objects, cut out as they were embedded but not resized; return notes on what was missing.

    An object is data/crops/DATASET/IMAGE/NUMBER_CATEGORY.FORMAT, DATASET being crop_dataset_name and FORMAT
    output_image_format. Each image that has one is read once more, some at a time; before each comes a look at the
    lock.
    """
    crops, chosen = objects.crops, np.sort(objects.selection.selected)
    owners, starts = np.unique(crops.image_rows[chosen], return_index=True)
    writer = _CropWriter(context, catalog, crops)
    pairs = zip(owners.tolist(), np.split(chosen, starts[1:]), strict=True)
    notes: list[str] = []
    with context.progress.bar("Writing crops", len(owners)) as bar:
        calls = _check_before_each(context, (partial(writer.write, *pair) for pair in pairs))
        for note in call_in_parallel(calls, min(context.target.parallel_reads, _PARALLEL_IMAGES)):
            notes.extend(note)
            bar.advance()
    return notes


def _check_before_each(context: RunContext, calls: Iterable[Call]) -> Iterator[Call]:
    for call in calls:
        context.lock.check_cheaply()
        yield call


def name_folder(context: RunContext) -> str:
    """Return the name of the dataset of crops: crop_dataset_name, or the dataset's name with -crops behind it."""
    given = context.worker.object_level.crop_dataset_name.strip()
    return (given or f"{context.run.dataset_name[:_LONGEST_FOLDER]}-crops")[:_LONGEST_FOLDER]


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

    context: RunContext
    catalog: Catalog
    crops: Crops
    large: LargeImages = field(default_factory=LargeImages)

    def write(self, owner: int, rows: NDArray[np.int64]) -> list[str]:
        """Write these objects of an image; return notes on what was missing."""
        name, worker = self.catalog.names[owner], self.context.worker
        try:
            opened = open_image(self.context.source.read(name))
            size_px = (opened.width_px, opened.height_px)
            if size_px != (self.catalog.widths_px[owner], self.catalog.heights_px[owner]):
                raise CorruptImage("it has another size than when it was embedded")
            with self.large.take_turn(opened.width_px * opened.height_px):
                image = load_rgb(opened, allow_truncated=not worker.enable_corruptness_check)
                return [note for row in rows.tolist() for note in self._write_one(name, image, row)]
        except (ObjectMissing, ObjectRefused, CorruptImage) as error:
            return [f"{name}: its {len(rows)} chosen objects could not be written as images: {error}"]

    def _write_one(self, name: str, image: Image.Image, row: int) -> list[str]:
        crops, image_format = self.crops, self.context.worker.output_image_format
        crop = (
            f"{crops.index_in_image[row]}_{make_filename(crops.categories[crops.category_index[row]])}.{image_format}"
        )
        try:
            content = encode_image(image.crop(tuple(crops.boxes_px[row].tolist())), image_format)
        except (OSError, ValueError, MemoryError) as error:  # formats have limits: WebP ends at 16383 pixels
            return [f"{name}: its object {crop} could not be written: {error}"]
        folder = f"{self.context.run_key}data/crops/{name_folder(self.context)}"
        self.context.target.write(f"{folder}/{name}/{crop}", content)
        return []

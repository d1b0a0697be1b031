"""The selection stage: images by the configuration, sequences of them, or images by the objects on them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from selection_job.catalog.crop_columns import Crops
from selection_job.catalog.embedded import Embedded
from selection_job.objects.object_boxes import MOST_OBJECTS
from selection_job.run.context import RunContext
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import ObjectSelection, select_objects, select_owners
from selection_job.selection.selecting import select_images
from selection_job.selection.selection import Selection
from selection_job.selection.sequence_selection import SequenceSelection, select_sequences


@dataclass(frozen=True, eq=False)
class Chosen:
    """The images that are kept, and the objects or sequences that led to them where these were selected."""

    selection: Selection
    objects: ObjectSelection | None = None
    sequences: SequenceSelection | None = None


def choose_images(context: RunContext, embedded: Embedded, sources: GatheredSources) -> Chosen:
    """Select images, or sequences of them, or objects and the images that they are on where object_level names a task.

    Raises UnusableData where nothing is left to choose from, or a source has not what a strategy needs.
    """
    catalog, worker = embedded.catalog, context.worker
    task = worker.object_level.task_name
    if worker.selected_sequence_length > 1:
        selection, sequences = select_sequences(catalog, embedded.embeddings, context.spec, sources)
        return Chosen(selection, sequences=sequences)
    if not task:
        return Chosen(select_images(catalog, embedded.embeddings, context.spec, sources, what=catalog.medium.plural))
    crops = next(crops for crops in embedded.crops if crops.task == task)
    objects = select_objects(catalog, crops, context.spec, sources)
    return Chosen(select_owners(catalog, embedded.embeddings, objects, normalize=worker.normalize_embeddings), objects)


def note_crops(crops: Crops, sources: GatheredSources) -> Iterator[str]:
    """Yield how many objects were embedded, where that is not what the predictions say."""
    task = sources.tasks.get(crops.task)
    if task is None or len(task.owners) == len(crops):
        return
    yield (
        f"{len(crops)} of {len(task.owners)} objects of {crops.task} were cut out, on {len(np.unique(crops.owners))} "
        f"images. The others have no box, lie beside their image, or are not among its {MOST_OBJECTS} with the highest "
        "scores."
    )

"""The selection stage: images by the configuration, sequences of them, or images by the objects on them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from selection_job.catalog.crop_columns import Crops
from selection_job.catalog.embedded import Embedded
from selection_job.manifest.noun import IMAGE
from selection_job.objects.object_boxes import MOST_OBJECTS
from selection_job.run.context import RunContext
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.image_selection import select_images
from selection_job.selection.object_selection import ObjectSelection, keep_images, select_objects
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
    catalog, embeddings, worker = embedded.catalog, embedded.embeddings, context.worker
    if task := worker.object_level.task_name:
        crops = next(crops for crops in embedded.crops if crops.task == task)
        objects = select_objects(context.goal.resolve(len(crops)), catalog, crops, sources, worker)
        return Chosen(keep_images(objects, embeddings, normalize=worker.normalize_embeddings), objects)
    goal = context.goal.resolve(catalog.n_input)
    if worker.selected_sequence_length > 1:
        selection, sequences = select_sequences(goal, catalog, embeddings, sources, worker)
        return Chosen(selection, sequences=sequences)
    return Chosen(select_images(goal, catalog, embeddings, sources, worker))


def note_crops(crops: Crops, sources: GatheredSources) -> Iterator[str]:
    """Yield how many objects were embedded, where that is not what the predictions say."""
    task = sources.tasks.get(crops.task)
    if task is None or len(task.owners) == len(crops):
        return
    n_images = len(np.unique(crops.image_rows))
    yield (
        f"{len(crops)} of {len(task.owners)} objects of {crops.task} were cut out, on {IMAGE.count(n_images)}. The "
        f"others have no box, lie beside their image, or are not among its {MOST_OBJECTS} with the highest scores."
    )

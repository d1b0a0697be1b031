"""Selection of images, or of single frames of videos: each is an item of its own."""

import numpy as np
from numpy.typing import NDArray

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData
from selection_job.manifest.goal import Goal
from selection_job.selection.items import Items
from selection_job.selection.selecting import select
from selection_job.selection.selection import Selection
from selection_job.selection.sources import Sources


def select_images(
    goal: Goal, catalog: Catalog, embeddings: NDArray[np.float32], sources: Sources, worker: WorkerConfig
) -> Selection:
    """Choose images, and no exact copies unless the configuration keeps them.

    embeddings  (n, d) float32, aligned with catalog.names
    sources     what strategies look at besides
    Raises UnusableData where no image is left to choose from, and as select does.
    """
    takes_part = np.ones(catalog.n_new, dtype=bool)
    if worker.remove_exact_duplicates:
        takes_part = ~catalog.is_duplicate[: catalog.n_new]
    if not takes_part.any():
        raise UnusableData(_say_why_none(catalog))
    items = Items(catalog.medium.noun, embeddings, takes_part, pool_noun=catalog.medium.noun)
    return select(goal, items, sources, normalize=worker.normalize_embeddings)


def _say_why_none(catalog: Catalog) -> str:
    noun = catalog.medium.noun.singular
    if catalog.n_new:
        return f"Nothing to select from: every readable {noun} is an exact copy of one that was selected before."
    if catalog.n_pool:
        return f"Nothing to select from: earlier runs have selected every readable {noun}. Add files."
    return f"Nothing to select from: no readable {noun} is left."

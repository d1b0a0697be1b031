"""Embedded: a catalog with its rows, one vector an image, and the crops of each task."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.catalog.half_match import HalfMatch


@dataclass(frozen=True)
class Embedded:
    """What the stage found: the readable images, their embeddings, and the crops of each task."""

    catalog: Catalog
    embeddings: NDArray[np.float32]  # (n, d) aligned with catalog.names
    crops: tuple[Crops, ...] = ()
    half_match: HalfMatch | None = None
    """Whether the encoder tells the pictures apart; None of given embeddings, and of what earlier versions kept."""

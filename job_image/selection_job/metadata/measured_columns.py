"""Measured columns: what the pass over the images gave, as metadata with keys that begin with lightly."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_api.metadata_rules import COMPUTED
from selection_job.catalog.catalog import Catalog
from selection_job.metadata.metadata_column import MetadataColumn


def make_measured_columns(catalog: Catalog) -> dict[str, MetadataColumn]:
    """Return the computed metadata by key, lightly.sharpness among them, aligned with the catalog.

    Sizes of files come from the listing, width and height from the images' headers, both before any turning by EXIF;
    width and height are not there where no image was opened. What was measured is NaN for images of the datapool.
    """
    unknown = np.full(catalog.n_pool, np.nan)
    values: dict[str, NDArray[Any]] = {"sizeInBytes": catalog.sizes_bytes}
    values |= {name: np.concatenate([measured, unknown]) for name, measured in catalog.measures.items()}
    if catalog.was_read:
        values |= {"width": catalog.widths_px, "height": catalog.heights_px}
    return {
        f"{COMPUTED}{name}": MetadataColumn(f"{COMPUTED}{name}", numbers=np.asarray(numbers, dtype=np.float64))
        for name, numbers in values.items()
    }

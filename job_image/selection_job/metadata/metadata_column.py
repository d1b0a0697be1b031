"""MetadataColumn: one value of metadata for every image, and those that the pass over the images gave."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_api.metadata_rules import COMPUTED
from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData


@dataclass(frozen=True, eq=False)
class MetadataColumn:
    """Numbers, labels or both are set; they are aligned with the catalog's names."""

    key: str
    """As selectionConfig names it: weather.temperature, or lightly.sharpness for a computed one."""
    numbers: NDArray[np.float64] | None = None  # (n,) finite; NaN where there is no value
    labels: list[str] | None = None  # (n,) '' where there is no value

    def need_numbers(self, strategy: str) -> NDArray[np.float64]:
        """Return numbers. Raises UnusableData, in the name of the strategy's type, where the column holds words."""
        if self.numbers is None:
            raise UnusableData(
                f"The metadata {self.key!r} hold words, and {strategy} needs numbers. "
                "Use BALANCE for them, or another key."
            )
        return self.numbers

    def need_labels(self) -> list[str]:
        """Return labels, which BALANCE needs. Raises UnusableData where the column holds numbers."""
        if self.labels is None:
            raise UnusableData(
                f"The metadata {self.key!r} are numbers, and BALANCE needs categories. "
                "Use WEIGHTS or THRESHOLD for them, or another key."
            )
        return self.labels


def take_columns(columns: Mapping[str, MetadataColumn], rows: NDArray[np.int64]) -> dict[str, MetadataColumn]:
    """Return the values of these rows, in their order; a row may come several times."""
    return {
        key: MetadataColumn(
            key,
            numbers=None if column.numbers is None else column.numbers[rows],
            labels=None if column.labels is None else [column.labels[row] for row in rows.tolist()],
        )
        for key, column in columns.items()
    }


def make_measured_columns(catalog: Catalog) -> dict[str, MetadataColumn]:
    """Return the computed metadata by key, lightly.sharpness among them, aligned with the catalog.

    Sizes of files come from the listing, width and height are those of the pictures as they are shown; they are not
    there where no image was opened. What was measured is NaN for images of the datapool, and so are width and height of
    those that came into it before pictures were turned.
    """
    unknown = np.full(catalog.n_pool, np.nan)
    values: dict[str, NDArray[Any]] = {"sizeInBytes": catalog.sizes_bytes}
    values |= {name: np.concatenate([measured, unknown]) for name, measured in catalog.measures.items()}
    if catalog.was_read:
        sizes = {"width": catalog.widths_px, "height": catalog.heights_px}
        values |= {name: np.where(edges > 0, edges, np.nan) for name, edges in sizes.items()}
    return {
        f"{COMPUTED}{name}": MetadataColumn(f"{COMPUTED}{name}", numbers=np.asarray(numbers, dtype=np.float64))
        for name, numbers in values.items()
    }

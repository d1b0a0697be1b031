"""data/crops.csv: the objects that were cut out and embedded, and on the object level what was decided about each."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.formats.csv_fields import quote_field
from selection_job.results.tables.selection_table import format_numbers, records_with_values
from selection_job.selection.object_selection import ObjectSelection
from selection_job.selection.selection import PASSED, StrategyRecord

_BLOCK = 65536
_HEAD = ("task", "filename", "number", "category", "score", "x0", "y0", "x1", "y1")
_DECISION_HEAD = (
    *("decision", "rank", "taken_at_distance", "nearest_selected", "nearest_number", "distance_to_it", "filtered_by"),
)
_NOTHING = -1


def write_crops_table(path: Path, catalog: Catalog, tasks: Sequence[Crops], objects: ObjectSelection | None) -> None:
    """Write a line for each object, task by task, sorted by image; nothing where no task was embedded.

    The columns: docs/outputs.md. Written block by block; some 5 µs a line, and 16 bytes of memory on the object level.
    """
    if not tasks:
        return
    decisions = None if objects is None else _Decisions(catalog, objects)
    head = [*_HEAD, *(() if decisions is None else decisions.head)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(map(quote_field, head)) + "\n")
        for crops in tasks:
            file.writelines(_lines(catalog.names, crops, decisions))


def _lines(names: list[str], crops: Crops, decisions: "_Decisions | None") -> Iterator[str]:
    task = quote_field(crops.task)
    categories = [quote_field(name) for name in crops.categories]
    for start in range(0, len(crops), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(crops)))
        decided: Iterable[str] = ("" for _ in rows) if decisions is None else decisions.describe(rows)
        columns = (crops.image_rows, crops.index_in_image, crops.category_index, crops.scores, crops.boxes_px)
        lists = (column[start : start + _BLOCK].tolist() for column in columns)
        for row, number, category, score, (x0, y0, x1, y1), more in zip(*lists, decided, strict=True):
            fields = f"{quote_field(names[row])},{number},{categories[category]},{score:.6g},{x0},{y0},{x1},{y1}"
            yield f"{task},{fields}{more}\n"


class _Decisions:
    """What was decided about each object of the task that object_level names, the only one of such a run."""

    def __init__(self, catalog: Catalog, objects: ObjectSelection) -> None:
        selection, m = objects.selection, len(objects.crops)
        self._catalog, self._objects = catalog, objects
        self._records = records_with_values(selection)
        self._ranks = np.full(m, _NOTHING, dtype=np.int64)  # places in selection.selected
        self._ranks[selection.selected] = np.arange(len(selection.selected))
        self._losses = np.full(m, _NOTHING, dtype=np.int64)  # places in selection.removed
        self._losses[selection.removed] = np.arange(len(selection.removed))

    @property
    def head(self) -> list[str]:
        """The names of the columns."""
        selection = self._objects.selection
        ranked = selection.rankings[: selection.contributions.shape[1]]
        values = [f"value of {record.name}" for record in self._records]
        return [*_DECISION_HEAD, *values, *(f"contribution of {record.name}" for record in ranked)]

    def describe(self, rows: NDArray[np.int64]) -> Iterator[str]:
        """Yield the fields of each crop, each with a comma before it."""
        values = list(zip(*(self._values(record, rows) for record in self._records), strict=True)) or [()] * len(rows)
        for row, rank, loss, seen in zip(
            rows.tolist(), self._ranks[rows].tolist(), self._losses[rows].tolist(), values, strict=True
        ):
            if rank != _NOTHING:
                yield ",".join(["", *self._describe_selected(rank, seen)])
            elif loss != _NOTHING:
                yield ",".join(["", *self._describe_removed(loss, seen)])
            else:
                yield ",".join(["", *self._describe_out(row, seen)])

    def _values(self, record: StrategyRecord, rows: NDArray[np.int64]) -> list[str]:
        """Return what a strategy saw in each crop, '' for those that did not take part."""
        candidates, values = self._objects.selection.candidates, record.values
        assert values is not None
        places = np.minimum(np.searchsorted(candidates, rows), len(candidates) - 1)
        return format_numbers(np.where(candidates[places] == rows, values[places], np.nan))

    def _describe_selected(self, rank: int, values: Sequence[str]) -> list[str]:
        selection = self._objects.selection
        (distance,) = format_numbers(selection.distances[rank : rank + 1])
        parts = format_numbers(selection.contributions[rank])
        return ["selected", str(rank + 1), distance, "", "", "", "", *values, *parts]

    def _describe_removed(self, place: int, values: Sequence[str]) -> list[str]:
        selection, crops = self._objects.selection, self._objects.crops
        filter_index, nearest = int(selection.filtered_by[place]), int(selection.nearest_selected[place])
        is_filtered = filter_index != PASSED
        (distance,) = format_numbers(selection.nearest_distance[place : place + 1])
        name = quote_field(self._catalog.names[crops.image_rows[nearest]])
        reason = quote_field(selection.thresholds[filter_index].name) if is_filtered else ""
        blank = [""] * selection.contributions.shape[1]
        decision = "filtered" if is_filtered else "removed"
        return [decision, "", "", name, str(crops.index_in_image[nearest]), distance, reason, *values, *blank]

    def _describe_out(self, row: int, values: Sequence[str]) -> list[str]:
        """Describe a crop of an image that does not take part: an exact duplicate, or one left out by min_counts."""
        objects, owner = self._objects, int(self._objects.crops.image_rows[row])
        blank = [""] * objects.selection.contributions.shape[1]
        place = int(np.searchsorted(objects.images, owner))
        if place == len(objects.images) or objects.images[place] != owner:
            return ["duplicate", *[""] * 6, *values, *blank]
        reason = quote_field(objects.filters[int(objects.filtered_by[place])].name)
        return ["filtered", *[""] * 5, reason, *values, *blank]

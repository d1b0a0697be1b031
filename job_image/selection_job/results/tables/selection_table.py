"""data/selection.csv: what was decided about each image that took part, and why."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.frames import NO_FRAMES, Frames
from selection_job.formats.csv_fields import quote_field
from selection_job.results.tables.frame_columns import PLACE_HEAD, format_places
from selection_job.selection.selection import PASSED, Selection, StrategyRecord

_BLOCK = 65536
_HEAD = ("filename", "decision", "rank", "taken_at_distance", "nearest_selected", "distance_to_it", "filtered_by")


def write_selection_table(path: Path, names: list[str], selection: Selection, frames: Frames = NO_FRAMES) -> None:
    """Write a line for each selected image in the order of choice, then for each removed one by name.

    names   of the catalog
    frames  of videos: three more columns say of which

    The columns: docs/outputs.md. Written block by block; some 3 µs and no memory for a row.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        head = [*_make_head(selection), *(PLACE_HEAD if frames.videos else ())]
        file.write(",".join(map(quote_field, head)) + "\n")
        for rows, make_lines in ((selection.selected, _selected_lines), (selection.removed, _removed_lines)):
            for start in range(0, len(rows), _BLOCK):
                block = slice(start, start + _BLOCK)
                lines = make_lines(names, selection, block)
                file.writelines(_append_places(lines, frames, rows[block]) if frames.videos else lines)


def _append_places(lines: Iterable[str], frames: Frames, rows: NDArray[np.int64]) -> Iterator[str]:
    for line, place in zip(lines, format_places(frames, rows), strict=True):
        yield f"{line[:-1]},{','.join(place)}\n"


def _make_head(selection: Selection) -> list[str]:
    values = [f"value of {record.name}" for record in records_with_values(selection)]
    n_columns = selection.contributions.shape[1]
    sequence = [] if selection.sequences is None else ["sequence"]
    return [
        *_HEAD,
        *sequence,
        *values,
        *(f"contribution of {record.name}" for record in selection.rankings[:n_columns]),
        "cut_off",
    ]


def records_with_values(selection: Selection) -> list[StrategyRecord]:
    """Return the strategies that saw a number in each candidate, thresholds first."""
    return [record for record in (*selection.thresholds, *selection.rankings) if record.values is not None]


def _selected_lines(names: list[str], selection: Selection, block: slice) -> Iterator[str]:
    rows = selection.selected[block]
    values = _value_columns(selection, rows)
    parts = [format_numbers(column) for column in selection.contributions[block].T]
    distances = format_numbers(selection.distances[block])
    for i, row in enumerate(rows.tolist()):
        more = "".join(f",{column[i]}" for column in (*values, *parts))
        yield f"{quote_field(names[row])},selected,{block.start + i + 1},{distances[i]},,,{more},\n"


def _removed_lines(names: list[str], selection: Selection, block: slice) -> Iterator[str]:
    rows = selection.removed[block]
    columns = [*_value_columns(selection, rows), *repeat([""] * len(rows), selection.contributions.shape[1])]
    distances = format_numbers(selection.nearest_distance[block])
    nearest, filtered_by = selection.nearest_selected[block].tolist(), selection.filtered_by[block].tolist()
    thresholds = [quote_field(record.name) for record in selection.thresholds]
    (cut_off,) = format_numbers(np.array([selection.cut_off]))
    for i, row in enumerate(rows.tolist()):
        decision, reason, at = "removed", "", cut_off
        if filtered_by[i] != PASSED:
            decision, reason, at = "filtered", thresholds[filtered_by[i]], ""
        more = "".join(f",{column[i]}" for column in columns)
        near = quote_field(names[nearest[i]])
        yield f"{quote_field(names[row])},{decision},,,{near},{distances[i]},{reason}{more},{at}\n"


def _value_columns(selection: Selection, rows: NDArray[np.int64]) -> list[list[str]]:
    """Return the number of each row's sequence, where these were selected, and what strategies saw in it."""
    places = np.searchsorted(selection.candidates, rows)
    records = records_with_values(selection)
    values = [format_numbers(record.values[places]) for record in records if record.values is not None]
    return values if selection.sequences is None else [_number_sequences(selection.sequences, rows), *values]


def _number_sequences(sequences: NDArray[np.int64], rows: NDArray[np.int64]) -> list[str]:
    """Return the place of each row's sequence, from 1; '' for a row that is in none."""
    members, length = sequences.reshape(-1), sequences.shape[1]
    order = np.argsort(members)
    found = order[np.minimum(np.searchsorted(members, rows, sorter=order), len(members) - 1)]
    numbers = np.where(members[found] == rows, found // length + 1, 0).tolist()
    return [str(number) if number else "" for number in numbers]


def format_numbers(values: NDArray[np.float32] | NDArray[np.float64]) -> list[str]:
    """Return nine significant digits, and nothing for NaN and infinity."""
    finite = np.isfinite(values).tolist()
    return [f"{value:.9g}" if known else "" for value, known in zip(values.tolist(), finite, strict=True)]

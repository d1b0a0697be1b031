"""data/metadata.csv: the metadata that the strategies looked at, of every readable image."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.formats.csv_fields import quote_field
from selection_job.metadata.metadata_column import MetadataColumn

_BLOCK = 65536


def write_metadata_table(
    path: Path, names: Sequence[str], selected: NDArray[np.int64], columns: Sequence[MetadataColumn]
) -> None:
    """Write name, whether the image is selected, and a column for each of the keys; nothing where there is no key.

    names     of the images, with which the columns are aligned; a column may be longer
    selected  their rows among the names, in any order

    Words are written as they are, numbers so that they give back every bit; an image without a value has an empty
    field. Written block by block.
    """
    if not columns:
        return
    is_selected = np.zeros(len(names), dtype=np.bool_)
    is_selected[selected] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(map(quote_field, ["filename", "selected", *(column.key for column in columns)])) + "\n")
        for start in range(0, len(names), _BLOCK):
            file.writelines(_lines(names, is_selected, columns, slice(start, min(start + _BLOCK, len(names)))))


def _lines(
    names: Sequence[str], is_selected: NDArray[np.bool_], columns: Sequence[MetadataColumn], block: slice
) -> Iterator[str]:
    marks = ["true" if mark else "false" for mark in is_selected[block].tolist()]
    fields = [_write_values(column, block) for column in columns]
    for name, mark, *values in zip(names[block], marks, *fields, strict=True):
        yield f"{quote_field(name)},{mark},{','.join(values)}\n"


def _write_values(column: MetadataColumn, block: slice) -> list[str]:
    if column.labels is not None:
        return [quote_field(label) for label in column.labels[block]]
    assert column.numbers is not None
    values = column.numbers[block].tolist()
    return ["" if math.isnan(value) else repr(value).removesuffix(".0") for value in values]

"""Columns of metadata as a file: what a stage keeps, so that a retried run does not read thousands of files again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selection_job.formats.column_file import (
    ColumnFile,
    ColumnType,
    DamagedFile,
    open_column_file,
    pack_texts,
    write_column_file,
)
from selection_job.metadata.metadata_column import MetadataColumn

_FILE = "metadata.npz"
_NUMBERS = ColumnType(np.float64)  # NaN where there is no value
_PLACES = ColumnType(np.int32)


def save_metadata_columns(columns: Sequence[MetadataColumn], folder: Path) -> None:
    """Write metadata.npz into the folder: numbers as they are, words as places in the list of different ones."""
    arrays: dict[str, Any] = {}
    for i, column in enumerate(columns):
        if column.numbers is not None:
            arrays[f"numbers_{i}"] = column.numbers
        else:
            words = sorted(set(column.labels or []))
            places = {word: place for place, word in enumerate(words)}
            arrays[f"places_{i}"] = np.array([places[label] for label in column.labels or []], dtype=np.int32)
            arrays |= pack_texts(f"words_{i}", words)
    arrays |= pack_texts("keys", [column.key for column in columns])
    write_column_file(folder / _FILE, arrays)


def load_metadata_columns(folder: Path, n: int) -> list[MetadataColumn]:
    """Read what save_metadata_columns wrote of n images. Raises ValueError for anything else: a bucket is hostile."""
    try:
        with open_column_file(folder / _FILE) as file:
            return [_load_column(key, i, file, n) for i, key in enumerate(file.take_texts("keys"))]
    except DamagedFile as error:
        raise ValueError(f"{_FILE} is damaged: {error}") from error


def _load_column(key: str, i: int, file: ColumnFile, n: int) -> MetadataColumn:
    if f"numbers_{i}" in file.names:
        otherwise = f"{key}: no finite numbers for {n} images"
        numbers = file.take(f"numbers_{i}", _NUMBERS, n, otherwise=otherwise)
        if np.isinf(numbers).any():
            raise ValueError(otherwise)
        return MetadataColumn(key, numbers=numbers)
    words = file.take_texts(f"words_{i}")
    otherwise = f"{key}: no places for {n} images among {len(words)} words"
    places = file.take(f"places_{i}", _PLACES, n, otherwise=otherwise)
    if n and not 0 <= places.min() <= places.max() < len(words):
        raise ValueError(otherwise)
    return MetadataColumn(key, labels=[words[place] for place in places.tolist()])

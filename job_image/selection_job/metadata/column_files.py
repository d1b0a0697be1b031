"""Columns of metadata as a file: what a stage keeps, so that a retried run does not read thousands of files again."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selection_job.formats.packed_names import pack_names, unpack_names
from selection_job.metadata.metadata_column import MetadataColumn

_FILE = "metadata.npz"


def save_columns(columns: Sequence[MetadataColumn], folder: Path) -> None:
    """Write metadata.npz into the folder: numbers as they are, words as places in the list of different ones."""
    arrays: dict[str, Any] = {}
    for i, column in enumerate(columns):
        if column.numbers is not None:
            arrays[f"numbers_{i}"] = column.numbers
        else:
            words = sorted(set(column.labels or []))
            places = {word: place for place, word in enumerate(words)}
            arrays[f"places_{i}"] = np.array([places[label] for label in column.labels or []], dtype=np.int32)
            arrays |= pack_names(f"words_{i}", words)
    arrays |= pack_names("keys", [column.key for column in columns])
    np.savez(folder / _FILE, **arrays)


def load_columns(folder: Path, n: int) -> list[MetadataColumn]:
    """Read what save_columns wrote of n images. Raises ValueError for anything else: a bucket is hostile."""
    try:
        with (folder / _FILE).open("rb") as file, zipfile.ZipFile(file), np.load(file, allow_pickle=False) as arrays:
            return [_load_column(key, i, arrays, n) for i, key in enumerate(unpack_names("keys", arrays))]
    except (KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{_FILE} is damaged: {error}") from error


def _load_column(key: str, i: int, arrays: Any, n: int) -> MetadataColumn:
    if f"numbers_{i}" in arrays:
        numbers = arrays[f"numbers_{i}"]
        if numbers.dtype != np.float64 or numbers.shape != (n,) or np.isinf(numbers).any():
            raise ValueError(f"{key}: {numbers.shape} {numbers.dtype} for {n} images")
        return MetadataColumn(key, numbers=numbers)
    places, words = arrays[f"places_{i}"], unpack_names(f"words_{i}", arrays)
    if places.dtype != np.int32 or places.shape != (n,) or (n and not 0 <= places.min() <= places.max() < len(words)):
        raise ValueError(f"{key}: {places.shape} {places.dtype} for {n} images and {len(words)} words")
    return MetadataColumn(key, labels=[words[place] for place in places.tolist()])

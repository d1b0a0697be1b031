"""Checking: from the images as they were read to the catalog, and the catalog's form on disk."""

import zipfile
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frames import pack_frames, unpack_frames
from selection_job.catalog.reading import ReadImage
from selection_job.errors import UnusableData
from selection_job.packed_names import pack_names, unpack_names

CATALOG_FILE = "catalog.npz"
_COLUMNS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {  # type, and shape of a row
    "sha256": (np.uint8, (32,)),
    "sizes_bytes": (np.int64, ()),
    "widths_px": (np.int32, ()),
    "heights_px": (np.int32, ()),
    "duplicate_of": (np.int64, ()),
}
_MEASURE = "measure_"


class CatalogBuilder:
    """Collects images in their order, in columns: about 60 bytes an image beside its name, 8 for each measure."""

    def __init__(self, measures: Sequence[str] = ()) -> None:
        self._measures = {name: array("d") for name in measures}
        self._names: list[str] = []
        self._digests = bytearray()
        self._sizes_bytes = array("q")
        self._widths_px = array("i")
        self._heights_px = array("i")
        self._corrupt: dict[str, str] = {}

    def add(self, image: ReadImage) -> None:
        """Add an image; one with a reason is corrupt."""
        if image.reason is not None:
            self._corrupt[image.name] = image.reason
            return
        self._names.append(image.name)
        self._digests += image.sha256
        self._sizes_bytes.append(image.size_bytes)
        self._widths_px.append(image.width_px)
        self._heights_px.append(image.height_px)
        for values, value in zip(self._measures.values(), image.measures, strict=True):
            values.append(value)

    def build(self) -> Catalog:
        """Return the catalog of what was added so far."""
        digests = np.frombuffer(bytes(self._digests), dtype=np.uint8).reshape(-1, 32)
        return Catalog(
            names=list(self._names),
            sha256=digests,
            sizes_bytes=np.array(self._sizes_bytes, dtype=np.int64),
            widths_px=np.array(self._widths_px, dtype=np.int32),
            heights_px=np.array(self._heights_px, dtype=np.int32),
            duplicate_of=find_first_equal(digests),
            corrupt=dict(self._corrupt),
            measures={name: np.array(values, dtype=np.float64) for name, values in self._measures.items()},
        )


def find_first_equal(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (n,) int64: for each of the (n, 32) digests the first row that equals it, its own where it is the first.

    By sorting: O(n log n) time, about 50 bytes a row; a dict of 10 million digests takes 1.5 GB.
    """
    words = digests.view(np.uint64)  # (n, 4)
    order = np.lexsort(words.T)  # stable: equal rows stay in their order
    ordered = words[order]
    opens_group = np.ones(len(order), dtype=np.bool_)
    opens_group[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first_of_group = order[opens_group]
    first_equal = np.empty(len(order), dtype=np.int64)
    first_equal[order] = first_of_group[np.cumsum(opens_group) - 1]
    return first_equal


def find_copies(digests: NDArray[np.uint8], n_preselected: int) -> NDArray[np.int64]:
    """Return (n,) int64: for each row the first that equals it, a preselected one where there is one.

    digests        (n, width) uint8
    n_preselected  the last so many rows were selected before; each of them stands for itself
    """
    n_new = len(digests) - n_preselected
    first = find_first_equal(np.roll(digests, n_preselected, axis=0))[n_preselected:]
    copies = np.where(first < n_preselected, first + n_new, first - n_preselected)
    return np.concatenate([copies, np.arange(n_new, len(digests))])


def save_catalog(catalog: Catalog, folder: Path) -> None:
    """Write catalog.npz into the folder. Equal catalogs give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        **{column: getattr(catalog, column) for column in _COLUMNS},
        **{f"{_MEASURE}{name}": values for name, values in catalog.measures.items()},
        **pack_names("names", catalog.names),
        **pack_names("corrupt_names", catalog.corrupt.keys()),
        **pack_names("corrupt_reasons", catalog.corrupt.values()),
        **pack_frames(catalog.frames),
    }
    np.savez(folder / CATALOG_FILE, **columns)


def load_catalog(folder: Path) -> Catalog:
    """Read what save_catalog wrote. Raises UnusableData where the file is damaged: a bucket is hostile."""
    path = folder / CATALOG_FILE
    try:
        with path.open("rb") as file, zipfile.ZipFile(file), np.load(file, allow_pickle=False) as columns:
            names = unpack_names("names", columns)
            return _check_columns(
                Catalog(
                    names=names,
                    corrupt=dict(
                        zip(
                            unpack_names("corrupt_names", columns),
                            unpack_names("corrupt_reasons", columns),
                            strict=True,
                        )
                    ),
                    **{column: columns[column] for column in _COLUMNS},
                    measures=_take_measures(columns),
                    frames=unpack_frames(columns, len(names)),
                )
            )
    except (ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise UnusableData(
            f"{folder.name}/{path.name}, kept by an earlier try of this run, is damaged ({error}). "
            "Delete the run's .stages/ folder in the lightly datasource and run again."
        ) from error


def _take_measures(columns: Any) -> dict[str, NDArray[np.float64]]:
    return {name.removeprefix(_MEASURE): columns[name] for name in columns.files if name.startswith(_MEASURE)}


def _check_columns(catalog: Catalog) -> Catalog:
    n = len(catalog.names)
    for name, values in catalog.measures.items():
        if values.dtype != np.float64 or values.shape != (n,) or not np.isfinite(values).all():
            raise ValueError(f"{name} does not fit {n} names")
    for column, (dtype, shape) in _COLUMNS.items():
        values = getattr(catalog, column)
        if values.dtype != dtype or values.shape != (n, *shape):
            raise ValueError(f"{column} does not fit {n} names")
    if n and not 0 <= catalog.duplicate_of.min() <= catalog.duplicate_of.max() < n:
        raise ValueError("it names duplicates of rows that do not exist")
    return catalog

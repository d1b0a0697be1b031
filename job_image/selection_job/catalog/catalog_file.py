"""Checking: from the images as they were read to the catalog, and the catalog's form on disk."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frames import pack_frames, unpack_frames
from selection_job.errors import UnusableData
from selection_job.formats.packed_names import pack_names, unpack_names

CATALOG_FILE = "catalog.npz"
_COLUMNS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {  # type, and shape of a row
    "sha256": (np.uint8, (32,)),
    "sizes_bytes": (np.int64, ()),
    "widths_px": (np.int32, ()),
    "heights_px": (np.int32, ()),
    "duplicate_of": (np.int64, ()),
}
_MEASURE = "measure_"


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

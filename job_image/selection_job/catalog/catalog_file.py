"""The catalog's form on disk: catalog.npz."""

from pathlib import Path
from typing import Any

import numpy as np

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frames import pack_frames, unpack_frames
from selection_job.errors import UnusableData
from selection_job.formats.column_file import ColumnFile, ColumnType, open_column_file, pack_texts, write_column_file

CATALOG_FILE = "catalog.npz"
_COLUMNS = {
    "sha256": ColumnType(np.uint8, (32,)),
    "sizes_bytes": ColumnType(np.int64),
    "widths_px": ColumnType(np.int32),
    "heights_px": ColumnType(np.int32),
    "duplicate_of": ColumnType(np.int64),
}
_ORIENTATIONS = "orientations"
_ORIENTATION = ColumnType(np.uint8)
_N_TRANSPARENT = "n_transparent"
_MEASURE, _NOTES = "measure_", "image_notes"
_MEASURED = ColumnType(np.float64, is_finite=True)


def save_catalog(catalog: Catalog, folder: Path) -> None:
    """Write catalog.npz into the folder. Equal catalogs give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        **{column: getattr(catalog, column) for column in _COLUMNS},
        **{f"{_MEASURE}{name}": values for name, values in catalog.measures.items()},
        **pack_texts("names", catalog.names),
        **pack_texts("corrupt_names", catalog.corrupt.keys()),
        **pack_texts("corrupt_reasons", catalog.corrupt.values()),
        **(pack_texts(_NOTES, catalog.image_notes) if catalog.image_notes else {}),
        **pack_texts("corrupt_sha256_names", catalog.corrupt_sha256.keys()),
        "corrupt_sha256": np.frombuffer(b"".join(catalog.corrupt_sha256.values()), np.uint8).reshape(-1, 32),
        **pack_frames(catalog.frames),
    }
    if catalog.orientations is not None:
        columns[_ORIENTATIONS] = catalog.orientations
    if catalog.n_transparent:
        columns[_N_TRANSPARENT] = np.array([catalog.n_transparent], dtype=np.int64)
    write_column_file(folder / CATALOG_FILE, columns)


def load_catalog(folder: Path) -> Catalog:
    """Read what save_catalog wrote. Raises UnusableData where the file is damaged: a bucket is hostile."""
    path = folder / CATALOG_FILE
    try:
        with open_column_file(path) as file:
            return _read(file)
    except ValueError as error:
        raise UnusableData(
            f"{folder.name}/{path.name}, kept by an earlier try of this run, is damaged ({error}). "
            "Delete the run's .stages/ folder in the lightly datasource and run again."
        ) from error


def _read(file: ColumnFile) -> Catalog:
    names = file.take_texts("names")
    n, fits = len(names), f"{len(names)} names"
    columns: dict[str, Any] = file.take_all(_COLUMNS, n, fits=fits)
    copies = columns["duplicate_of"]
    if n and not 0 <= copies.min() <= copies.max() < n:
        raise ValueError("it names duplicates of rows that do not exist")
    measures = file.take_all({name: _MEASURED for name in file.names if name.startswith(_MEASURE)}, n, fits=fits)
    otherwise = f"{_ORIENTATIONS} does not fit {fits}"
    corrupt = zip(file.take_texts("corrupt_names"), file.take_texts("corrupt_reasons"), strict=True)
    return Catalog(
        names=names,
        corrupt=dict(corrupt),
        **columns,
        orientations=file.take_or(None, _ORIENTATIONS, _ORIENTATION, n, otherwise=otherwise),
        measures={name.removeprefix(_MEASURE): values for name, values in measures.items()},
        frames=unpack_frames(file, n),
        image_notes=tuple(file.take_texts(_NOTES)) if _NOTES in file.names else (),
        n_transparent=int(file.take_or((0,), _N_TRANSPARENT, ColumnType(np.int64), 1)[0]),
        corrupt_sha256=_read_corrupt_sha256(file),
    )


def _read_corrupt_sha256(file: ColumnFile) -> dict[str, bytes]:
    """Return the digests of corrupt images; none from a file of 0.1."""
    if "corrupt_sha256" not in file.names:
        return {}
    names = file.take_texts("corrupt_sha256_names")
    digests = file.take("corrupt_sha256", _COLUMNS["sha256"], len(names), otherwise="digests of corrupt images are off")
    return {name: digest.tobytes() for name, digest in zip(names, digests, strict=True)}

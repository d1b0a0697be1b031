"""Crops: the objects of one task that were cut out of the images of a catalog, with their embeddings."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_job.formats.column_file import ColumnType, DamagedFile, open_column_file, write_column_file

_COLUMNS = {
    "owners": ColumnType(np.int64),
    "numbers": ColumnType(np.int32),
    "boxes_px": ColumnType(np.int32, (4,)),
    "category_index": ColumnType(np.int32),
    "scores": ColumnType(np.float32),
    "vectors": ColumnType(np.float32, (None,)),  # (m, d)
}
_CATEGORIES = ColumnType(np.str_)
_FIELDS = {name: name for name in _COLUMNS} | {"owners": "image_rows", "numbers": "index_in_image"}
"""What the columns are called here. In files they keep their first names: those of earlier versions are read."""


@dataclass(frozen=True, eq=False)
class Crops:
    """Objects sorted by image, those of one image in the order of its predictions."""

    task: str
    categories: tuple[str, ...]
    image_rows: NDArray[np.int64]  # (m,) row of the image in the catalog, ascending
    index_in_image: NDArray[np.int32]  # (m,) place of the object among its image's predictions
    boxes_px: NDArray[np.int32]  # (m, 4) x0, y0, x1, y1 as cut; x1 and y1 are exclusive
    category_index: NDArray[np.int32]  # (m,) index into categories
    scores: NDArray[np.float32]  # (m,)
    vectors: NDArray[np.float32]  # (m, d)

    def __len__(self) -> int:
        return len(self.image_rows)


def save_crops(crops: Crops, path: Path) -> None:
    """Write an .npz file. Equal crops give equal bytes."""
    columns: dict[str, Any] = {name: getattr(crops, field) for name, field in _FIELDS.items()}
    columns |= {"task": np.array(crops.task), "categories": np.array(crops.categories, dtype=np.str_)}
    write_column_file(path, columns)


def load_crops(path: Path, *, n_images: int, dimensions: int) -> Crops:
    """Read what save_crops wrote. Raises ValueError where it is something else, or does not fit the catalog."""
    try:
        with open_column_file(path) as file:
            m = len(file.take("owners", _COLUMNS["owners"]))
            wanted = _COLUMNS | {"vectors": ColumnType(np.float32, (dimensions,))}
            taken = file.take_all(wanted, m, fits=f"{m} crops")
            task, categories = file.take_text("task"), tuple(map(str, file.take("categories", _CATEGORIES)))
    except DamagedFile as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    columns = {field: taken[name] for name, field in _FIELDS.items()}
    image_rows = columns["image_rows"]
    if m and not (image_rows[0] >= 0 and image_rows[-1] < n_images and (np.diff(image_rows) >= 0).all()):
        raise ValueError(f"{path.name} names images that do not exist")
    index = columns["category_index"]
    if m and not 0 <= index.min() <= index.max() < len(categories):
        raise ValueError(f"{path.name} names categories that do not exist")
    if not np.isfinite(columns["vectors"]).all():
        raise ValueError(f"{path.name} has vectors that are not finite")
    return Crops(task, categories, **columns)


assert set(_FIELDS.values()) == {field.name for field in fields(Crops)} - {"task", "categories"}

"""Crops: the objects of one task that were cut out of the images of a catalog, with their embeddings."""

import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ARRAYS = {
    "image_rows": np.int64,
    "index_in_image": np.int32,
    "boxes_px": np.int32,
    "category_index": np.int32,
    "scores": np.float32,
    "vectors": np.float32,
}
_NAMES_IN_FILE = {name: name for name in _ARRAYS} | {"image_rows": "owners", "index_in_image": "numbers"}
"""What the file calls each column: files of earlier versions are read on."""


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
    columns: dict[str, Any] = {in_file: getattr(crops, name) for name, in_file in _NAMES_IN_FILE.items()}
    columns |= {"task": np.array(crops.task), "categories": np.array(crops.categories, dtype=np.str_)}
    np.savez(path, **columns)


def load_crops(path: Path, *, n_images: int, dimensions: int) -> Crops:
    """Read what save_crops wrote. Raises ValueError where it is something else, or does not fit the catalog."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            columns = {name: np.asarray(file[in_file]) for name, in_file in _NAMES_IN_FILE.items()}
            task, categories = str(file["task"]), tuple(str(name) for name in file["categories"])
    except (KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error
    m = columns["image_rows"].size
    for name, dtype in _ARRAYS.items():
        shape = {"boxes_px": (m, 4), "vectors": (m, dimensions)}.get(name, (m,))
        if columns[name].dtype != dtype or columns[name].shape != shape:
            raise ValueError(f"{path.name}: {_NAMES_IN_FILE[name]} does not fit {m} crops")
    image_rows = columns["image_rows"]
    if m and not (image_rows[0] >= 0 and image_rows[-1] < n_images and (np.diff(image_rows) >= 0).all()):
        raise ValueError(f"{path.name} names images that do not exist")
    index = columns["category_index"]
    if m and not 0 <= index.min() <= index.max() < len(categories):
        raise ValueError(f"{path.name} names categories that do not exist")
    if not np.isfinite(columns["vectors"]).all():
        raise ValueError(f"{path.name} has vectors that are not finite")
    return Crops(task, categories, **columns)


assert set(_ARRAYS) == {field.name for field in fields(Crops)} - {"task", "categories"}

"""Packed names: many texts as two arrays of an .npz file."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_names(column: str, texts: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return texts as one array of bytes and one of their ends: names may hold newlines, NULs and surrogates."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return {column: np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{column}_ends": ends}


def unpack_names(column: str, columns: Any) -> list[str]:
    """Return what pack_names was given. Raises ValueError or KeyError where the arrays are others."""
    content, ends = columns[column].tobytes(), columns[f"{column}_ends"].tolist()
    starts = [0, *ends[:-1]] if ends else []
    if any(end < start for start, end in zip(starts, ends, strict=True)) or (ends[-1] if ends else 0) != len(content):
        raise ValueError(f"its {column} do not add up")
    return [content[start:end].decode("utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=True)]

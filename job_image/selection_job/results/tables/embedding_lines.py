"""The lines of an embeddings table: names quoted where they need it, numbers that give back every bit of a float32."""

import numpy as np
from numpy.typing import NDArray

from selection_job.formats.csv_fields import quote_field
from selection_job.numeric.csv_lines import LONGEST_LABEL, LONGEST_NUMBER, format_rows, is_plain

_WORTH_COMPILING = 500_000  # numbers: half a second in Python


def format_table(names: list[str], vectors: NDArray[np.float32], labels: NDArray[np.int64] | None = None) -> memoryview:
    """Return a line `name,number,…,label` for each row, in UTF-8, each ending in a newline.

    vectors  (n, d) float32, finite
    labels   (n,), all 0 without

    Small tables are made in Python, large ones by a kernel, ten times as fast; the bytes are the same.
    """
    quoted, numbers = list(map(quote_field, names)), np.zeros(len(names), np.int64) if labels is None else labels
    if vectors.size < _WORTH_COMPILING:
        return memoryview("".join(map(_format_row, quoted, vectors.tolist(), numbers.tolist())).encode())
    return format_compiled(quoted, vectors, numbers)


def _format_row(name: str, vector: list[float], label: int) -> str:
    return f"{name},{','.join(map('%.9g'.__mod__, vector))},{label}\n"


def format_compiled(fields: list[str], vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> memoryview:
    """Return the lines as format_table does, by the kernel; fields are the names, quoted."""
    encoded = [field.encode() for field in fields]
    others = [b"%.9g" % value for value in vectors[~is_plain(vectors)].tolist()]
    n_others = vectors.size * (LONGEST_NUMBER + 1) + len(vectors) * (LONGEST_LABEL + 2)
    text = np.empty(sum(map(len, encoded)) + n_others, dtype=np.uint8)
    scratch = np.empty(9, dtype=np.uint8)
    n_bytes = format_rows(np.ascontiguousarray(vectors), *_pack(encoded), labels, *_pack(others), scratch, text)
    return text[:n_bytes].data


def _pack(texts: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.frombuffer(b"".join(texts), dtype=np.uint8), np.cumsum([len(text) for text in texts], dtype=np.int64)

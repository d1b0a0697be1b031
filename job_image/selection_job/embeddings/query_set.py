"""Query sets: the images that SIMILARITY compares with, as a table of embeddings in the lightly datasource."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.embeddings.table_header import EmbeddingsHeader
from selection_job.embeddings.table_reading import open_rows
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.stores.store import Store

MOST_QUERIES = 100_000
"""Rows of a query set: every image is compared with each."""


def query_key(dataset_id: str, tag_name: str) -> str:
    """Return the key of a query set in the lightly datasource.

    >>> query_key("a" * 24, "night scenes")
    '.lightly/embeddings/aaaaaaaaaaaaaaaaaaaaaaaa/night scenes.csv'
    """
    return f".lightly/embeddings/{dataset_id}/{tag_name}.csv"


def load_query_set(
    store: Store, dataset_id: str, tag_name: str, *, dimensions: int, scratch: Path
) -> NDArray[np.float32]:
    """Return (q, d) the vectors of a query set, in the form of data/embeddings.csv; masked rows are left out.

    dimensions  d, as the images of the run have it
    scratch     a folder for the file while it is read

    Raises UnusableData, with the line, where the file is missing, is no such table, has rows of another length, none,
    or more than MOST_QUERIES.
    """
    key = query_key(dataset_id, tag_name)
    where, path = f"{store.url}{key}", scratch / "queries"
    try:
        key = _download(store, key, path)
    except ObjectMissing as error:
        raise UnusableData(
            f"SIMILARITY compares with the tag {tag_name} of the dataset {dataset_id}, and {where} does not exist. "
            "Put a table of the query images' embeddings there, such as data/embeddings.csv of a run with the same "
            "encoder."
        ) from error
    try:
        return _read(path, f"{store.url}{key}", dimensions)
    finally:
        path.unlink(missing_ok=True)


def _download(store: Store, key: str, path: Path) -> str:
    """Fetch the table, or the one in Parquet where there is none in CSV; return its key. Raises ObjectMissing."""
    try:
        store.download(key, path)
    except ObjectMissing as error:
        parquet = f"{key.removesuffix('.csv')}.parquet"
        try:
            store.download(parquet, path)
        except ObjectMissing:
            raise error from None
        return parquet
    return key


def _read(path: Path, where: str, dimensions: int) -> NDArray[np.float32]:
    with open_rows(path, where=where) as (header, table):
        if header.n_dimensions != dimensions:
            raise UnusableData(
                f"{where} has {header.n_dimensions} components, and the images of this run have {dimensions}: queries "
                "and images are embedded by the same encoder."
            )
        blocks, n_rows = [np.empty((0, dimensions), dtype=np.float32)], 0
        for rows in table:
            blocks.append(_unmasked(rows.numbers, header))
            n_rows += len(blocks[-1])
            if n_rows > MOST_QUERIES:
                raise UnusableData(f"{where} has more than {MOST_QUERIES:,} rows; keep the most telling ones.")
    if not n_rows:
        raise UnusableData(f"{where} has no rows to compare with.")
    return np.concatenate(blocks)


def _unmasked(numbers: NDArray[np.float32], header: EmbeddingsHeader) -> NDArray[np.float32]:
    mask = header.find_mark("masked")
    kept = numbers if mask is None else numbers[numbers[:, mask] == 0]
    return kept[:, : header.n_dimensions].copy()  # the reader's arrays hold good until its next rows

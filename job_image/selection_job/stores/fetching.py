"""Fetching a file that the configuration names from the lightly datasource."""

from pathlib import Path

from selection_job.errors import ObjectMissing, UnusableData
from selection_job.stores.store import Store


def fetch_file(store: Store, key: str, path: Path, *, field: str, advice: str, given: str = "") -> Path:
    """Download the file to the path and return it.

    field   whose value it is, as spec.workerConfig.checkpoint
    given   the value, where it is not the key
    Raises UnusableData, ending with the advice, where there is no such file.
    """
    try:
        store.download(key, path)
    except ObjectMissing as error:
        raise UnusableData(f"{field} names {given or key!r}, and {store.url}{key} does not exist. {advice}") from error
    return path

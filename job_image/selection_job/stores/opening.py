"""Opening: from a datasource of the manifest to its Store."""

from pathlib import Path

from selection_api.datasource import Datasource
from selection_job.errors import InvalidManifest
from selection_job.stores.local import LocalStore
from selection_job.stores.store import Store


def open_store(datasource: Datasource, *, field: str, writable: bool = False) -> Store:
    """Return the store behind a datasource, after a look at its permissions.

    field      the datasource's path in the manifest, for messages
    writable   whether the run writes there
    Raises InvalidManifest for a type that this version does not support, StorageRefused for an unusable folder.
    """
    if datasource.type != "LOCAL" or datasource.resource_path is None:
        raise InvalidManifest(f"{field}.type: {datasource.type} is not supported by this version; use LOCAL.")
    return LocalStore(Path(datasource.resource_path), writable=writable)

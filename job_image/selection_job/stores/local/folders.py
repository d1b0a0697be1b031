"""The folders of a manifest: opened before anything slow is imported, with the field's path in what is said of them."""

from itertools import islice
from pathlib import Path

from selection_api.datasource import Datasource, Datasources
from selection_job.errors import ObjectMissing, StorageRefused
from selection_job.stores.local.store import LocalStore

FIELD = "spec.datasources"
_MOST_LOOKED_AT = 10_000


def open_folder(datasource: Datasource, *, field: str, writable: bool = False) -> LocalStore:
    """Return the store over a LOCAL datasource's folder.

    field     the datasource's path in the manifest
    Raises StorageRefused where the folder is not there, is none, or lacks a permission.
    """
    assert datasource.resource_path is not None, "a LOCAL datasource has one"
    try:
        return LocalStore(Path(datasource.resource_path), writable=writable)
    except (StorageRefused, ObjectMissing) as error:
        raise StorageRefused(f"{field}.resourcePath: {error}") from error


def check_folders(datasources: Datasources) -> None:
    """Raise StorageRefused with a line for each LOCAL datasource whose folder can't be used."""
    faults: list[StorageRefused] = []
    for purpose, datasource in _list_local(datasources):
        try:
            open_folder(datasource, field=f"{FIELD}.{purpose}", writable=purpose == "lightly")
        except StorageRefused as error:
            faults.append(error)
    if faults:
        raise StorageRefused("\n".join(map(str, faults))) from faults[0]


def warn_of_folders(datasources: Datasources, extensions: tuple[str, ...]) -> list[str]:
    """Return a sentence for each LOCAL datasource that is of no use on this machine; those in claims are elsewhere.

    extensions  in lower case; the input holds files that end so
    """
    warnings = []
    for purpose, datasource in _list_local(datasources):
        field = f"{FIELD}.{purpose}"
        if datasource.persistent_volume_claim is not None:
            continue
        try:
            store = open_folder(datasource, field=field, writable=purpose == "lightly")
            if purpose == "input" and _is_without(store, extensions):
                warnings.append(f"{field}.resourcePath: no file in {store.url} ends in {' '.join(extensions)}.")
        except StorageRefused as error:
            warnings.append(str(error))
    return warnings


def _list_local(datasources: Datasources) -> list[tuple[str, Datasource]]:
    given = [("input", datasources.input), ("lightly", datasources.lightly)]
    return [(purpose, datasource) for purpose, datasource in given if datasource.type == "LOCAL"]


def _is_without(store: LocalStore, extensions: tuple[str, ...]) -> bool:
    """Say whether no file ends so; of a large folder only its first files are looked at, and the answer is no."""
    seen = [info.key for info in islice(store.list(), _MOST_LOOKED_AT)]
    return len(seen) < _MOST_LOOKED_AT and not any(
        key.lower().endswith(extensions) and not any(part.startswith(".") for part in key.split("/")) for key in seen
    )

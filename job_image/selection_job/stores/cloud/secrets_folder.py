"""Secrets: a datasource's credentials, as the files of a Secret that a pod mounts.

Only ever read from its own folder, never from the process's environment: input and lightly can't share credentials by
accident. Read anew each time, because a mounted Secret changes when someone renews it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from selection_job.errors import StorageRefused

SECRETS_VARIABLE = "SELECTION_SECRETS"
"""Names the folder with input/<key> and lightly/<key>."""


def find_secret(purpose: str, secret_name: str, *, environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder of a datasource's Secret.

    purpose    'input' or 'lightly'
    Raises StorageRefused where SELECTION_SECRETS is not set or the folder is not there.
    """
    root = (os.environ if environment is None else environment).get(SECRETS_VARIABLE, "")
    where = f"spec.datasources.{purpose}.credentialsSecretRef ({secret_name})"
    if not root:
        raise StorageRefused(
            f"{where}: Secrets are mounted in a cluster only. Outside of one, put the Secret's keys as files into "
            f"FOLDER/{purpose}/ and set {SECRETS_VARIABLE}=FOLDER, or leave out credentialsSecretRef to use the "
            "credentials of your environment."
        )
    folder = Path(root) / purpose
    if not folder.is_dir():
        raise StorageRefused(f"{where}: the folder {folder} is not there; expected the Secret's keys in it, as files.")
    return folder


def read_secret(
    purpose: str, secret_name: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the values of the Secret's keys, without white space at their ends; optional ones only where given.

    Raises StorageRefused as find_secret does, and naming the Secret, the keys that are missing or empty, and those that
    are there instead. Never a value.
    """
    folder = find_secret(purpose, secret_name)
    values: dict[str, str] = {}
    for key in (*needed, *optional):
        path = folder / key
        try:
            value = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise StorageRefused(
                f"The key {key} of the Secret {secret_name} can't be read ({path}): {type(error).__name__}."
            ) from error
        if value:
            values[key] = value
    missing = [key for key in needed if key not in values]
    if missing:
        found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        raise StorageRefused(
            f"The Secret {secret_name} of spec.datasources.{purpose} lacks {' and '.join(missing)} ({folder}). "
            f"Expected keys: {', '.join(needed)}; found: {', '.join(found) or 'none'}."
        )
    return values

"""What is made once and kept between checkouts: folders named by the hash of what they are made from."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

KEPT_DAYS = 14


def cache_folder():
    """Return the folder that the Makefile uses too: SELECTION_CACHE, or the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SELECTION_CACHE") or Path(home) / "selection-operator").absolute()


def digest(*parts):
    """Return 16 hex digits that change with any of the parts (str or bytes)."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()[:16]


@contextlib.contextmanager
def locked(name):
    """Hold a lock between processes; it is given back when the process dies."""
    path = cache_folder() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_once(kind, name, key, make):
    """Return the folder kind/name-key of the cache; make(temporary folder) fills it when it is not there.

    A folder appears whole or not at all. Those of older keys go when they were not used for KEPT_DAYS.
    """
    folder = cache_folder() / kind / f"{name}-{key}"
    if not folder.is_dir():
        with locked(f"{kind}-{name}"):
            if not folder.is_dir():
                _fill(folder, make)
                _remove_unused(folder.parent, name)
    os.utime(folder)
    return folder


def _fill(folder, make):
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        make(temporary)
        temporary.chmod(0o755)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_unused(parent, name):
    oldest = time.time() - KEPT_DAYS * 86400
    for folder in parent.iterdir():
        ours = folder.name.rpartition("-")[0] == name
        if ours and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)

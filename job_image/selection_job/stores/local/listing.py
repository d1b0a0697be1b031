"""Walk a folder and all below it, streaming, each real folder once."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_Identity = tuple[int, int]  # device and inode


def scan_files(root: Path, prefix: str, unreadable: list[str] | None = None) -> Iterator[tuple[str, os.stat_result]]:
    """Yield key and status of each file below root whose key starts with prefix, no pipes, sockets and devices.

    Folders that are links come after all real folders, and only where they lead to a folder not seen before and not
    around root: a file below root has one name, its real one, whatever the links are, and no cycle holds the walk.
    A link that leads nowhere counts as a file, so that whoever reads it says that it is gone.
    Memory grows with the number of folders only. Raises the OSErrors of the operating system.
    unreadable  gets the folders below the first one that may not be read, which are then passed over
    """
    start, _, _ = prefix.rpartition("/")
    seen = {_identify(parent.stat()) for parent in root.parents}
    first = f"{start}/" if start else ""
    folders, links = [first], list[str]()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        try:
            for key, status, is_link in _scan_entries(root, folder, prefix, seen):
                if stat.S_ISDIR(status.st_mode):
                    (links if is_link else folders).append(f"{key}/")
                elif key.startswith(prefix) and (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                    yield key, status
        except PermissionError:
            if unreadable is None or folder == first:
                raise
            unreadable.append(folder)
        if not folders:
            links.sort(reverse=True)


def _scan_entries(
    root: Path, folder: str, prefix: str, seen: set[_Identity]
) -> Iterator[tuple[str, os.stat_result, bool]]:
    """Yield key, status and whether it is a link of each entry that may lead to a key with the prefix."""
    for entry in _scan_once(root / folder, seen):
        key = folder + entry.name
        status = _read_status(entry) if _may_hold(f"{key}/", prefix) or key.startswith(prefix) else None
        if status is not None:
            yield key, status, entry.is_symlink()


def _may_hold(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _scan_once(folder: Path, seen: set[_Identity]) -> Iterator[os.DirEntry[str]]:
    try:
        identity = _identify(folder.stat())
        if identity in seen:
            return
        seen.add(identity)
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _identify(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _read_status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the status of what the entry leads to, of the link where it leads nowhere; None where it has gone."""
    try:
        return entry.stat()
    except FileNotFoundError:
        if not entry.is_symlink():
            return None
    except OSError:  # a circle of links, or a link into a forbidden folder
        if not entry.is_symlink():
            raise
    return entry.stat(follow_symlinks=False)

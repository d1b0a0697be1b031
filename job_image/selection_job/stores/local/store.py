"""LocalStore: a folder as a datasource.

Symbolic links are followed when reading: to files, and to folders, each real folder once (so no cycle can hold the
listing). FIFOs, sockets and devices are never opened. Nothing is written or deleted through a link that leaves the
folder.
"""

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from selection_job.errors import ObjectMissing, ObjectRefused, StorageRefused, StorageUnavailable
from selection_job.stores.local.errors import translate_read_errors, translate_write_errors
from selection_job.stores.local.listing import scan_files
from selection_job.stores.store import ObjectInfo, Store

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links answer: FAT and some FUSE and SMB mounts."""

_WAITS_S = 1.0, 4.0
"""Before a file that gave an input/output error is read again: mounts of buckets answer so to a passing fault too."""

PARTIAL_PREFIX = ".selection-job-partial-"
"""Files being written are named so; one that a killed process left is no object, and goes with its folder."""


class LocalStore:
    """Store over a folder. Keys are paths relative to it.

    folder    links in it are resolved once
    writable  whether the run writes here: checked at once, before hours of work
    sleep     waits so many seconds
    Raises StorageRefused where the folder does not exist, is no folder, or lacks the permissions.
    """

    parallel_reads = 1
    credentials = "none, it is a folder"

    def __init__(self, folder: Path, *, writable: bool = False, sleep: Callable[[float], None] = time.sleep) -> None:
        _check_folder(folder, writable=writable)
        self._sleep = sleep
        self._folder = folder.resolve()
        self.url = f"{folder.absolute()}/"

    def list(self, prefix: str = "", *, unreadable: "list[str] | None" = None) -> Iterator[ObjectInfo]:
        """Yield all files whose key starts with prefix, hidden ones included.

        version is the time of the last change in nanoseconds and the size: a change within the clock tick of the
        file system that keeps the size is not seen. Folders that may not be read go into unreadable, else end it.
        """
        if "\0" in prefix or prefix.startswith("/") or ".." in prefix.split("/"):
            raise StorageRefused(f"{prefix!r} is no prefix of keys inside {self.url}.")
        _check_folder(self._folder, writable=False)
        with translate_read_errors(self.url, prefix):
            for key, status in scan_files(self._folder, prefix, unreadable):
                if not key.rpartition("/")[2].startswith(PARTIAL_PREFIX):
                    yield ObjectInfo(key, status.st_size, _version_of(status))

    def read(self, key: str) -> bytes:
        """Return the whole file. Raises ObjectMissing; ObjectRefused where this file can't be opened or read."""
        return self._read(key, lambda file: file.read())

    def read_range(self, key: str, start: int, end: int, *, version: str) -> bytes:
        """Return the bytes from start to end of the listed version; fewer where the file ends before."""

        def take(file: BinaryIO) -> bytes:
            if _version_of(os.fstat(file.fileno())) != version:
                raise ObjectMissing(f"{self.url}{key} was replaced after it was listed.")
            return os.pread(file.fileno(), max(0, end - start), start)

        return self._read(key, take)

    def exists(self, key: str) -> bool:
        """Say whether the file is there."""
        try:
            with translate_read_errors(self.url, key):
                return stat.S_ISREG(self._path(key).stat().st_mode)
        except ObjectMissing:
            return False

    def write(self, key: str, content: bytes) -> None:
        """Create or replace the file; readers see the old or the new content, never a part."""
        with translate_write_errors(self.url, key), self._replace(key) as file:
            file.write(content)

    def create(self, key: str, content: bytes) -> bool:
        """Create the file with its content; return False where there is one already. One of several writers wins."""
        with translate_write_errors(self.url, key):
            path = self._inside(self._path(key))
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(8)}")
            try:
                partial.write_bytes(content)
                path.hardlink_to(partial)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return _create_exclusively(path, content)
            finally:
                partial.unlink(missing_ok=True)
        return True

    def upload(self, key: str, path: Path) -> None:
        """Create or replace the file from another; that one stays."""
        with translate_write_errors(self.url, key), path.open("rb") as source, self._replace(key) as file:
            shutil.copyfileobj(source, file, 1024**2)

    def copy_to(self, key: str, target: Store, target_key: str) -> bool:
        """Copy the file into another folder; return False where the other store is none."""
        if not isinstance(target, LocalStore):
            return False
        with translate_read_errors(self.url, key):
            source = self._open(key)
        with source, translate_write_errors(target.url, target_key), target._replace(target_key) as file:
            shutil.copyfileobj(source, file, 1024**2)
        return True

    def download(self, key: str, path: Path) -> None:
        """Copy the file to path."""
        with translate_read_errors(self.url, key):
            source = self._open(key)
        with source, translate_write_errors(f"{path.parent}/", path.name), path.open("wb") as file:
            shutil.copyfileobj(source, file, 1024**2)

    def delete(self, key: str) -> None:
        """Remove the file; one that is not there is fine. A link is removed, not what it points to."""
        with translate_write_errors(self.url, key):
            try:
                self._inside(self._path(key)).unlink(missing_ok=True)
            except NotADirectoryError:
                return

    def delete_folder(self, prefix: str) -> None:
        """Remove all files below prefix (which ends in '/') with their folders, left-over partial files included."""
        if not prefix.endswith("/"):
            raise ValueError(f"prefix must end in '/', got {prefix!r}")
        with translate_write_errors(self.url, prefix):
            folder = self._inside(self._path(prefix.removesuffix("/")))
            if folder.is_symlink():
                raise StorageRefused(f"{folder} is a link: what it points to is not deleted. Remove the link.")
            try:
                shutil.rmtree(folder)  # never follows links
            except (FileNotFoundError, NotADirectoryError):
                return

    def _read(self, key: str, take: Callable[[BinaryIO], bytes]) -> bytes:
        """Return what is taken from the file; one that gives errors while the folder can be listed is refused alone."""
        for wait_s in (*_WAITS_S, None):
            try:
                with translate_read_errors(self.url, key), self._open(key) as file:
                    return take(file)
            except StorageUnavailable as error:
                if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EIO:
                    raise
                if wait_s is None:
                    self._check_answers()
                    raise ObjectRefused(f"{self.url}{key} gives an input/output error each time it is read.") from error
                self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _check_answers(self) -> None:
        with translate_read_errors(self.url, ""), os.scandir(self._folder) as entries:
            next(entries, None)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not key or "\0" in key or any(part in ("", ".", "..") for part in parts):
            raise ObjectRefused(
                f"{key!r} is no key inside {self.url}: keys are relative, without '..', '.', '//' and NUL."
            )
        return self._folder.joinpath(*parts)

    def _inside(self, path: Path) -> Path:
        """Return the path, refused where a link on the way to it leaves the folder."""
        if not path.parent.resolve().is_relative_to(self._folder):
            raise StorageRefused(f"{path} leaves {self.url} by a link: nothing is written or deleted there.")
        return path

    def _open(self, key: str) -> BinaryIO:
        """Open a regular file, also behind a link. Never blocks on a FIFO, never opens a device."""
        path = self._path(key)
        _check_regular(path.stat(), key)
        file = open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")  # noqa: PTH123, SIM115
        try:
            _check_regular(os.fstat(file.fileno()), key)  # it may have been swapped since
        except BaseException:
            file.close()
            raise
        return file

    @contextmanager
    def _replace(self, key: str) -> Iterator[BinaryIO]:
        """Give a hidden file beside the key's; on success it takes the key's name, with its content on the disk."""
        path = self._inside(self._path(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(8)}")
        try:
            with partial.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _create_exclusively(path: Path, content: bytes) -> bool:
    """Create the file where the file system has no hard links; a reader may see it empty for an instant."""
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)  # the disk is full: half a lock would be nobody's
        raise
    return True


def _version_of(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"


def _check_regular(status: os.stat_result, key: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ObjectMissing(f"{key} is a folder.")
    if not stat.S_ISREG(status.st_mode):
        raise ObjectRefused(f"{key} is not a regular file (but a pipe, socket or device).")


def _check_folder(folder: Path, *, writable: bool) -> None:
    needs = "LIST, READ and WRITE" if writable else "LIST and READ"
    mode = os.R_OK | os.X_OK | (os.W_OK if writable else 0)
    name = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(folder))
    with translate_read_errors(str(folder), ""):
        if not folder.exists():
            way_out = "Create it or correct it" if writable else "Correct it"
            raise StorageRefused(f"The folder {name} does not exist. {way_out}; the job needs {needs} there.")
        if not folder.is_dir():
            raise StorageRefused(f"{name} is not a folder; the job needs one with {needs}.")
        if not os.access(folder, mode):
            raise StorageRefused(
                f"No permission on the folder {name}: the job runs as user {os.geteuid()} and needs {needs} there."
            )

"""What the operating system's errors mean for a store over a folder."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from selection_job.errors import ObjectMissing, ObjectRefused, StorageRefused, StorageUnavailable

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EILSEQ}


@contextmanager
def translate_read_errors(url: str, key: str) -> Iterator[None]:
    """Raise ObjectMissing, ObjectRefused or StorageUnavailable in place of an OSError."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else f"{url}{key}"
        if error.errno in _ABSENT:
            raise ObjectMissing(f"{where} is not there ({error.strerror}).") from error
        if error.errno in _FORBIDDEN:
            raise ObjectRefused(
                f"No permission to READ {where} ({error.strerror}): the job runs as user {os.geteuid()}."
            ) from error
        raise StorageUnavailable(f"Reading {where} failed for now: {error.strerror or error}.") from error
    except UnicodeEncodeError as error:
        raise ObjectMissing(f"{url}{key!r} is not there: no file system holds such a name.") from error


@contextmanager
def translate_write_errors(url: str, key: str) -> Iterator[None]:
    """Raise StorageRefused, ObjectRefused (this key only) or StorageUnavailable in place of an OSError."""
    try:
        yield
    except OSError as error:
        where = f"{url}{key}"
        if error.errno in _FULL:
            raise StorageUnavailable(
                f"There is no space left for {where} ({error.strerror}). Free some and run the same command again."
            ) from error
        if error.errno in _FORBIDDEN:
            raise StorageRefused(
                f"No permission to WRITE {where} ({error.strerror}): the job runs as user {os.geteuid()}."
            ) from error
        if error.errno in _IN_THE_WAY:
            raise ObjectRefused(f"{where} can't be written: {error.strerror}.") from error
        raise StorageUnavailable(f"Writing {where} failed for now: {error.strerror or error}.") from error
    except UnicodeEncodeError as error:
        raise ObjectRefused(f"{url}{key!r} can't be written: no file system holds such a name.") from error

"""The bytes of a listed video as a file for FFmpeg, and what became of reading them."""

import io

from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.stores.ranged_file import RangedFile


class VideoBytes(RangedFile):
    """A RangedFile that ends where the store fails: PyAV keeps one exception of a file, and prints any further one."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to so many bytes of one block, none at the end or once the store has failed; `failure` says how."""
        if self.failure is not None:
            return b""
        content = bytearray(max(0, size))
        try:
            n = self.readinto(content)
        except Exception:  # whatever it is, RangedFile keeps it, and explain_failure raises it
            return b""
        return bytes(content[:n])

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; a place before the beginning, which a hostile file may name, is -1."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return -1


def explain_failure(file: VideoBytes | None) -> str:
    """Return what the store said of this one object while it was read, or ''. Raises what ends the run.

    To be asked whenever FFmpeg has come to an end of the file.
    """
    failure = None if file is None else file.failure
    if failure is None:
        return ""
    if isinstance(failure, ObjectMissing):
        return "gone: it was listed but is not there any more, or was replaced"
    if isinstance(failure, ObjectRefused):
        return f"not readable: {failure}"
    raise failure

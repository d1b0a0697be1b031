"""RangedFile: an object as a seekable file, read in blocks, without ever being on the disk or in memory as a whole."""

import io
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import Any

from selection_job.errors import StorageUnavailable
from selection_job.stores.store import Store

BLOCK_BYTES = 1024**2
_BLOCKS_AHEAD = 8
"""What is fetched beside the reader: at 50 ms a request some 160 MB/s, more than any decoder takes."""

_KEPT_BLOCKS = 24
"""Formats with their index at the end are read there first; what is in between is passed once."""


class RangedFile(io.RawIOBase):
    """A read-only file over an object of a store. One thread at a time may use it.

    size_bytes, version  as listed; an object that was replaced since is ObjectMissing
    Blocks of 1 MiB are kept, at most 24 besides the first and the last two. While blocks are asked for in their order,
    the next ones are fetched by threads, unless the store has no latency to hide. Nothing is asked for beyond the end.

    What the store raises is raised by read, and kept in `failure`: FFmpeg takes a fault for the end of the file.

    is_digested  every block is hashed as it comes, for digest_content
    """

    def __init__(self, store: Store, key: str, size_bytes: int, version: str, *, is_digested: bool = False) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self._is_digested = is_digested
        self._digests: dict[int, bytes] = {}
        self._store, self._key, self._size_bytes, self._version = store, key, size_bytes, version
        self._position = 0
        self._last_block = max(0, (size_bytes - 1) // BLOCK_BYTES)
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._previous, self._is_going_on = -2, False
        self._ahead = min(_BLOCKS_AHEAD, store.parallel_reads - 1)
        self._threads = ThreadPoolExecutor(self._ahead, thread_name_prefix="range") if self._ahead > 0 else None

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, and return where to; no byte is read. Beyond the end there is nothing, as in any file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"negative position {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the present block goes; 0 at the end."""
        place = self._position
        if self.closed or place >= self._size_bytes:
            return 0
        number, offset = divmod(place, BLOCK_BYTES)
        content = self._take(number)[offset : offset + len(buffer)]
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, fewer only at the end; all that is left without a size."""
        left = max(0, self._size_bytes - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        content = bytearray(wanted)
        view, filled = memoryview(content), 0
        while filled < wanted and (n := self.readinto(view[filled:])):
            filled += n
        view.release()
        return bytes(content[:filled])

    def digest_content(self, is_stopped: Callable[[], bool] = lambda: False) -> bytes:
        """Return 32 bytes that tell contents apart: SHA-256 over that of each block; none once it is stopped.

        Blocks that nobody asked for are read now, so each byte is read once. Needs is_digested.
        """
        whole = sha256(self._size_bytes.to_bytes(8, "little"))
        for number in range(self._last_block + 1 if self._size_bytes else 0):
            if is_stopped():
                return b""
            if number not in self._digests:
                self._take(number)
            whole.update(self._digests[number])
        return whole.digest()

    def close(self) -> None:
        """Forget the blocks; requests under way end by themselves."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._blocks.clear()
        super().close()

    def _take(self, number: int) -> bytes:
        """Return a block, and have the next ones fetched where the reader goes from block to block."""
        try:
            if number not in self._blocks:
                self._blocks[number] = self._fetch_now(number)
            self._look_ahead(number)
            self._blocks.move_to_end(number)
            content = self._blocks[number].result()
            self._forget(number)
        except Exception as error:
            self.failure = self.failure or error
            raise
        return content

    def _look_ahead(self, number: int) -> None:
        self._is_going_on = number == self._previous + 1 or (self._is_going_on and number == self._previous)
        self._previous = number
        if self._threads is None or not self._is_going_on:
            return
        for following in range(number + 1, min(number + self._ahead, self._last_block) + 1):
            if following not in self._blocks:
                self._blocks[following] = self._threads.submit(self._fetch, following)

    def _forget(self, number: int) -> None:
        """Drop the blocks that were used the longest ago, not those that lie ahead."""
        droppable = [block for block in self._blocks if 0 < block < self._last_block - 1]
        for block in droppable[: max(0, len(droppable) - _KEPT_BLOCKS)]:
            if not number <= block <= number + self._ahead:
                del self._blocks[block]

    def _fetch_now(self, number: int) -> "Future[bytes]":
        done: Future[bytes] = Future()
        done.set_result(self._fetch(number))
        return done

    def _fetch(self, number: int) -> bytes:
        start = number * BLOCK_BYTES
        end = min(start + BLOCK_BYTES, self._size_bytes)
        content = self._store.read_range(self._key, start, end, version=self._version)
        if len(content) != end - start:
            raise StorageUnavailable(f"{self._key} ended at byte {start + len(content)} of {self._size_bytes}.")
        if self._is_digested:
            self._digests[number] = sha256(content).digest()
        return content

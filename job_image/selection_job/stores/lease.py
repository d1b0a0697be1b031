"""Lease: one process at a time writes a run's results, wherever the others are.

A pod whose node has gone silent may still be at work when its successor starts. The lock is an object that is created
only where there is none; its holder renews it, and one that was not renewed for the whole lease is taken over. Only the
content's change is looked at, never a clock of another machine.
"""

import json
import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from selection_job.errors import ObjectMissing, StorageUnavailable, TryAgain
from selection_job.stores.store import Store

log = logging.getLogger("selection_job")

LEASE_S = 60.0
RENEWALS = 4
"""How often the lock is renewed within a lease."""


@dataclass
class Lease:
    """The lock of one run, held by this process."""

    store: Store
    key: str
    holders: str = "process of this run"
    """Who holds such a lock, for messages."""
    lease_s: float = LEASE_S
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    now: Callable[[], float] = field(default=time.monotonic, repr=False)
    holder: str = field(default_factory=lambda: secrets.token_hex(8))
    _renewed: int = 0
    _renewed_at: float = -math.inf
    _lost: str = ""

    def acquire(self) -> None:
        """Take the lock, waiting a lease at most to see whether its holder lives. Raises TryAgain where it does."""
        seen, since = b"", self.now()
        while not self.store.create(self.key, self._content()):
            content = self._look()
            if content is None:
                if self._take_empty():
                    break
                continue
            if content != seen:
                if seen:
                    raise TryAgain(self._explain(content))
                log.info("%s Waiting up to %.0f s to see whether it lives.", self._explain(content), self.lease_s)
                seen, since = content, self.now()
            if _is_dead(content) or self.now() - since > self.lease_s:
                self._take_over(content)
                seen = b""
                continue
            self.sleep(self.lease_s / RENEWALS / 4)
        self._renewed_at = self.now()

    def check(self) -> None:
        """Raise TryAgain where someone else has taken the lock."""
        content = self._look()
        if content is None or _holder_of(content) != self.holder:
            self._lost = self._explain(content or b"")
        if self._lost:
            raise TryAgain(f"{self._lost} This one ends; what it finished is kept.")

    def check_cheaply(self) -> None:
        """Raise TryAgain where the lock is known to be lost. No request, unless renewals have failed for half a lease.

        Those fail with the storage, and where the process was stopped and goes on: then it checks.
        """
        if self._lost or self.now() - self._renewed_at > self.lease_s / 2:
            self.check()

    def renew(self) -> None:
        """Show that this process lives. Raises TryAgain where someone else has taken the lock."""
        self.check()
        begun = self.now()
        self._renewed += 1
        self.store.write(self.key, self._content())
        self._renewed_at = begun

    def release(self) -> None:
        """Give the lock back, where it is still this process's."""
        content = self._look()
        if content is not None and _holder_of(content) == self.holder:
            self.store.delete(self.key)

    def _take_over(self, content: bytes) -> None:
        """Remove a dead holder's lock, so that one of those who wait creates theirs."""
        if self._look() == content:
            log.info("The holder of %s%s does not live any more: its lock is taken over.", self.store.url, self.key)
            self.store.delete(self.key)

    def _take_empty(self) -> bool:
        """Take a lock that could only be emptied, because deleting is not allowed; say whether this process got it."""
        if self.store.exists(self.key):
            self.store.write(self.key, self._content())
        return _holder_of(self._look() or b"") == self.holder

    def _look(self) -> bytes | None:
        try:
            return self.store.read(self.key) or None
        except ObjectMissing:
            return None

    def _content(self) -> bytes:
        value = {"holder": self.holder, "host": socket.gethostname(), "pid": os.getpid(), "boot": _read_boot_id()}
        return json.dumps({**value, "started": _read_start(os.getpid()), "renewed": self._renewed}).encode()

    def _explain(self, content: bytes) -> str:
        where = _read(content).get("host", "somewhere")
        return f"Another {self.holders} is at work ({where}; {self.store.url}{self.key})."


@contextmanager
def hold(lease: Lease, *, is_patient: bool = False) -> Iterator[Lease]:
    """Hold the lease for the block and renew it meanwhile.

    is_patient  wait for its holder's end, however long that takes
    Raises TryAgain where another holder lives.
    """
    while not _acquire(lease, is_patient=is_patient):
        pass
    ended = threading.Event()
    thread = threading.Thread(target=_keep_renewing, args=(lease, ended), name="run-lock", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join()
        lease.release()


def _acquire(lease: Lease, *, is_patient: bool) -> bool:
    try:
        lease.acquire()
    except TryAgain as error:
        if not is_patient:
            raise
        log.info("%s Waiting for its end.", error)
        return False
    return True


def _keep_renewing(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(lease.lease_s / RENEWALS):
        try:
            lease.renew()
        except StorageUnavailable as error:
            log.warning("The run's lock could not be renewed: %s", error)
        except Exception as error:  # the block's next check says so to the run
            log.warning("The run's lock is lost: %s", error)
            return


def _read(content: bytes) -> dict[str, object]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _holder_of(content: bytes) -> object:
    return _read(content).get("holder")


def _is_dead(content: bytes) -> bool:
    """Say whether the holder was a process of this machine, and of this boot and container, that has ended."""
    value = _read(content)
    pid = value.get("pid")
    if (value.get("host"), value.get("boot")) != (socket.gethostname(), _read_boot_id()) or not isinstance(pid, int):
        return False
    return _read_start(pid) != value.get("started")


def _read_boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _read_start(pid: int) -> str:
    """Return when the process started, in ticks since the boot; '' where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""

"""What the process waits for: calls over the network without an end so far, told in the log and in /progress."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger("selection_job")

TOLD_AFTER_S = 10.0
"""In the log, and again each minute."""

SHOWN_AFTER_S = 5.0
"""In /progress: who asks every ten seconds then knows of a wait about when the log tells it."""

_TOLD_AGAIN_S = 60.0
_LOOK_EVERY_S = 1.0


@dataclass
class Wait:
    """One call. `for_what` goes on from "Waiting for": an address and a verb, never a secret."""

    for_what: str
    begun_at: float
    fault: str = ""
    """The code of the last fault, where the call is tried again; messages may hold signed addresses."""
    told_at: float | None = None

    def note(self, code: str) -> None:
        """Note why the last try failed."""
        self.fault = code

    def __str__(self) -> str:
        """The words after "Waiting for"."""
        return f"{self.for_what} (so far {self.fault})" if self.fault else self.for_what


@dataclass
class Waits:
    """All calls under way in this process, in any thread."""

    clock: Callable[[], float] = time.monotonic
    _waits: dict[int, Wait] = field(default_factory=dict)  # single operations on it need no lock

    @contextmanager
    def on(self, for_what: str) -> Iterator[Wait]:
        """Count the block as a wait."""
        wait = Wait(for_what, self.clock())
        self._waits[id(wait)] = wait
        try:
            yield wait
        finally:
            del self._waits[id(wait)]

    def longest(self) -> Wait | None:
        """Return the wait that has lasted longest, of those to be shown."""
        waits = [wait for wait in list(self._waits.values()) if self.clock() - wait.begun_at >= SHOWN_AFTER_S]
        return min(waits, key=lambda wait: wait.begun_at, default=None)

    def tell(self) -> None:
        """Log the longest wait where that is due."""
        wait = self.longest()
        if wait is None:
            return
        now = self.clock()
        if now - wait.begun_at >= TOLD_AFTER_S and (wait.told_at is None or now - wait.told_at >= _TOLD_AGAIN_S):
            wait.told_at = now
            log.warning("Waiting for %s, for %d s now.", wait, now - wait.begun_at)


WAITS = Waits()


@contextmanager
def tell_waits(waits: Waits = WAITS) -> Iterator[None]:
    """Log during the block, from a thread of its own, what is waited for."""
    end = threading.Event()

    def look() -> None:
        while not end.wait(_LOOK_EVERY_S):
            waits.tell()

    thread = threading.Thread(target=look, daemon=True, name="waiting")
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()

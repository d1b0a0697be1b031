"""The work queue: keys waiting for a pass; deduplicated, one in flight per key, with delays and backoff."""

import asyncio
import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 120.0


def backoff(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row (1, 2, …): 0.5, 1, 2, … at most 120."""
    return min(FIRST_BACKOFF * float(2 ** min(failures - 1, 10)), LONGEST_BACKOFF)


@dataclass
class WorkQueue(Generic[K]):
    """Keys and when each is due. A key added while it is in flight is due again right after its pass."""

    clock: Callable[[], float]
    """Seconds on the event loop's clock."""
    _due: dict[K, float] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _in_flight: dict[K, float] = field(default_factory=dict)
    _failures: dict[K, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0

    def add(self, key: K, after: float = 0.0) -> None:
        """Let a key be due after so many seconds; an earlier time that is set already stays."""
        due = self.clock() + after
        if due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        self._changed.set()

    async def get(self) -> K:
        """Wait for the next key that is due and not in flight, and take it in flight."""
        while True:
            key, wait = self._next()
            if key is not None:
                del self._due[key]
                self._in_flight[key] = self.clock()
                return key
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def done(self, key: K, again_after: float | None = None) -> None:
        """End a pass that went well."""
        self._failures.pop(key, None)
        self._land(key, again_after)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """End a pass that failed; return after how many seconds the key is due again."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(backoff(failures), at_least)
        if self._due.pop(key, None) is not None:
            delay = max(FIRST_BACKOFF, at_least)  # something has changed meanwhile, perhaps for the better
        self._land(key, delay)
        return delay

    def has_failed(self, key: K) -> bool:
        """Say whether the key's last pass failed."""
        return key in self._failures

    def forget(self, key: K) -> None:
        """Drop what is known of a key that will not come again."""
        self._failures.pop(key, None)

    def depth(self) -> int:
        """Return how many keys are due now."""
        now = self.clock()
        return sum(due <= now for due in self._due.values())

    def longest_wait(self) -> float:
        """Return for how many seconds the most overdue key waits, or the longest pass lasts."""
        now = self.clock()
        waits = [now - due for key, due in self._due.items() if key not in self._in_flight]
        return max([0.0, *waits, *(now - since for since in self._in_flight.values())])

    def _land(self, key: K, after: float | None) -> None:
        self._in_flight.pop(key, None)
        if after is not None:
            self.add(key, after)
        self._changed.set()

    def _next(self) -> tuple[K | None, float | None]:
        """Return the key to take now, or how long to wait for one (None: until something changes)."""
        held = []
        found: tuple[K | None, float | None] = (None, None)
        while self._heap:
            due, count, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue  # superseded by an earlier time, or taken
            if key in self._in_flight:
                held.append((due, count, key))
                continue
            wait = due - self.clock()
            if wait > 0:
                held.append((due, count, key))
                found = (None, wait)
            else:
                found = (key, None)
            break
        for entry in held:
            heapq.heappush(self._heap, entry)
        return found

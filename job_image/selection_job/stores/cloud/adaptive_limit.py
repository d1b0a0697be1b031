"""AdaptiveLimit: how many requests to a bucket are under way at a time, fewer after it said that it is too much.

The rule is TCP's: a cut to the half where an answer shows that it is too much (429, 503, a timeout, no answer), one
more after each round of answers that came. A request that was begun before the last cut tells nothing new.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from selection_job.stores.cloud.provider_client import VendorError

MOST = 64
"""Requests under way at most: so many hide the latency of a bucket (10 to 50 ms to the first byte)."""

LEAST = 4
START = 48
LONGEST_HOLD_S = 60.0


@dataclass
class Allowance:
    """How many requests may be under way. Times come from the caller's clock, in seconds."""

    limit: float = START  # LEAST to MOST
    cut_at_s: float = -math.inf

    def grow(self, begun_s: float, under_way: int) -> None:
        """Note an answer to a request begun at begun_s: 1 more for `limit` answers while the limit binds."""
        if begun_s > self.cut_at_s and under_way >= int(self.limit):
            self.limit = min(float(MOST), self.limit + 1 / self.limit)

    def cut(self, begun_s: float, now_s: float) -> None:
        """Note at now_s that a request begun at begun_s was too much."""
        if begun_s > self.cut_at_s:
            self.limit = max(float(LEAST), self.limit / 2)
            self.cut_at_s = now_s


class AdaptiveLimit:
    """Lets requests through as far as the allowance goes, and none before the time that the provider asked for."""

    def __init__(
        self, *, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.allowance = Allowance()
        self._now = now
        self._sleep = sleep
        self._changed = threading.Condition()
        self._under_way = 0
        self._resume_at_s = -math.inf

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait for leave; make the request in the block. A VendorError that leaves it may slow the others down."""
        begun_s = self._enter()
        fault: VendorError | None = None
        try:
            yield
        except VendorError as error:
            fault = error
            raise
        finally:
            self._leave(begun_s, fault)

    def _enter(self) -> float:
        held_s = self._resume_at_s - self._now()
        if held_s > 0:
            self._sleep(held_s)
        with self._changed:
            while self._under_way >= int(self.allowance.limit):
                self._changed.wait()
            self._under_way += 1
        return self._now()

    def _leave(self, begun_s: float, fault: VendorError | None) -> None:
        with self._changed:
            if fault is None:
                self.allowance.grow(begun_s, self._under_way)
            elif fault.is_too_much:
                now_s = self._now()
                self.allowance.cut(begun_s, now_s)
                asked_s = min(fault.retry_after_s, LONGEST_HOLD_S)
                self._resume_at_s = max(self._resume_at_s, now_s + asked_s)
            self._under_way -= 1
            self._changed.notify(2)  # this one's place, and one that the limit may have grown by

"""RetryPolicy: try again what fails in passing, later each time, not all at the same time."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from selection_job.stores.cloud.provider_client import VendorError

log = logging.getLogger("selection_job")

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long. The defaults wait about two minutes in all before a fault is no longer a passing one."""

    attempts: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    now: Callable[[], float] = field(default=time.monotonic, repr=False)  # in seconds, from anywhere
    jitter: Callable[[], float] = field(default=random.random, repr=False)  # in [0, 1)

    def wait_s(self, attempt: int, asked_s: float) -> float:
        """Return the wait after the given attempt (from 0): what the provider asked for, else doubling with jitter."""
        if asked_s > 0:
            return min(asked_s, self.longest_wait_s) + self.jitter() * self.first_wait_s
        longest: float = min(self.longest_wait_s, self.first_wait_s * 2.0**attempt)
        return longest * (0.5 + self.jitter() / 2)

    def insist(self, call: Callable[[], T], *, note: Callable[[str], None] = lambda _: None) -> T:
        """Return what call returns, tried again as long as its VendorError is a passing one. Raises the last one.

        note  is given the code of each that passes
        """
        for attempt in range(self.attempts - 1):
            try:
                return call()
            except VendorError as error:
                if not error.is_passing:
                    raise
                note(error.code)
                wait_s = self.wait_s(attempt, error.retry_after_s)
                log.debug("%s; the next attempt is in %.1f s", error, wait_s)
                self.sleep(wait_s)
        return call()

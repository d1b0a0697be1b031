"""Progress: what the run is doing, for people (bars with rate and ETA) and for machines (stage, done, total)."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tqdm import tqdm

from selection_api.names import Stage

log = logging.getLogger("selection_job")

_LOG_EVERY_SECONDS = 30.0


@dataclass
class Bar:
    """One long step: how much is done of how much."""

    description: str
    total: int
    unit: str
    done: int = 0
    show: Callable[[int], None] = lambda n: None

    def advance(self, n: int = 1) -> None:
        """Count n more units as done."""
        self.done += n
        self.show(n)


@dataclass
class Progress:
    """Where the run is. quiet shows nothing (tests); times are read from the injected clock."""

    quiet: bool = False
    clock: Callable[[], float] = time.monotonic
    current: Stage = Stage.INITIALIZING
    bar_now: Bar | None = None
    stage_seconds: dict[str, float] = field(default_factory=dict)
    stop_request: BaseException | None = None
    """Raised at the next step of any bar: where a signal came at a moment that swallows exceptions (a destructor)."""

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Enter a stage and add the time spent in it to stage_seconds."""
        self.current = stage
        started = self.clock()
        try:
            yield
        finally:
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + self.clock() - started

    @contextmanager
    def bar(self, description: str, total: int, unit: str = "images") -> Iterator[Bar]:
        """Show a step of `total` units (a plural word): a bar on a terminal, a log line now and then elsewhere."""
        bar = Bar(description, total, unit)
        self.bar_now = bar
        try:
            with self._display(bar) as show:
                bar.show = self._watch(show)
                yield bar
        finally:
            self.bar_now = None

    def _watch(self, show: Callable[[int], None]) -> Callable[[int], None]:
        def step(n: int) -> None:
            show(n)
            if self.stop_request is not None:
                raise self.stop_request

        return step

    @contextmanager
    def _display(self, bar: Bar) -> Iterator[Callable[[int], None]]:
        if self.quiet:
            yield lambda n: None
        elif sys.stderr.isatty():
            with tqdm(total=bar.total, desc=bar.description, unit=f" {bar.unit}", smoothing=0.1) as shown:
                yield lambda n: self._update(shown, bar, n)
        else:
            yield self._log_line(bar)

    @staticmethod
    def _update(shown: tqdm, bar: Bar, n: int) -> None:
        shown.set_description_str(bar.description, refresh=False)
        shown.update(n)

    def _log_line(self, bar: Bar) -> Callable[[int], None]:
        started = last = self.clock()

        def show(_: int) -> None:
            nonlocal last
            now = self.clock()
            if bar.done < bar.total and now - last < _LOG_EVERY_SECONDS:
                return
            last = now
            rate = bar.done / max(now - started, 1e-9)
            left = (bar.total - bar.done) / max(rate, 1e-9)
            percent = 100 * bar.done // max(bar.total, 1)
            log.info(
                "%s: %d of %d %s (%d%%), %.1f/s, %.0f s left",
                bar.description, bar.done, bar.total, bar.unit, percent, rate, left,
            )  # fmt: skip

        return show

"""Progress: what the run is doing, for people (bars with rate and ETA) and for machines (stage, done, total)."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from selection_api.names import Stage
from selection_api.status import Counts

if TYPE_CHECKING:
    from tqdm import tqdm

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
        """Count n more units as done; of 0 nothing is shown, but whoever has to stop does."""
        self.done += n
        self.show(n)


@dataclass(frozen=True)
class Position:
    """Where a run is. One value, replaced as a whole: a thread that reads it never sees the bar of another stage."""

    stage: Stage = Stage.INITIALIZING
    bar: Bar | None = None
    """The stage's latest bar, also after its end; None where the stage has had none."""
    entered_at: float = 0.0
    """By the progress's clock: since when time counts for the stage that is not in seconds yet."""
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Time spent in the stages that were left."""

    @property
    def total(self) -> int:
        """Units of the stage; 0 where it has no bar."""
        return self.bar.total if self.bar else 0

    @property
    def done(self) -> int:
        """Units done, never more than total."""
        return min(self.bar.done, self.bar.total) if self.bar else 0

    def seconds_at(self, now: float) -> dict[str, float]:
        """Return the time spent in each stage until now, the present one included; together all since the beginning."""
        present = max(0.0, now - self.entered_at)
        if not present and (self.stage in self.seconds or self.stage == Stage.INITIALIZING):
            return dict(self.seconds)
        return {**self.seconds, self.stage: self.seconds.get(self.stage, 0.0) + present}


@dataclass
class Progress:
    """Where the run is. quiet shows nothing (tests); times are read from the injected clock.

    A stage lasts until the next one begins, and INITIALIZING since this value was made: there is one clock, and the
    times of the stages add up to that of the run.

    One thread writes; any other may read position, counts and units_done at any time, without a lock.
    """

    quiet: bool = False
    clock: Callable[[], float] = time.monotonic
    position: Position = field(init=False)
    counts: Counts | None = None
    """What became of the input images, as far as it is known; a number that is not known yet is not set."""
    report: dict[str, Any] | None = None
    """report.json, once it is there."""
    units_done: dict[str, int] = field(default_factory=dict)
    """By stage: what this process has done in all its bars. What a resumed step began with does not count."""
    on_stage: Callable[[], None] = lambda: None
    """Called when a stage has begun."""
    stop_request: BaseException | None = None
    """Raised at the next step of any bar or stage: where a signal came at a moment that swallows exceptions."""

    def __post_init__(self) -> None:
        self.position = Position(entered_at=self.clock())

    @property
    def current(self) -> Stage:
        """The stage that was entered last."""
        return self.position.stage

    @property
    def stage_seconds(self) -> Mapping[str, float]:
        """Time spent in the stages that were left."""
        return self.position.seconds

    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return sum(self.position.seconds_at(self.clock()).values())

    def count(self, **known: int) -> None:
        """Note numbers of images that are known from now on: input, corrupt, duplicate, selected, removed."""
        self.counts = (self.counts or Counts()).model_copy(update=known)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Enter a stage and add the time spent in it to stage_seconds, that since the last stage to the last one's."""
        self._raise_stop_request()
        now = self.clock()
        self.position = Position(stage, entered_at=now, seconds=MappingProxyType(self.position.seconds_at(now)))
        if not self.quiet and not sys.stderr.isatty():
            log.info("Stage %s", stage)
        self.on_stage()
        try:
            yield
        finally:
            now = self.clock()
            seconds = MappingProxyType(self.position.seconds_at(now))
            self.position = replace(self.position, entered_at=now, seconds=seconds)

    @contextmanager
    def bar(self, description: str, total: int, unit: str = "images", *, done: int = 0) -> Iterator[Bar]:
        """Show a step of `total` units (a plural word): a bar on a terminal, a log line now and then elsewhere.

        done    what an earlier try of this step left behind as done
        """
        bar = Bar(description, total, unit, done)
        self.position = replace(self.position, bar=bar)
        with self._display(bar) as show:
            bar.show = self._watch(show)
            yield bar

    def _watch(self, show: Callable[[int], None]) -> Callable[[int], None]:
        def step(n: int) -> None:
            self.units_done[self.current] = self.units_done.get(self.current, 0) + n
            if n:
                show(n)
            self._raise_stop_request()

        return step

    def _raise_stop_request(self) -> None:
        if self.stop_request is not None:
            raise self.stop_request

    @contextmanager
    def _display(self, bar: Bar) -> Iterator[Callable[[int], None]]:
        if self.quiet:
            yield lambda n: None
        elif sys.stderr.isatty():
            from tqdm import tqdm  # of the extra job: the base installation's `check` has no bars

            with tqdm(
                total=bar.total, initial=bar.done, desc=bar.description, unit=f" {bar.unit}", smoothing=0.1
            ) as shown:
                yield lambda n: self._update(shown, bar, n)
        else:
            yield self._log_line(bar)

    @staticmethod
    def _update(shown: "tqdm", bar: Bar, n: int) -> None:
        shown.set_description_str(bar.description, refresh=False)
        shown.update(n)

    def _log_line(self, bar: Bar) -> Callable[[int], None]:
        started = last = self.clock()
        done_before = bar.done

        def show(_: int) -> None:
            nonlocal last
            now = self.clock()
            if bar.done < bar.total and now - last < _LOG_EVERY_SECONDS:
                return
            last = now
            rate = (bar.done - done_before) / max(now - started, 1e-9)
            left = (bar.total - bar.done) / max(rate, 1e-9)
            percent = 100 * bar.done // max(bar.total, 1)
            log.info(
                "%s: %d of %d %s (%d%%), %.1f/s, %.0f s left",
                bar.description, bar.done, bar.total, bar.unit, percent, rate, left,
            )  # fmt: skip

        return show

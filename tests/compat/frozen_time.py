"""Clocks that stand still: what a run tells of times and of work done is the same each time."""

import importlib
import os
import pkgutil
import sys
import time
import types
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

STARTED_AT = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
LASTED = timedelta(seconds=90)
FIRST_TIMES = os.times_result((0.0, 0.0, 0.0, 0.0, 0.0))
LATER_TIMES = os.times_result((60.0, 5.0, 20.0, 5.0, 100.0))


class FrozenTime:
    """The clocks of one run after the other; begin() starts a run.

    The wall clock shows STARTED_AT once and LASTED later from then on, however often it is asked. CPU time goes the
    same way, and a stage lasts a second.
    """

    def __init__(self):
        self.stages_left = 0
        self._asked = set()

    def begin(self):
        """Start anew."""
        self._asked.clear()

    def now(self, tz=None):
        """Take the place of datetime.now."""
        now = STARTED_AT + LASTED if self._is_asked_again("now") else STARTED_AT
        return now.astimezone(tz) if tz else now.replace(tzinfo=None)

    def times(self):
        """Take the place of os.times."""
        return LATER_TIMES if self._is_asked_again("times") else FIRST_TIMES

    def _is_asked_again(self, what):
        is_again = what in self._asked
        self._asked.add(what)
        return is_again


def freeze():
    """Import all of selection_job, put frozen clocks into it, and return them.

    Clocks that only waiting depends on (locks, retries, the threads of others) go on as they are.
    """
    import selection_job

    frozen = FrozenTime()
    for module in pkgutil.walk_packages(selection_job.__path__, "selection_job."):
        importlib.import_module(module.name)
    frozen_datetime = type("datetime", (datetime,), {"now": classmethod(lambda cls, tz=None: frozen.now(tz))})
    frozen_module = types.ModuleType("time")
    still = dict.fromkeys(("time", "monotonic", "perf_counter", "process_time"), lambda: 1000.0)
    frozen_module.__dict__.update({**vars(time), **still})
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "selection_job"]:
        if getattr(module, "datetime", None) is datetime:
            module.datetime = frozen_datetime
        if getattr(module, "time", None) is time:
            module.time = frozen_module
    os.times = frozen.times
    main = importlib.import_module("selection_job.__main__")

    class SteadyProgress(main.Progress):
        """Shows nothing; time goes on at the end of each stage alone."""

        @contextmanager
        def stage(self, stage):
            with super().stage(stage):
                yield
                frozen.stages_left += 1

    main.Progress = lambda: SteadyProgress(quiet=True, clock=lambda: float(frozen.stages_left))
    return frozen

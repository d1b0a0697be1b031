"""Stopping: SIGTERM and Ctrl-C end a run in time, with its finished stages kept and exit code 75."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType

from selection_job.errors import StopRequest
from selection_job.process.progress import Progress

GIVE_UP_SECONDS = 45.0
"""From a signal to the end by force: a pod has 60 s, and a storage that hangs may hold a thread for ever."""


@contextmanager
def stop_on_signals(
    progress: Progress, give_up: Callable[[str], None], *, give_up_seconds: float = GIVE_UP_SECONDS
) -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into StopRequest, once, in the main thread.

    give_up    is called with the signal's name, from another thread, where the block has not ended in time; it should
               end the process
    """
    events: SimpleQueue[str] = SimpleQueue()  # its put may be called in a signal handler, whatever was interrupted

    def stop(number: int, _: FrameType | None) -> None:
        for handled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(handled, signal.SIG_IGN)  # a second one must not cut the clean-up short
        progress.stop_request = StopRequest(signal.Signals(number).name)
        events.put(signal.Signals(number).name)
        raise progress.stop_request

    watchdog = threading.Thread(target=_watch, args=(events, give_up, give_up_seconds), daemon=True, name="stopping")
    watchdog.start()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        events.put("")


def _watch(events: SimpleQueue[str], give_up: Callable[[str], None], seconds: float) -> None:
    name = events.get()
    if not name:
        return
    try:
        events.get(timeout=seconds)
    except Empty:
        give_up(name)

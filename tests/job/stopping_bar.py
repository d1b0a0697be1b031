"""A progress bar at which a run is stopped, as a signal would stop it."""

from selection_job.errors import Stopped


class StoppingBar:
    """Raises Stopped when n units of the bar that the manager gives are done."""

    def __init__(self, manager, n):
        self._manager, self._n = manager, n

    def __enter__(self):
        bar = self._manager.__enter__()
        advance = bar.advance

        def stop_at(n=1):
            advance(n)
            if bar.done >= self._n:
                raise Stopped("Stopped by SIGTERM.")

        bar.advance = stop_at
        return bar

    def __exit__(self, *error):
        return self._manager.__exit__(*error)

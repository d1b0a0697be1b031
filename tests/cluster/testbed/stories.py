"""Tests that mostly wait for the Job controller's patience (10 s and more) and are therefore played side by side."""

import functools
from concurrent.futures import ThreadPoolExecutor


def story(function):
    """Make a test of function(lane) that is played in a thread, beside the other stories of the session."""

    def told(stories):
        stories[function].result()

    functools.update_wrapper(told, function)
    del told.__wrapped__  # pytest would read the wrapped function's arguments
    told.story = function
    return told


def play_stories(items, lane):
    """Play the stories among a session's tests, all at once; yield {function: its Future}."""
    functions = [getattr(item, "function", None) for item in items]
    wanted = [function.story for function in functions if hasattr(function, "story")]
    with ThreadPoolExecutor(len(wanted)) as threads:
        yield {function: threads.submit(function, lane) for function in wanted}

"""Calls that mostly wait, several at a time, their results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def call_in_parallel(calls: Iterable[Callable[[], T]], n_threads: int) -> Iterator[T]:
    """Yield what the calls return, in their order; at most 2 n_threads of them are begun and not yet taken.

    Raises what a call raises, when its turn comes. Then, and where the iterator is closed, no further call is begun,
    and those that have been are waited for.
    """
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="call")
    pending: deque[Future[T]] = deque()
    try:
        for call in calls:
            if len(pending) >= 2 * n_threads:
                yield pending.popleft().result()
            pending.append(pool.submit(call))
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def check_before_each(check: Callable[[], None], items: Iterable[T]) -> Iterator[T]:
    """Yield the items; the check, of a lock for example, is made before each, and what it raises ends them."""
    for item in items:
        check()
        yield item

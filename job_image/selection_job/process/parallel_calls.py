"""Calls that run ahead of who takes their results: in order, only so many, only so many bytes.

The consumer begins the next call when it takes a result; no thread ever waits for it. So a consumer that stops, for
whatever reason, leaves nothing that blocks.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")


def call_in_parallel(calls: Iterable[Callable[[], T]], n_threads: int) -> Iterator[T]:
    """Yield what the calls return, in their order; at most 2 n_threads of them are begun and not yet taken.

    Raises what a call raises, when its turn comes. Then, and where the iterator is closed, no further call is begun,
    and those that have been are waited for.
    """
    with open_threads(n_threads, "call") as threads:
        yield from take_results(begin_ahead(calls, threads.submit, most=2 * n_threads))


def begin_ahead(
    items: Iterable[I],
    begin: Callable[[I], T],
    *,
    most: int,
    count_bytes: Callable[[I], int] = lambda _: 0,
    most_bytes: int = 0,
) -> Iterator[T]:
    """Yield what begin returns for each item, in order, once it stands no further ahead than it may.

    begin        starts what an item takes and returns at once, with a Future for example
    most         so many at most are begun and not yet taken
    count_bytes  what an item takes until then: together at most most_bytes, unless one alone takes more
    """
    begun: deque[T] = deque()
    sizes_bytes: deque[int] = deque()  # beside what was begun, so that nothing that was taken is held here
    ahead_bytes = 0
    for item in items:
        size_bytes = count_bytes(item)
        while begun and (len(begun) >= most or ahead_bytes + size_bytes > most_bytes):
            ahead_bytes -= sizes_bytes.popleft()
            yield begun.popleft()
        begun.append(begin(item))
        sizes_bytes.append(size_bytes)
        ahead_bytes += size_bytes
    while begun:
        yield begun.popleft()


def take_results(futures: Iterable["Future[T]"]) -> Iterator[T]:
    """Yield the results in order, waiting for each and holding none. Raises what a call raised, when its turn comes."""
    return map(Future.result, futures)


@contextmanager
def open_threads(n: int, name: str, *, waits: bool = True) -> Iterator[ThreadPoolExecutor]:
    """Have n threads for the block. At its end what they have not begun is not begun any more.

    waits  what they are at is waited for
    """
    threads = ThreadPoolExecutor(n, thread_name_prefix=name)
    try:
        yield threads
    finally:
        threads.shutdown(wait=waits, cancel_futures=True)


def check_before_each(check: Callable[[], None], items: Iterable[T]) -> Iterator[T]:
    """Yield the items; the check, of a lock for example, is made before each, and what it raises ends them."""
    for item in items:
        check()
        yield item

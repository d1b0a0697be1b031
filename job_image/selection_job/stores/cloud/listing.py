"""Listing a bucket: the pages of one prefix come one after the other, so what has folders is listed folder by folder.

A prefix is asked for as a whole first. Where that takes more than a page, and folders lie below, those are asked for,
and each is listed as a prefix of its own, several at a time. A level with more than a page of entries is not divided:
it may have a folder for each image.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from selection_job.errors import StorageRefused, StorageUnavailable
from selection_job.stores.cloud.provider_client import Page, Row

PARALLEL_LISTINGS = 16
"""Pages that are asked for at a time, and held."""

AskPage = Callable[[str, str | None, bool], Page]
"""(prefix, token, whether by folders) -> a page."""


@dataclass(frozen=True)
class _Rest:
    """What is still to be listed of a prefix: all of it, or from a token on."""

    prefix: str
    token: str | None = None
    last_keys: frozenset[str] = frozenset()
    begun: set[int] = field(default_factory=set)  # hashes of the tokens: a million keys have a thousand

    def follow(self, page: Page) -> "list[_Rest]":
        """Return what is left after the page. Raises StorageUnavailable where that is a page of before."""
        if page.next_token is None:
            return []
        if hash(page.next_token) in self.begun:
            raise StorageUnavailable(f"LIST of {self.prefix!r} goes in a circle: the same page again.")
        self.begun.add(hash(page.next_token))
        keys = frozenset(key for key, _, _ in page.objects)
        return [_Rest(self.prefix, page.next_token, keys, self.begun)]


_Step = tuple[list[Row], list[_Rest]]


def list_rows(ask: AskPage, prefix: str) -> Iterator[list[Row]]:
    """Yield all objects whose key starts with prefix, some at a time, in no order; a page given twice counts once.

    Closing the iterator waits for the pages that are under way. Raises what ask raises.
    """
    rows, rests = _take(ask, _Rest(prefix))
    yield rows  # most who want a few look at no more
    if not rests:
        return
    pool = ThreadPoolExecutor(PARALLEL_LISTINGS, thread_name_prefix="list")
    try:
        yield from _take_all(ask, deque(rests), pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take_all(ask: AskPage, rests: deque[_Rest], pool: ThreadPoolExecutor) -> Iterator[list[Row]]:
    running: set[Future[_Step]] = set()
    while rests or running:
        if len(rests) == 1 and not running:  # alone: a thread would only take turns with whoever looks at the pages
            rows, more = _take(ask, rests.popleft())
            rests.extend(more)
            yield rows
            continue
        while rests and len(running) < PARALLEL_LISTINGS:
            running.add(pool.submit(_take, ask, rests.popleft()))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        steps = [future.result() for future in done]
        for _, more in steps:
            rests.extend(more)
        while rests and len(running) < PARALLEL_LISTINGS:  # before anybody looks at what came
            running.add(pool.submit(_take, ask, rests.popleft()))
        for rows, _ in steps:
            yield rows


def _take(ask: AskPage, rest: _Rest) -> _Step:
    """Return the objects of the next page, and what is left."""
    page = ask(rest.prefix, rest.token, False)
    if rest.token is None and page.next_token is not None:
        divided = _divide(ask, rest.prefix, page)
        if divided is not None:
            return divided
    return [row for row in page.objects if row[0] not in rest.last_keys], rest.follow(page)


def _divide(ask: AskPage, prefix: str, page: Page) -> _Step | None:
    """Return what lies directly below the prefix, and its folders; None where it is better listed in one go.

    page    the first of the prefix, of more than one
    """
    if not any("/" in key[len(prefix) :] for key, _, _ in page.objects):
        return None
    try:
        level = ask(prefix, None, True)
    except StorageRefused:  # a policy may allow the one listing and not the other
        return None
    lies_below = all(folder.startswith(prefix) and len(folder) > len(prefix) for folder in level.folders)
    if level.next_token is not None or not level.folders or not lies_below:
        return None
    return level.objects, [_Rest(folder) for folder in level.folders]

"""Calls in parallel: in order, bounded, and nothing left behind."""

import threading
import weakref
from functools import partial

import pytest

from selection_job.process.parallel_calls import begin_ahead, call_in_parallel, open_threads


@pytest.mark.parametrize("n_threads", [1, 2, 8])
@pytest.mark.parametrize("n", [0, 1, 7, 100])
def test_results_come_in_the_order_of_the_calls(n, n_threads):
    assert list(call_in_parallel((partial(pow, i, 2) for i in range(n)), n_threads)) == [i * i for i in range(n)]


def test_calls_run_at_the_same_time():
    together = threading.Barrier(4, timeout=30)
    assert len(list(call_in_parallel([together.wait] * 4, 4))) == 4


def test_no_more_than_twice_the_threads_are_begun_and_not_taken():
    begun = []
    results = call_in_parallel((partial(begun.append, i) for i in range(1000)), 3)
    for taken in range(1, 20):
        next(results)
        assert len(begun) <= taken + 6
    results.close()


def test_an_error_comes_when_its_turn_does_and_ends_the_rest():
    begun = []

    def call(i):
        begun.append(i)
        if i == 3:
            raise OSError("the fourth")
        return i

    results = call_in_parallel((partial(call, i) for i in range(1000)), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the fourth"):
        next(results)
    assert len(begun) < 12
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("call_")]


def test_closing_ends_the_threads():
    results = call_in_parallel((partial(int, i) for i in range(100)), 4)
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("call_")]


class Begun:
    """What begin_ahead has begun, and what was taken of it."""

    def __init__(self, n, **bounds):
        self.begun = []
        self.items = begin_ahead(range(n), self.begin, **bounds)

    def begin(self, item):
        self.begun.append(item)
        return item

    def look_ahead(self):
        """Take everything, and return for each item how many were begun and not yet taken right before it."""
        return [len(self.begun) - taken for taken, _ in enumerate(self.items)]


@pytest.mark.parametrize("most", [1, 2, 5])
def test_exactly_as_many_are_ahead_as_may_be(most):
    assert Begun(9, most=most).look_ahead() == [min(most, 9 - taken) for taken in range(9)]


def test_nothing_is_begun_before_the_first_is_asked_for():
    assert Begun(9, most=3).begun == []


def test_bytes_bound_what_is_ahead_and_a_giant_stands_alone():
    sizes = [1, 1, 1, 9, 1, 1, 1, 1]
    ahead = Begun(8, most=4, count_bytes=sizes.__getitem__, most_bytes=3).look_ahead()
    assert ahead == [3, 2, 1, 1, 3, 3, 2, 1]


def test_what_was_taken_is_not_held():
    class Large:
        pass

    taken = weakref.ref(next(items := begin_ahead(range(9), lambda _: Large(), most=3)))
    assert taken() is None
    items.close()


def test_results_that_were_taken_are_not_held():
    class Large:
        pass

    results = call_in_parallel([Large] * 9, 1)
    taken = weakref.ref(next(results))
    next(results)  # so the thread that made the first one is through with it
    assert taken() is None
    results.close()


def test_threads_end_with_the_block_and_what_they_have_not_begun_is_not_begun():
    begun, may_end = [], threading.Event()

    def call(number):
        begun.append(number)
        may_end.wait(30)

    with pytest.raises(KeyError), open_threads(1, "block") as threads:
        futures = [threads.submit(call, number) for number in range(3)]
        while not begun:
            futures[0].running()
        threading.Timer(0.01, may_end.set).start()
        raise KeyError
    assert begun == [0]
    assert futures[2].cancelled()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("block")]


def test_threads_that_are_not_waited_for_do_not_hold_up_the_end():
    may_end = threading.Event()
    with open_threads(1, "block", waits=False) as threads:
        future = threads.submit(may_end.wait, 30)
    may_end.set()
    assert future.result()

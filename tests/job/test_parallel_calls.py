"""Calls in parallel: in order, bounded, and nothing left behind."""

import threading
from functools import partial

import pytest

from selection_job.process.parallel_calls import call_in_parallel


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

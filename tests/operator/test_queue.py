"""The work queue, on a clock that the test turns."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from selection_operator.loop.queue import LONGEST_BACKOFF, WorkQueue, backoff


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def take(queue):
    """The key that is due now, or None."""

    async def first():
        getting = asyncio.ensure_future(queue.get())
        for _ in range(3):
            await asyncio.sleep(0)
        if getting.done():
            return getting.result()
        getting.cancel()
        return None

    return asyncio.run(first())


def make():
    clock = Clock()
    return clock, WorkQueue(clock)


def test_a_key_added_twice_is_taken_once():
    _, queue = make()
    queue.add("a")
    queue.add("a")
    assert (take(queue), take(queue)) == ("a", None)


def test_a_key_in_flight_is_not_taken_and_comes_again_after_its_pass():
    _, queue = make()
    queue.add("a")
    assert take(queue) == "a"
    queue.add("a")
    assert take(queue) is None
    queue.done("a")
    assert take(queue) == "a"


def test_keys_in_flight_don_t_hold_up_others():
    _, queue = make()
    queue.add("a")
    take(queue)
    queue.add("a")
    queue.add("b")
    assert take(queue) == "b"


def test_the_earlier_of_two_times_counts():
    clock, queue = make()
    queue.add("a", 10)
    queue.add("a", 5)
    queue.add("a", 20)
    clock.now += 5
    assert take(queue) == "a"
    clock.now += 100
    assert take(queue) is None


def test_again_after_is_kept():
    clock, queue = make()
    queue.add("a")
    take(queue)
    queue.done("a", 3)
    assert take(queue) is None
    clock.now += 3
    assert take(queue) == "a"


def test_failures_back_off_and_success_forgets_them():
    clock, queue = make()
    delays = []
    for _ in range(4):
        queue.add("a")
        clock.now += 1000
        take(queue)
        delays.append(queue.retry("a"))
    assert delays == [0.5, 1, 2, 4]
    clock.now += 1000
    take(queue)
    queue.done("a")
    queue.add("a")
    take(queue)
    assert queue.retry("a") == 0.5


def test_retry_after_is_respected():
    _, queue = make()
    queue.add("a")
    take(queue)
    assert queue.retry("a", at_least=30) == 30


def test_a_change_during_a_failing_pass_shortens_the_backoff_but_never_to_nothing():
    clock, queue = make()
    for _ in range(6):
        queue.add("a")
        clock.now += 1000
        take(queue)
        queue.retry("a")
    clock.now += 1000
    take(queue)
    queue.add("a")
    assert queue.retry("a") == 0.5


def test_a_waiting_getter_wakes_up_for_a_new_key():
    async def scene():
        queue = WorkQueue(asyncio.get_running_loop().time)
        getting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        return await asyncio.wait_for(getting, 5)

    assert asyncio.run(scene()) == "a"


def test_the_longest_wait_is_that_of_a_due_key_or_a_long_pass():
    clock, queue = make()
    assert queue.longest_wait() == 0
    queue.add("a")
    clock.now += 7
    assert (queue.longest_wait(), queue.depth()) == (7, 1)
    take(queue)
    clock.now += 9
    assert (queue.longest_wait(), queue.depth()) == (9, 0)


@given(st.integers(1, 10_000))
def test_backoff_never_shrinks_and_is_bounded(failures):
    assert 0 < backoff(failures) <= backoff(failures + 1) <= LONGEST_BACKOFF


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10)), max_size=30))
def test_every_key_added_is_taken_exactly_once_while_nothing_new_comes(added):
    clock, queue = make()
    for key, after in added:
        queue.add(key, after)
    clock.now += 11
    taken = []
    while (key := take(queue)) is not None:
        taken.append(key)
        queue.done(key)
    assert sorted(taken) == sorted({key for key, _ in added})

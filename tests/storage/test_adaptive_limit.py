"""How many requests are under way at a time: fewer where the storage says that it is too much, and more again."""

import threading

import pytest
import storage_servers
from hypothesis import given
from hypothesis import strategies as st

from selection_api.datasource import Datasource
from selection_job.process.parallel_calls import call_in_parallel
from selection_job.stores.cloud.adaptive_limit import LEAST, MOST, START, AdaptiveLimit, Allowance
from selection_job.stores.cloud.provider_client import VendorError
from selection_job.stores.cloud.retrying import RetryPolicy
from selection_job.stores.opening import open_bucket


def test_a_cut_halves_and_a_round_of_answers_adds_one():
    allowance = Allowance()
    allowance.cut(begun_s=1, now_s=2)
    assert allowance.limit == START / 2
    for _ in range(START // 2):
        allowance.grow(begun_s=3, under_way=100)
    assert allowance.limit == pytest.approx(START / 2 + 1, abs=0.05)


def test_requests_of_before_the_last_cut_tell_nothing_new():
    allowance = Allowance()
    for begun_s in (1.0, 1.5, 2.0):
        allowance.cut(begun_s, now_s=2.0)
        allowance.grow(begun_s, under_way=100)
    assert allowance.limit == START / 2
    allowance.cut(2.5, now_s=3.0)
    assert allowance.limit == START / 4


def test_nothing_is_learnt_from_answers_while_there_was_room():
    allowance = Allowance()
    allowance.grow(begun_s=1, under_way=START - 1)
    assert allowance.limit == START


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50), st.integers(0, 80)), max_size=300))
def test_the_limit_stays_within_its_bounds(events):
    allowance = Allowance()
    for now, (is_cut, age, under_way) in enumerate(events):
        if is_cut:
            allowance.cut(now - age, now)
        else:
            allowance.grow(now - age, under_way)
        assert LEAST <= allowance.limit <= MOST


@pytest.mark.parametrize(
    ("error", "is_too_much"),
    [
        (VendorError(429, "TooManyRequests", ""), True),
        (VendorError(503, "SlowDown", ""), True),
        (VendorError(500, "OperationTimedOut", ""), True),
        (VendorError(400, "RequestTimeout", ""), True),
        (VendorError(None, "ReadTimeoutError", ""), True),
        (VendorError(None, "SSLError", "CERTIFICATE_VERIFY_FAILED"), False),
        (VendorError(500, "InternalError", ""), False),
        (VendorError(404, "NoSuchKey", ""), False),
        (VendorError(403, "AccessDenied", ""), False),
    ],
    ids=lambda value: f"{value.status}-{value.code}" if isinstance(value, VendorError) else "",
)
def test_only_overload_and_silence_slow_a_store_down(error, is_too_much):
    clock = iter(range(100))
    limit = AdaptiveLimit(now=lambda: next(clock))
    with pytest.raises(VendorError), limit.request():
        raise error
    assert (limit.allowance.limit < START) == is_too_much


def test_what_one_request_is_asked_to_wait_all_wait():
    clock, slept = [0.0], []
    limit = AdaptiveLimit(now=lambda: clock[0], sleep=slept.append)
    with pytest.raises(VendorError), limit.request():
        raise VendorError(503, "SlowDown", "", retry_after_s=7)
    clock[0] = 2.0
    with limit.request():
        assert slept == [5.0]
    clock[0] = 7.0
    with limit.request():
        assert slept == [5.0]


@pytest.mark.parametrize("fails", [False, True])
def test_requests_beyond_the_limit_wait_for_a_place(fails):
    limit, under_way, seen, lock = AdaptiveLimit(), [0], [], threading.Lock()
    limit.allowance.limit = LEAST

    def request():
        with limit.request():
            with lock:
                under_way[0] += 1
                seen.append(under_way[0])
            with lock:
                under_way[0] -= 1
            if fails:
                raise VendorError(404, "NoSuchKey", "")

    def ask():
        if fails:
            with pytest.raises(VendorError):
                request()
        else:
            request()

    list(call_in_parallel([ask] * 400, 16))
    assert len(seen) == 400
    assert max(seen) <= int(limit.allowance.limit)


class Crowded:
    """Answers 503 to each GET beyond so many at a time; keeps how many were."""

    def __init__(self, room):
        self.room, self.n, self.most, self.refused = room, 0, 0, 0
        self._lock = threading.Lock()

    def come(self, request):
        if request.method != "GET":
            return None
        with self._lock:
            self.n += 1
            self.most = max(self.most, self.n)
            is_too_much = self.n > self.room
            self.refused += is_too_much
        return (503, {}, b"<Error><Code>SlowDown</Code></Error>") if is_too_much else None

    def leave(self, request):
        with self._lock:
            self.n -= request.method == "GET"


def test_a_store_finds_the_number_that_a_crowded_server_takes(make_place, mount, moto):
    """As many reads as threads want, of a server that serves four at a time: they all come, by fewer requests."""
    place, crowd = make_place("s3-moto"), Crowded(room=4)
    mount("input", place.secret)

    with storage_servers.proxying(moto, crowd.come, after=crowd.leave) as url:
        model = Datasource.model_validate({**place.reference("a-secret"), "endpoint": url})
        store = open_bucket(model, purpose="input", retry_policy=RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05))
        for i in range(8):
            store.write(f"{i}.jpg", b"%d" % i)
        reads = [lambda key=f"{i % 8}.jpg": store.read(key) for i in range(300)]
        found = list(call_in_parallel(reads, store.parallel_reads))
    assert found == [b"%d" % (i % 8) for i in range(300)]
    assert crowd.refused > 0
    assert store._limit.allowance.limit < START / 2

"""The lock of a run: one process at a time, whichever storage it lies in."""

import json
import multiprocessing
import os
import threading
from types import SimpleNamespace

import pytest

from selection_job.errors import StorageUnavailable, TryAgain
from selection_job.process.progress import Progress
from selection_job.publishing.publishing import publish
from selection_job.stores.lease import Lease, hold
from selection_job.stores.local.store import LocalStore

KEY = ".lightly/locks/run.json"


class Clock:
    """Time that passes only by sleeping; what happens meanwhile is given."""

    def __init__(self, meanwhile=lambda: None):
        self.seconds = 0.0
        self._meanwhile = meanwhile

    def sleep(self, seconds):
        self.seconds += seconds
        self._meanwhile()

    def now(self):
        return self.seconds


def make_lock(store, clock=None, **fields):
    clock = clock or Clock()
    return Lease(store, KEY, sleep=clock.sleep, now=clock.now, **fields)


def of_another_machine(store, **changes):
    """Leave a lock as a pod on another node would."""
    value = {"holder": "other", "host": "pod-1", "pid": 1, "boot": "another", "started": "1", "renewed": 0, **changes}
    store.write(KEY, json.dumps(value).encode())


def test_the_lock_is_there_while_it_is_held_and_gone_afterwards(store):
    with hold(make_lock(store)) as lock:
        assert json.loads(store.read(KEY))["holder"] == lock.holder
        lock.check()
    assert not store.exists(KEY)


def test_a_living_holder_keeps_the_lock(store):
    of_another_machine(store)
    renewals = iter(range(1, 100))
    clock = Clock(meanwhile=lambda: of_another_machine(store, renewed=next(renewals)))
    with pytest.raises(TryAgain, match=r"Another process of this run is at work \(pod-1"):
        make_lock(store, clock).acquire()
    assert json.loads(store.read(KEY))["holder"] == "other"


def test_a_silent_holder_loses_the_lock_after_a_lease(store):
    of_another_machine(store)
    clock = Clock()
    lock = make_lock(store, clock, lease_s=60)
    lock.acquire()
    lock.check()
    assert 60 < clock.seconds < 70


def test_a_holder_that_was_silent_for_too_long_finds_out_and_ends(store):
    lock = make_lock(store)
    lock.acquire()
    of_another_machine(store)
    for act in (lock.check, lock.renew):
        with pytest.raises(TryAgain, match="pod-1"):
            act()
    lock.release()
    assert json.loads(store.read(KEY))["holder"] == "other", "what is another's is not given back"


def test_of_many_who_wait_for_a_dead_ones_lock_one_gets_it(bucket):
    of_another_machine(bucket)
    barrier, won = threading.Barrier(6), []

    def compete():
        lock = make_lock(bucket, lease_s=1)
        barrier.wait()
        try:
            lock.acquire()
            won.append(lock)
        except TryAgain:
            pass

    threads = [threading.Thread(target=compete) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    holder = json.loads(bucket.read(KEY))["holder"]
    assert holder in [lock.holder for lock in won]


def _hold_and_die(folder):
    Lease(LocalStore(folder), KEY).acquire()
    os._exit(9)


def test_a_killed_process_of_this_machine_is_not_waited_for(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(tmp_path,))
    process.start()
    process.join()
    clock = Clock()
    make_lock(LocalStore(tmp_path), clock).acquire()
    assert clock.seconds == 0


def test_a_lock_that_can_only_be_emptied_is_taken_again(bucket):
    bucket.can_delete = False
    for _ in range(2):
        with hold(make_lock(bucket)) as lock:
            lock.check()
        assert bucket.read(KEY) == b""


def test_a_passing_fault_while_renewing_does_not_lose_the_lock(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    renewed, write = threading.Event(), store.write
    faults = iter([StorageUnavailable("not now")])

    def fail_once(key, content):
        for fault in faults:
            raise fault
        write(key, content)
        renewed.set()

    monkeypatch.setattr(store, "write", fail_once)
    with hold(Lease(store, KEY, lease_s=0.2)) as lock:
        assert renewed.wait(30)
        lock.check()


class Recording:
    """Passes each call on to a store and notes it; act(n) is called before the n-th upload."""

    def __init__(self, store, act):
        self.url, self.calls, self._store, self._act = store.url, [], store, act

    def __getattr__(self, name):
        def call(key, *arguments):
            self.calls.append((name, key))
            if name == "upload":
                self._act(len(self.uploads))
            return getattr(self._store, name)(key, *arguments)

        return call

    @property
    def uploads(self):
        return [key for name, key in self.calls if name == "upload"]


@pytest.fixture
def publishing(store, tmp_path):
    """A function act -> (target, how to publish five files there); act(n, lock, clock) comes before each upload."""
    folder = tmp_path / "results"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.csv").write_bytes(b"result")

    def prepare(act):
        clock = Clock()
        target = Recording(store, lambda n: act(n, lock, clock))
        lock = make_lock(target, clock)
        lock.acquire()
        place = SimpleNamespace(target=target, run_key="run/", lease=lock, progress=Progress(quiet=True))
        return target, lambda: publish(folder, place, b"{}")

    return prepare


def lose_while_renewing(store, lock):
    """What the thread that renews finds when another has taken over."""
    of_another_machine(store)
    with pytest.raises(TryAgain):
        lock.renew()


def stop_for_a_lease(store, clock):
    """The whole process is stopped, another takes over, and it goes on: nobody has renewed."""
    of_another_machine(store)
    clock.seconds += 61


@pytest.mark.parametrize("stopped", [False, True])
def test_who_loses_the_lock_while_publishing_uploads_no_further_file(store, publishing, stopped):
    def lose(n, lock, clock):
        if n == 2:
            stop_for_a_lease(store, clock) if stopped else lose_while_renewing(store, lock)

    target, act = publishing(lose)
    with pytest.raises(TryAgain, match="pod-1"):
        act()
    assert target.uploads == ["run/0.csv", "run/1.csv"]
    assert not store.exists("run/report.json")


def test_a_lock_lost_unnoticed_keeps_report_json_from_being_written(store, publishing):
    target, act = publishing(lambda n, lock, clock: of_another_machine(store) if n == 5 else None)
    with pytest.raises(TryAgain, match="pod-1"):
        act()
    assert len(target.uploads) == 5
    assert not store.exists("run/report.json")


def test_looking_at_the_lock_costs_one_request_in_all(store, publishing):
    target, act = publishing(lambda n, lock, clock: None)
    act()
    expected = ["create", *["upload"] * 5, "read", "write"]
    assert [name for name, _ in target.calls] == expected
    assert store.read("run/report.json") == b"{}"

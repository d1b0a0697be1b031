"""What is waited for is told: in the log after ten seconds, in /progress, never with a secret."""

import json
import logging
import threading
import urllib.request

import pytest
from testbed.processes import free_port

from selection_job import running
from selection_job.encoder.zoo import Zoo, ZooUnavailable
from selection_job.errors import StorageRefused, StorageUnavailable
from selection_job.process import progress_server, waiting
from selection_job.process.progress import Progress
from selection_job.process.progress_server import describe_progress
from selection_job.process.termination_message import TerminationMessage
from selection_job.process.waiting import Waits, tell_waits
from selection_job.stores.cloud.bucket import BucketStore, Connection
from selection_job.stores.cloud.provider_client import Page, VendorError
from selection_job.stores.cloud.retrying import RetryPolicy

SECRET_URL = "https://b.example.org/?sig=SECRET"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def waits(clock, monkeypatch):
    """The waits of this process, by a clock that is set."""
    waits = Waits(clock)
    for module in ("selection_job.stores.cloud.bucket", "selection_job.encoder.zoo"):
        monkeypatch.setattr(f"{module}.WAITS", waits)
    monkeypatch.setattr(progress_server, "WAITS", waits)
    return waits


def test_a_wait_is_told_after_ten_seconds_and_then_each_minute(waits, clock, caplog):
    told_at = []
    with waits.on("s3://b/ to answer LIST") as wait:
        for _ in range(150):
            clock.now += 1
            caplog.clear()
            waits.tell()
            if caplog.messages:
                told_at.append(clock.now - 100)
            if clock.now == 120:
                wait.note("ConnectTimeoutError")
    assert told_at == [10, 70, 130]
    assert caplog.messages == [] and waits.longest() is None


def test_the_log_names_address_verb_and_the_last_fault(waits, clock, caplog):
    with waits.on("s3://b/ to answer LIST") as wait:
        wait.note("ConnectTimeoutError")
        clock.now += 12
        waits.tell()
    assert caplog.messages == ["Waiting for s3://b/ to answer LIST (so far ConnectTimeoutError), for 12 s now."]


def test_of_several_waits_the_longest_is_told_and_short_ones_never_are(waits, clock):
    with waits.on("first"):
        clock.now += 4
        with waits.on("second"):
            assert waits.longest() is None
            clock.now += 3
            assert str(waits.longest()) == "first"
        clock.now += 100
        assert str(waits.longest()) == "first"
    assert waits.longest() is None


def test_waits_of_many_threads_are_counted_and_gone_when_they_end(waits, clock):
    gate = threading.Barrier(9)

    def wait():
        with waits.on("x"):
            gate.wait()
            gate.wait()

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.wait()
    clock.now += 60
    assert str(waits.longest()) == "x"
    gate.wait()
    for thread in threads:
        thread.join()
    assert waits.longest() is None


def test_the_thread_that_tells_ends_with_its_block(waits, clock, caplog, monkeypatch):
    monkeypatch.setattr(waiting, "_LOOK_EVERY_S", 0.001)
    told = threading.Event()
    logged = logging.Handler()
    logged.emit = lambda record: told.set()
    logging.getLogger("selection_job").addHandler(logged)
    try:
        with waits.on("x"), tell_waits(waits):
            clock.now += 11
            assert told.wait(30)
    finally:
        logging.getLogger("selection_job").removeHandler(logged)
    assert "waiting" not in [thread.name for thread in threading.enumerate()]


def test_a_bucket_that_does_not_answer_is_waited_for_without_its_signed_address(waits, clock):
    seen = []

    class Silent:
        credentials = "keys of the Secret"

        def list_page(self, prefix, token, by_folder=False):
            clock.now += 6
            seen.append(describe_progress(Progress(quiet=True)).get("waiting"))
            if len(seen) < 3:
                raise VendorError(None, "ConnectTimeoutError", f"timed out: {SECRET_URL}")
            return Page([], None)

    policy = RetryPolicy(sleep=lambda _: None)
    store = BucketStore(lambda: Connection(None, Silent()), url="s3://b/in/", prefix="in/", retry_policy=policy)
    assert list(store.list()) == []
    wait = "s3://b/in/ to answer LIST"
    assert seen == [wait, *[f"{wait} (so far ConnectTimeoutError)"] * 2]
    assert "waiting" not in describe_progress(Progress(quiet=True))


def test_a_bucket_that_never_answers_leaves_no_wait_behind(waits, clock):
    class Silent:
        credentials = "keys of the Secret"

        def list_page(self, *_):
            raise VendorError(None, "ConnectTimeoutError", "timed out")

    policy = RetryPolicy(attempts=2, sleep=lambda _: None)
    store = BucketStore(lambda: Connection(None, Silent()), url="s3://b/", prefix="", retry_policy=policy)
    with pytest.raises(StorageUnavailable):
        list(store.list())
    clock.now += 60
    assert waits.longest() is None


def test_a_download_that_does_not_answer_is_waited_for(waits, clock, monkeypatch, tmp_path):
    seen = []

    def hang(*_, **__):
        clock.now += 20
        seen.append(str(waits.longest()))
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib.request.urlopen", hang)
    zoo = Zoo(folder=tmp_path, retry_policy=RetryPolicy(attempts=2, sleep=lambda _: None))
    with pytest.raises(ZooUnavailable):
        zoo.fetch_url("https://example.org/x-00000000.pth")
    what = "the download of https://example.org/x-00000000.pth"
    assert seen == [what, f"{what} (so far TimeoutError)"]


def test_progress_is_served_while_a_datasource_is_being_opened(waits, clock, monkeypatch, tmp_path):
    port, said = free_port(), []
    monkeypatch.setenv("SELECTION_PROGRESS_ADDRESS", f"127.0.0.1:{port}")

    def open_slowly(*_):
        with waits.on("s3://b/ to answer LIST"):
            clock.now += 10
            for path in ("progress", "metrics"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
                    said.append(answer.read())
        raise StorageRefused("no")

    monkeypatch.setattr(running, "set_up", open_slowly)
    run = type("Run", (), {})()
    run.spec = type("Spec", (), {"worker_config": type("Worker", (), {"num_processes": 1})})
    progress = Progress(quiet=True)
    with pytest.raises(StorageRefused):
        running.run_manifest(run, progress, TerminationMessage(tmp_path / "none", progress))
    assert json.loads(said[0])["waiting"] == "s3://b/ to answer LIST"
    assert b"selection_job_read_bytes_total 0" in said[1]

"""The progress server: what it says, to whom it speaks, and that it never harms the run."""

import http.client
import json
import socket
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families
from testbed.waiting import wait_until

from selection_api import Stage
from selection_job.process.progress import Progress
from selection_job.process.progress_server import describe_progress, serve_progress


@pytest.fixture
def progress():
    return Progress(quiet=True)


@pytest.fixture
def serve(progress):
    """A context manager (address) -> port."""

    @contextmanager
    def start(address="127.0.0.1:0", *, bytes_read=lambda: 0, versions=None):
        with serve_progress(address, progress, bytes_read=bytes_read, versions=versions or {}) as port:
            yield port

    return start


def ask(port, path, method="GET", host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def read_progress(port):
    status, headers, body = ask(port, "/progress")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    return json.loads(body)


def read_metrics(port):
    """All samples as {(name, *label values): value}."""
    status, headers, body = ask(port, "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(body.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_progress_tells_stage_units_and_the_counts_that_are_known(progress, serve):
    with serve() as port:
        assert read_progress(port) == {"stage": "INITIALIZING", "done": 0, "total": 0, "counts": {}}
        progress.count(input=5000)
        with progress.stage(Stage.EMBEDDING), progress.bar("Reading", 5000) as bar:
            bar.advance(1200)
            said = {"stage": "EMBEDDING", "done": 1200, "total": 5000, "counts": {"input": 5000}}
            assert read_progress(port) == said
        progress.count(corrupt=3, duplicate=41)
        with progress.stage(Stage.SAMPLING):
            counts = {"input": 5000, "corrupt": 3, "duplicate": 41}
            assert read_progress(port) == {"stage": "SAMPLING", "done": 0, "total": 0, "counts": counts}


def test_metrics_tell_stage_units_bytes_throughput_seconds_images_and_versions(progress, serve):
    now = 100.0
    progress.clock = lambda: now
    progress.count(input=50, corrupt=3)
    with serve(bytes_read=lambda: 4_000_000_000, versions={"torch": "2.9", "selection-operator": "0.1"}) as port:
        with progress.stage(Stage.CHECKING_CORRUPTNESS), progress.bar("Checking", 50) as bar:
            bar.advance(50)
            now += 4
        with progress.stage(Stage.EMBEDDING), progress.bar("Reading", 50) as bar:
            bar.advance(20)
            now += 8
            said = read_metrics(port)
    expected = {
        ("selection_job_stage", "EMBEDDING"): 1,
        ("selection_job_stage", "CHECKING_CORRUPTNESS"): 0,
        ("selection_job_stage_units_done", "EMBEDDING"): 20,
        ("selection_job_stage_units", "EMBEDDING"): 50,
        ("selection_job_read_bytes_total",): 4_000_000_000,
        ("selection_job_units_total", "CHECKING_CORRUPTNESS"): 50,
        ("selection_job_units_total", "EMBEDDING"): 20,
        ("selection_job_stage_seconds_total", "CHECKING_CORRUPTNESS"): 4,
        ("selection_job_stage_seconds_total", "EMBEDDING"): 8,
        ("selection_job_images", "input"): 50,
        ("selection_job_images", "corrupt"): 3,
        ("selection_job_build_info", "0.1", "2.9"): 1,
    }
    assert {key: said.get(key) for key in expected} == expected
    assert ("selection_job_images", "selected") not in said
    assert said["process_resident_memory_bytes",] > 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/progress/"), ("HEAD", "/x"), ("GET", "/..")])
def test_other_paths_are_404(serve, method, path):
    with serve() as port:
        assert ask(port, path, method)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(serve, method):
    with serve() as port:
        assert ask(port, "/progress", method)[0] == 501


def test_head_gives_the_headers_of_get_and_a_query_is_left_aside(serve):
    with serve() as port:
        status, headers, body = ask(port, "/progress?now=1", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) == len(ask(port, "/progress")[2])


def test_without_an_address_nothing_is_served(serve):
    before = threading.active_count()
    with serve("") as port:
        assert port is None
        assert threading.active_count() == before


@pytest.mark.parametrize(
    "address", ["9090", "x", "127.0.0.1:", "127.0.0.1:99999", "::1:9090", "[::1]", "a b:1", "no.such.host.invalid:1"]
)
def test_a_wrong_address_is_a_warning_and_the_run_goes_on(serve, caplog, address):
    with serve(address) as port:
        assert port is None
    assert address in caplog.text and "The run goes on" in caplog.text


def test_a_taken_port_is_a_warning_and_the_run_goes_on(serve, caplog):
    with serve() as taken, serve(f"127.0.0.1:{taken}") as port:
        assert port is None
    assert "in use" in caplog.text


def test_without_a_host_it_listens_on_all_addresses(serve):
    with serve(":0") as port:
        assert ask(port, "/progress")[0] == 200
        if socket.has_dualstack_ipv6():
            assert ask(port, "/progress", host="::1")[0] == 200


def test_a_run_that_fails_passes_its_error_and_the_port_is_free_again(serve):
    with pytest.raises(ZeroDivisionError), serve() as port:
        _ = 1 / 0
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/progress")


def test_a_fault_while_answering_hurts_only_that_answer(serve, progress):
    with serve(bytes_read=lambda: 1 / 0) as port:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(port, "/metrics")
        assert read_progress(port)["stage"] == "INITIALIZING"


def is_answered(port):
    try:
        return ask(port, "/progress")[0] == 200
    except (http.client.HTTPException, ConnectionError):
        return False


def test_clients_that_hold_every_place_are_hung_up_on_and_others_are_answered_again(serve):
    with serve() as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
        for connection in held:
            connection.settimeout(20)
        wait_until(lambda: is_answered(port))
        assert threading.active_count() < 20
        assert [connection.recv(10) for connection in held] == [b""] * 30
        for connection in held:
            connection.close()


def test_a_client_that_sends_a_byte_at_a_time_is_hung_up_on(serve, monkeypatch):
    monkeypatch.setattr("selection_job.process.progress_server._LONGEST_REQUEST_SECONDS", 0.2)
    with serve() as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.05)
        deadline = time.monotonic() + 20
        with pytest.raises(ConnectionError):
            while time.monotonic() < deadline:
                connection.sendall(b"G")
                try:
                    assert connection.recv(10) == b""
                except TimeoutError:
                    continue


def test_it_answers_fast_while_torch_computes(serve):
    import torch

    stop = threading.Event()

    def compute():
        matrix = torch.rand(700, 700)
        while not stop.is_set():
            matrix = (matrix @ matrix).clamp(0, 1)

    worker = threading.Thread(target=compute)
    with serve() as port:
        worker.start()
        try:
            started = time.monotonic()
            for _ in range(20):
                read_progress(port)
            taken = time.monotonic() - started
        finally:
            stop.set()
            worker.join()
    assert taken < 10


@pytest.fixture
def threads_that_switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_reader_never_sees_more_done_than_total_nor_the_bar_of_another_stage(progress, threads_that_switch_often):
    """Each stage has a total of its own, so a mix of two positions would show."""
    totals = {Stage.CHECKING_CORRUPTNESS: 3, Stage.EMBEDDING: 5, Stage.SAMPLING: 0}
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.append(describe_progress(progress))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        deadline = time.monotonic() + 60
        while len({(said["stage"], said["total"]) for said in seen[-2000:]}) < 5 and time.monotonic() < deadline:
            for stage, total in totals.items():
                go_through(progress, stage, total)
    finally:
        over.set()
        reader.join()
    assert {said["stage"] for said in seen} >= set(totals)
    for said in seen:
        assert said["total"] in (0, totals.get(said["stage"], 0))
        assert 0 <= said["done"] <= said["total"]


def go_through(progress, stage, total):
    with progress.stage(stage):
        if total:
            with progress.bar("Step", total) as bar:
                for _ in range(total + 1):
                    bar.advance()

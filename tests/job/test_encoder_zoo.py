"""The model zoo, from a server on this machine: fetched once, checked, and told apart from one that is not there."""

import socket
import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch

from selection_job.encoder.architecture import build_model
from selection_job.encoder.loading import load_encoder
from selection_job.encoder.zoo import Zoo, ZooUnavailable, zoo_key
from selection_job.errors import StorageUnavailable, UnusableData
from selection_job.stores.cloud.http_client import fetch, make_pool
from selection_job.stores.cloud.provider_client import VendorError
from selection_job.stores.cloud.retrying import RetryPolicy

KEY = "resnet-9/simclr/d8/w0.125"


AT_ONCE = RetryPolicy(attempts=3, sleep=lambda _: None)


class Server:
    """Serves what is in `files`, counts the requests, and can refuse with a status or cut off the answer."""

    def __init__(self):
        self.files = {}
        self.refusals = []
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                content = outer.files.get(self.path)
                fault = outer.refusals.pop(0) if outer.refusals else None
                self.send_response(fault if isinstance(fault, int) else 200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write((content or b"")[: 10 if fault == "cut off" else None])

            def log_message(self, *args):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def weights(tiny_config):
    return build_model(tiny_config().model, seed=9).state_dict()


@pytest.fixture
def zoo(server, weights, tmp_path):
    path = tmp_path / "original.pth"
    torch.save({"state_dict": {f"model.{key}": value for key, value in weights.items()}}, path)
    content = path.read_bytes()
    name = f"/tiny-simclr-{sha256(content).hexdigest()[:8]}.pth"
    server.files[name] = content
    return Zoo(urls={KEY: server.url + name}, folder=tmp_path / "cache", retry_policy=AT_ONCE)


def test_keys_are_lightlys(tiny_config):
    assert zoo_key(tiny_config(model={"name": "resnet-18", "width": 1, "num_ftrs": 32}).model) in Zoo().urls


def test_the_zoos_weights_become_the_encoder(zoo, weights, tiny_config):
    encoder = load_encoder(tiny_config(), checkpoint=None, zoo=zoo)
    assert encoder.source == f"zoo {KEY}"
    assert torch.equal(encoder.model.backbone[7].weight, weights["backbone.7.weight"])


def test_a_second_run_takes_the_cached_file(zoo, server, tiny_config):
    for _ in range(2):
        load_encoder(tiny_config(), checkpoint=None, zoo=zoo)
    assert server.requests == 1


def test_a_damaged_cached_file_is_fetched_again(zoo, server, tiny_config):
    zoo.fetch(tiny_config().model).write_bytes(b"damaged")
    load_encoder(tiny_config(), checkpoint=None, zoo=zoo)
    assert server.requests == 2


def test_content_that_is_not_what_the_name_promises_is_not_kept(zoo, server, tiny_config):
    (name,) = server.files
    server.files[name] = b"something else"
    with pytest.raises(ZooUnavailable, match="14 bytes whose SHA-256"):
        zoo.fetch(tiny_config().model)
    assert not zoo.folder.exists()


@pytest.mark.parametrize(
    ("url", "words", "error"),
    [
        ("http://127.0.0.1:1/tiny-simclr-00000000.pth", "can't be reached", StorageUnavailable),
        ("file:///etc/tiny-simclr-00000000.pth", "neither https nor http", UnusableData),
    ],
    ids=["dead port", "file"],
)
def test_an_unreachable_zoo_names_the_ways_that_remain(tmp_path, tiny_config, url, words, error):
    zoo = Zoo(urls={KEY: url}, folder=tmp_path, retry_policy=AT_ONCE)
    with pytest.raises(error) as caught:
        load_encoder(tiny_config(), checkpoint=None, zoo=zoo)
    for way in (
        words,
        "workerConfig.encoder: BUILT_IN",
        "workerConfig.checkpoint",
        ".lightly/runs/<run>/lightly_epoch_<N>.ckpt",
        "enable_training: true",
    ):
        assert way in str(caught.value)


def test_a_file_that_is_gone_from_the_server_is_unavailable(zoo, server, tiny_config):
    server.files.clear()
    with pytest.raises(ZooUnavailable, match="Not Found"):
        zoo.fetch(tiny_config().model)


def test_a_network_that_the_zoo_lacks_is_unavailable_and_the_zoo_is_listed(zoo, tiny_config):
    with pytest.raises(ZooUnavailable, match=f"nothing for resnet-50.*{KEY}"):
        zoo.fetch(tiny_config(model={"name": "resnet-50"}).model)


def test_a_download_that_never_ends_is_given_up(zoo, tiny_config):
    seconds = iter(range(0, 1000, 200))
    slow = Zoo(urls=zoo.urls, folder=zoo.folder, clock=lambda: float(next(seconds)), total_seconds=100)
    with pytest.raises(ZooUnavailable, match="longer than 100 s"):
        slow.fetch(tiny_config().model)


def test_a_download_that_is_too_large_is_given_up(zoo, tiny_config):
    with pytest.raises(ZooUnavailable, match="more than 1000 bytes"):
        Zoo(urls=zoo.urls, folder=zoo.folder, max_bytes=1000).fetch(tiny_config().model)


def test_a_server_that_says_nothing_is_given_up(tmp_path, tiny_config):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/tiny-simclr-00000000.pth"
        started = time.monotonic()
        with pytest.raises(ZooUnavailable, match="timed out"):
            Zoo(urls={KEY: url}, folder=tmp_path, connect_seconds=0.1, retry_policy=AT_ONCE).fetch(tiny_config().model)
    assert time.monotonic() - started < 5


def test_a_cache_that_cant_be_written_is_a_passing_fault(zoo, tmp_path, tiny_config):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StorageUnavailable, match="cache"):
        zoo.fetch(tiny_config().model)


def test_training_starts_from_the_zoo(zoo, weights, train, tiny_config):
    encoder = train(tiny_config(pre_trained=True, trainer={"max_epochs": 0}), zoo=zoo)
    assert torch.equal(encoder.model.backbone[7].weight, weights["backbone.7.weight"])
    assert encoder.notes == ()


def test_training_without_a_reachable_zoo_warns_and_starts_from_scratch(tmp_path, train, tiny_config, caplog):
    zoo = Zoo(urls={KEY: "http://127.0.0.1:1/tiny-simclr-00000000.pth"}, folder=tmp_path, retry_policy=AT_ONCE)
    config = tiny_config(pre_trained=True, trainer={"max_epochs": 0})
    encoder = train(config, zoo=zoo)
    scratch = build_model(config.model, seed=config.seed)
    assert torch.equal(encoder.model.backbone[7].weight, scratch.backbone[7].weight)
    assert "started from scratch" in encoder.notes[0] and encoder.notes[0] in caplog.text


@pytest.mark.parametrize("fault", [500, 503, 429, 408, "cut off"])
def test_a_passing_fault_of_a_download_is_tried_again(zoo, server, weights, tiny_config, fault):
    server.refusals += [fault, fault]
    encoder = load_encoder(tiny_config(), checkpoint=None, zoo=zoo)
    assert server.requests == 3
    assert torch.equal(encoder.model.backbone[7].weight, weights["backbone.7.weight"])


def test_a_passing_error_of_the_name_service_is_tried_again(zoo, tiny_config, monkeypatch):
    look_up, faults = socket.getaddrinfo, [socket.EAI_AGAIN, socket.EAI_NONAME]

    def fail_first(*arguments, **options):
        if faults:
            raise socket.gaierror(faults.pop(), "Temporary failure in name resolution")
        return look_up(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fail_first)
    assert load_encoder(tiny_config(), checkpoint=None, zoo=zoo).source == f"zoo {KEY}"
    assert faults == []


@pytest.mark.parametrize("status", [401, 403, 404, 410, 501])
def test_a_refusal_is_final_at_once(zoo, server, tiny_config, status):
    server.refusals += [status]
    with pytest.raises(UnusableData, match="There is no encoder"):
        load_encoder(tiny_config(), checkpoint=None, zoo=zoo)
    assert server.requests == 1


SILENT = "silent"
DNS_FAULTS = [socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL]
FAULTS = ["dead port", SILENT, *(f"dns {code}" for code in DNS_FAULTS), *(400, 403, 404, 408, 425, 429, 500, 501, 503)]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_download_and_a_bucket_judge_a_fault_alike(zoo, server, fault, monkeypatch, tiny_config):
    url = {"dead port": "http://127.0.0.1:1"}.get(fault, server.url) + "/x-00000000.pth"
    if isinstance(fault, str) and fault.startswith("dns"):

        def fail(*_, **__):
            raise socket.gaierror(int(fault.split()[1]), "in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        if fault == SILENT:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/x-00000000.pth"
        server.refusals += [fault] * 9 if isinstance(fault, int) else []
        with pytest.raises(ZooUnavailable) as of_download:
            one = Zoo(folder=zoo.folder, connect_seconds=0.1, retry_policy=AT_ONCE)
            one.fetch_url(url)
        try:
            pool = make_pool(None)
            pool.connection_pool_kw["timeout"] = 0.1
            status, body, _ = fetch(pool, url)
            of_bucket = VendorError(status, f"HTTP {status}", body.decode())
        except VendorError as error:
            of_bucket = error
        pool.clear()
    assert of_download.value.is_passing == of_bucket.is_passing
    assert of_bucket.is_passing == (fault not in (400, 403, 404, 501))

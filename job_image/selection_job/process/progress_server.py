"""Progress server: while a run goes on, /progress as JSON and /metrics for Prometheus, to whoever asks.

It only looks: a fault of it never ends a run, and nothing that is sent to it has an effect. What it holds is bounded:
a few requests at a time, each for a few seconds at most.
"""

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from selection_job.process.metrics import make_registry
from selection_job.process.progress import Progress
from selection_job.process.waiting import WAITS

log = logging.getLogger("selection_job")

ADDRESS_VARIABLE = "SELECTION_PROGRESS_ADDRESS"

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<host>[^\s\[\]:]*)):(?P<port>[0-9]{1,5})")
_MOST_REQUESTS = 8
_SILENCE_SECONDS = 2.0
_LONGEST_REQUEST_SECONDS = 5.0

Answers = Mapping[str, tuple[str, Callable[[], bytes]]]
"""By path: the content type, and what makes the body."""


@contextmanager
def serve_progress(
    address: str, progress: Progress, *, bytes_read: Callable[[], int], versions: Mapping[str, str]
) -> Iterator[int | None]:
    """Serve during the block, in threads of its own; yields the port, None where nothing is served.

    address       host:port; without a host, as in ':9090', every address of the machine, IPv4 and IPv6. '' serves
                  nothing
    bytes_read    gives how many bytes of the input were read so far
    A wrong or taken address is a warning in the log, and the block runs without.
    """
    server = _start(address, progress, bytes_read, versions) if address else None
    try:
        yield server.server_port if server else None
    finally:
        if server:
            server.shutdown()
            server.server_close()


def describe_progress(progress: Progress) -> dict[str, Any]:
    """Return what /progress says: stage, done of total units, the counts that are known so far, what is waited for."""
    position, counts = progress.position, progress.counts
    known = counts.model_dump(by_alias=True, exclude_unset=True) if counts else {}
    said = {"stage": str(position.stage), "done": position.done, "total": position.total, "counts": known}
    wait = WAITS.longest()
    return said | {"waiting": str(wait)} if wait else said


def _start(
    address: str, progress: Progress, bytes_read: Callable[[], int], versions: Mapping[str, str]
) -> "_Server | None":
    try:
        registry = make_registry(progress, bytes_read=bytes_read, versions=versions)
        answers: Answers = {
            "/progress": ("application/json", lambda: json.dumps(describe_progress(progress)).encode()),
            "/metrics": (CONTENT_TYPE_LATEST, lambda: generate_latest(registry)),
        }
        server = _Server(_listen(address), answers)
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True, name="progress-server").start()
    except Exception as error:  # whatever it is: the run is worth more than who watches it
        log.warning("%s is %r, and nothing is served there: %s. The run goes on.", ADDRESS_VARIABLE, address, error)
        return None
    return server


def _listen(address: str) -> socket.socket:
    """Return a listening socket. Raises ValueError for what is no address, OSError where it can't be had."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("expected host:port, for example 0.0.0.0:9090 or :9090")
    port = int(match["port"])
    if match["ipv6"]:
        return socket.create_server((match["ipv6"], port), family=socket.AF_INET6)
    if match["host"]:
        return socket.create_server((match["host"], port))
    with suppress(OSError, ValueError):  # a machine without IPv6
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


class _Server(ThreadingHTTPServer):
    """Answers a few requests at a time; one more is hung up on, and so is one that takes long."""

    block_on_close = False

    def __init__(self, listening: socket.socket, answers: Answers) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.server_port = listening, listening.getsockname()[1]  # without asking DNS for our name
        self.answers = answers
        self._requests: dict[Any, float] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._requests) >= _MOST_REQUESTS:
            self.shutdown_request(request)
            return
        self._requests[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._requests.pop(request, None)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._requests.pop(request, None)

    def service_actions(self) -> None:
        """End requests that a client stretches, a byte at a time. Called ten times a second."""
        oldest = time.monotonic() - _LONGEST_REQUEST_SECONDS
        for request, begun in list(self._requests.items()):
            if begun < oldest:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say it where someone looks for it: a client that hung up is no news."""
        log.debug("A request to the progress server failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of the known paths. HTTP/1.0: a connection is one request, and a body is never read."""

    timeout = _SILENCE_SECONDS
    server_version = "selection-job"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        """Answer with headers and body."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer with the headers."""
        self._answer()

    def _answer(self) -> None:
        content_type, make_body = self.server.answers.get(self.path.partition("?")[0], ("", None))
        if make_body is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="There are /progress and /metrics.")
            return
        body = make_body()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Leave the run's log to the run: Prometheus asks every few seconds."""

"""A proxy between the operator and the API server that records writes and, when told, lets them go wrong."""

import asyncio
import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
PATH = re.compile(
    r"^/api(?:s/[^/]+)?/[^/]+/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?$"
)
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te"}
REASONS = {403: "Forbidden", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError"}
REASONS |= {503: "ServiceUnavailable", 504: "Timeout"}


@dataclass
class Write:
    """One write that the operator sent."""

    verb: str
    namespace: str
    plural: str
    name: str
    subresource: str
    time: float
    run: str = ""
    """The run that it is about."""
    status: int = 0
    """The API server's answer; 0 when the write never reached it."""
    body: object = None
    answer: bytes = b""

    @property
    def what(self):
        """The write in words, such as `PUT selectionruns/status`."""
        return f"{self.verb} {self.plural}" + (f"/{self.subresource}" if self.subresource else "")


@dataclass
class Fault:
    """What happens to the nth write (from 1) about a run, Events not counted, and to `times` writes from there on."""

    nth: int
    how: str
    """before: the connection breaks, nothing is written. after: it breaks once the write is done.
    A number: the API server's answer, without the write. late: the write is done, the answer takes `seconds`."""
    times: int = 1
    seconds: float = 0.0
    on_write: Callable[[], None] = lambda: None
    """Called at that moment: kill the operator here."""
    retry_after: int | None = None
    only: str = ""
    """Writes of this kind, such as `POST jobs`, are counted and hit; '' for all."""


@dataclass
class Rules:
    """What the proxy does at present; changed by the test while it runs."""

    faults: dict[str, Fault] = field(default_factory=dict)
    """By the run's name."""
    deaf: bool = False
    """Watches stay open and bring nothing."""
    down: bool = False
    """Every connection breaks."""
    garbled: bool = False
    """Readings (no watches) are answered with 200 and something that is no JSON, as a captive portal does."""
    delay: float = 0.0
    """Seconds by which watch events are late."""


class FaultProxy:
    """An HTTP server in a thread of its own; `server` is the address for a kubeconfig."""

    def __init__(self, plane):
        self._upstream, self._ca_file = plane.server, str(plane.ca_file)
        self.rules = Rules()
        self.writes: list[Write] = []
        self.requests: list[tuple[float, str, str]] = []
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._loop = self._stopping = self._session = None
        self.server = ""

    def start(self):
        """Start serving; returns itself."""
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the proxy did not start within 30 s")
        return self

    def stop(self):
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(30)

    def writes_about(self, run):
        """Return the writes about a run (by its name), without Events."""
        with self._lock:
            return [one for one in self.writes if one.run == run and one.plural != "events"]

    def _run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._ca_file), limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            self._session = session
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stopping.wait()
            await runner.cleanup()
            await connector.close(abort_ssl=True)
        for _ in range(10):  # transports close in later turns of the loop
            await asyncio.sleep(0.01)

    async def _handle(self, request):
        session = self._session
        with self._lock:
            self.requests.append((time.monotonic(), request.method, request.path_qs))
        if self.rules.down:
            return _cut(request)
        if self.rules.garbled and request.method == "GET" and "watch" not in request.query:
            return web.Response(text="<html>Please log in.</html>", content_type="text/html")
        if request.method in WRITES:
            return await self._write(session, request)
        async with session.get(self._upstream + request.raw_path, headers=_passed(request.headers)) as answer:
            if "watch" in request.query:
                return await self._stream(request, answer)
            return web.Response(body=await answer.read(), status=answer.status, headers=_passed(answer.headers))

    async def _stream(self, request, answer):
        response = web.StreamResponse(status=answer.status, headers=_passed(answer.headers))
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            if self.rules.down:
                return _cut(request)
            if self.rules.delay:
                await asyncio.sleep(self.rules.delay)
            if not self.rules.deaf:
                await response.write(chunk)
        return response

    async def _write(self, session, request):
        body = await request.read()
        write, fault = self._record(request, body)
        if fault and fault.how not in ("after", "late"):
            fault.on_write()
            return _refuse(request, write, fault)
        async with session.request(
            request.method, self._upstream + request.raw_path, headers=_passed(request.headers), data=body
        ) as answer:
            write.answer = await answer.read()
            write.status = answer.status
            headers = _passed(answer.headers)
        if fault and fault.how == "after":
            fault.on_write()
            return _cut(request)
        if fault:
            await asyncio.sleep(fault.seconds)
        return web.Response(body=write.answer, status=write.status, headers=headers)

    def _record(self, request, body):
        match = PATH.match(request.path)
        found = match.groupdict() if match else {"namespace": "", "plural": request.path, "name": "", "sub": ""}
        decoded = json.loads(body) if body[:1] in (b"{", b"[") else None
        namespace, plural, name, sub = (found[key] or "" for key in ("namespace", "plural", "name", "sub"))
        write = Write(request.method, namespace, plural, name, sub, time.monotonic(), body=decoded)
        write.run = _run_of(write)
        with self._lock:
            self.writes.append(write)
            fault = self.rules.faults.get(write.run)
            if not fault or plural == "events":
                return write, None
            if fault.only not in ("", write.what):
                return write, None
            alike = [one for one in self.writes if one.run == write.run and fault.only in ("", one.what)]
            n = sum(one.plural != "events" for one in alike)
        return write, fault if fault.nth <= n < fault.nth + fault.times else None


def _run_of(write):
    """Return the name of the run that a write is about."""
    if write.plural == "selectionruns":
        return write.name
    if write.name:
        return write.name.rpartition("-")[0]
    labels = write.body.get("metadata", {}).get("labels", {}) if isinstance(write.body, dict) else {}
    return labels.get("dataselection.io/run", "")


def _refuse(request, write, fault):
    if fault.how == "before":
        return _cut(request)
    status = int(fault.how)
    write.status = status
    message = f"the test answers {status} to {write.what}"
    if status == 403:
        message = f'{write.plural} is forbidden: User "operator" cannot do this: {message}'
    answer = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": REASONS[status],
        "code": status,
    }
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    return web.json_response(answer, status=status, headers=headers)


def _cut(request):
    """Break the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _passed(headers):
    return [(key, value) for key, value in headers.items() if key.lower() not in HOP_BY_HOP]

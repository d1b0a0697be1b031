"""Real object stores on loopback, each from its registry package: moto, rclone, fake-gcs-server, azurite."""

import contextlib
import http.server
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import urllib3
from testbed import commands
from testbed.binaries import find
from testbed.cache import digest, make_once
from testbed.processes import free_port

AZURITE = Path(__file__).parent / "tools" / "azurite" / "package.json"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's well-known account: no secret."""

STARTS_WITHIN_S = 60


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    process: subprocess.Popen


@contextlib.contextmanager
def running(command, url, log, **environment):
    """Run a server until the end of the block; it answers when the block starts."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
    try:
        _wait(url, process, log)
        yield Server(url, process)
    finally:
        process.kill()
        process.wait()


def _wait(url, process, log):
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, whatever it says
        except ssl.SSLError:
            return  # it shows a certificate that only the test trusts
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLError):
                return
            process.poll()
        except OSError:
            process.poll()
    raise RuntimeError(f"{url} did not answer: {log.read_text(errors='replace')[-2000:]}")


def start_moto(folder, *, tls=None, **environment):
    """S3, STS and IAM with AWS's semantics. tls: an own_authority.Certified."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    if tls:
        command += ["-s", "-c", tls.certificate, "-k", tls.key]
    return running(command, _url(port, tls), folder / "moto.log", **environment)


def _url(port, tls, address="127.0.0.1"):
    return f"{'https' if tls else 'http'}://{address}:{port}"


def start_rclone(folder, access_key, secret, *, tls=None):
    """S3 by another implementation, over a folder whose sub-folders are the buckets."""
    port = free_port()
    (folder / "buckets").mkdir()
    command = [find("rclone", "rclone"), "serve", "s3", folder / "buckets", "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{access_key},{secret}", "--config", folder / "rclone.conf"]
    if tls:
        command += ["--cert", tls.certificate, "--key", tls.key]
    return running(command, _url(port, tls), folder / "rclone.log")


def start_fake_gcs(folder, *, tls=None):
    """Google Cloud Storage in memory."""
    port = free_port()
    command = [find("fake-gcs-server", "fake-gcs-server"), "-scheme", "https" if tls else "http", "-host", "127.0.0.1"]
    command += ["-port", str(port), "-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    if tls:
        command += ["-cert-location", tls.certificate, "-private-key-location", tls.key]
    return running(command, _url(port, tls), folder / "gcs.log")


def start_azurite(folder, *, tls=None):
    """Azure Blob Storage in memory; with TLS it takes the tokens of Microsoft Entra too, unsigned ones included."""
    port = free_port()
    program = install_azurite() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    command = ["node", program, "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    if tls:
        command += ["--oauth", "basic", "--cert", tls.certificate, "--key", tls.key]
    return running(command, f"{_url(port, tls)}/{ACCOUNT}", folder / "azurite.log")


def install_azurite():
    """Return the folder of azurite, brought by npm once."""
    return make_once("binaries", "azurite", digest(AZURITE.read_bytes()), _install)


def _install(folder):
    (folder / "package.json").write_bytes(AZURITE.read_bytes())
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    commands.run(["npm", "install", *options], cwd=folder)


@dataclass(frozen=True)
class Request:
    """A request as it came in; the path as it was on the line."""

    method: str
    path: str
    headers: dict
    body: bytes


HANG_UP = "hang up"


@contextlib.contextmanager
def answering(answer, *, tls=None, address="127.0.0.1"):
    """Run a server whose answers a function gives: request -> (status, headers, body), or HANG_UP; yield its URL.

    address    of this machine; pods reach others than loopback
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or a body waits 40 ms for the acknowledgement of its headers

        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            given = answer(Request(self.command, self.path, headers, body))
            if given == HANG_UP:
                self.close_connection = True
                return
            status, headers, body = given
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
                self.close_connection = headers.get("Content-Length", str(len(body))) != str(len(body))

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer

        def log_message(self, *arguments):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    if tls:
        server.socket = tls.context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield _url(server.server_port, tls, address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def proxying(target, meddle, *, after=lambda request: None, address="127.0.0.1"):
    """Run a proxy before a server; meddle: request -> an answer of its own, or None to pass it on.

    after    called with the request when its answer is known
    """
    pool = urllib3.PoolManager(retries=False, maxsize=64)

    def answer(request):
        try:
            return pass_on(request)
        finally:
            after(request)

    def pass_on(request):
        own = meddle(request)
        if own is not None:
            return own
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        given = pool.urlopen(
            request.method, f"{target}{request.path}", body=request.body, headers=headers, decode_content=False
        )
        hop = {"transfer-encoding", "connection", "content-length", "server", "date"}
        kept = {name: value for name, value in given.headers.items() if name.lower() not in hop}
        if request.method == "HEAD" and "content-length" in given.headers:
            kept["Content-Length"] = given.headers["content-length"]
        return given.status, kept, given.data

    with answering(answer, address=address) as url, pool:
        yield url


def post(url, body):
    """Send JSON and return the answer's body."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()

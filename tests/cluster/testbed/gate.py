"""A gate before a bucket: objects are served in the order of their names, so many and no more until it is opened on."""

import http.client
import http.server
import threading
from urllib.parse import unquote, urlsplit


class Gate:
    """An S3 endpoint on every address of this machine that passes requests on to a real one.

    Lists pass, and so does the very first read, by which a job tries whether it may. Then the first `allowed` of the
    given keys can be read; the others wait. `served` holds the keys that were read, the first try left out.
    """

    def __init__(self, upstream, keys):
        self.keys = sorted(keys)
        self.served = []
        self._allowed = 0
        self._tried = False
        self._changed = threading.Condition()
        self._server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), self._handler(urlsplit(upstream).netloc))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def allow(self, count):
        """Let the first `count` objects through."""
        with self._changed:
            self._allowed = count
            self._changed.notify_all()

    def stop(self):
        self.allow(len(self.keys))
        self._server.shutdown()
        self._server.server_close()

    def enter(self, key):
        """Return when the object may pass: True if it counts."""
        if key not in self.keys:
            return False
        with self._changed:
            if not self._tried:
                self._tried = True
                return False
            self._changed.wait_for(lambda: self.keys.index(key) < self._allowed)
            return True

    def _handler(self, upstream):
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self):
                key = unquote(urlsplit(self.path).path).lstrip("/")
                counts = self.command == "GET" and gate.enter(key)
                length = int(self.headers.get("Content-Length", 0))
                connection = http.client.HTTPConnection(upstream, timeout=30)
                connection.request(self.command, self.path, self.rfile.read(length), dict(self.headers))
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", answer.getheader("Content-Length", str(len(body))))
                self.end_headers()
                self.wfile.write(body)
                connection.close()
                if counts and answer.status in (200, 206):
                    gate.served.append(key)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

            def log_message(self, *arguments):
                pass

        return Handler

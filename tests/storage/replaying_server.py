"""A server that gives a storage emulator's answers again, from memory: what is measured with it is the client.

The first time that something is asked for, the emulator is asked; the
signature and the time of a request do not count. One process, one thread: 0.1 ms for an answer of 30 kB.
"""

import asyncio
import json
import re
import sys
import urllib.parse
from contextlib import contextmanager

import urllib3

SIGNATURES = ("X-Amz-", "sig", "se", "sv", "sr", "sp", "st", "skoid")
"""Begins of the names of parameters that sign a request."""

HOP = {"transfer-encoding", "connection", "content-length", "keep-alive"}


class Replaying(asyncio.Protocol):
    """One connection; requests have no body but the first of a recording."""

    def __init__(self, target, answers, pool):
        self.target, self.answers, self.pool, self.received = target, answers, pool, b""

    def connection_made(self, transport):
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data):
        """Answer each request that is complete."""
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            key = identify(head)
            if key not in self.answers:
                self.answers[key] = self.record(head)
            self.transport.write(self.answers[key])

    def record(self, head):
        """Ask the emulator. S3's signature holds for this server's address, Google's emulator goes by its own."""
        line, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = line.split(" ")
        headers = dict(name_value.split(": ", 1) for name_value in lines)
        if "AWS4-HMAC" not in head.decode("latin-1"):
            headers = {name: value for name, value in headers.items() if name.lower() != "host"}
        given = self.pool.urlopen(method, self.target + path, headers=headers, decode_content=False)
        kept = [f"{name}: {value}" for name, value in given.headers.items() if name.lower() not in HOP]
        body = cut_to_fields(given.data, urllib.parse.parse_qs(urllib.parse.urlsplit(path).query))
        start = [f"HTTP/1.1 {given.status} {given.reason}", *kept, f"Content-Length: {len(body)}"]
        return ("\r\n".join(start) + "\r\n\r\n").encode("latin-1") + body


def cut_to_fields(body, parameters):
    """Return a listing of Google's with the asked-for fields alone, as Google gives it; its emulator gives them all."""
    wanted = re.search(r"items\(([^)]*)\)", parameters.get("fields", [""])[0])
    if not wanted:
        return body
    answer = json.loads(body)
    items = [{name: item[name] for name in wanted[1].split(",")} for item in answer.get("items", ())]
    token = {"nextPageToken": answer["nextPageToken"]} if answer.get("nextPageToken") else {}
    return json.dumps({**token, "items": items}).encode()


def identify(head):
    """Return method, address and range of a request, without what signs it."""
    line, *lines = head.split(b"\r\n")
    method, address, _ = line.split(b" ")
    path, _, query = address.partition(b"?")
    wanted = [part for part in query.split(b"&") if not part.startswith(tuple(name.encode() for name in SIGNATURES))]
    ranges = [name_value for name_value in lines if b"range:" in name_value.lower()]
    return b"|".join([method, path, *sorted(wanted), *ranges])


async def serve(target, port):
    """Answer until the process ends."""
    answers = {}
    pool = urllib3.PoolManager(retries=False)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Replaying(target, answers, pool), "127.0.0.1", port)
    await server.serve_forever()


@contextmanager
def replaying(url, folder):
    """Run the server before an emulator; give its address, with the path of the emulator's."""
    import storage_servers  # the server's own process does without
    from testbed.processes import free_port

    parts = urllib.parse.urlsplit(url)
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    command = [sys.executable, __file__, f"{parts.scheme}://{parts.netloc}", str(port)]
    with storage_servers.running(command, own, folder / "replaying.log"):
        yield own + parts.path


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))

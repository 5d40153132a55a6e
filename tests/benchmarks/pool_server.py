"""A server that answers after a stated time, over plain TCP and over TLS, and counts what it took to ask it.

A process of its own: its work is nobody's overhead. The first part of a request's path is the time in milliseconds:
``/20/v1/chat/completions``. ``GET /counts`` tells the counts.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from loopback_server import content_length, whole_answer

BACKLOG = 1024


class Place(NamedTuple):
    """Where it serves.

    Attributes:
        plain: Address without TLS.
        tls: Address with TLS.
        authority: PEM file of the authority to trust.
    """

    plain: str
    tls: str
    authority: Path


class Counts:
    """What it counts: connections that brought a request, requests, seconds spent on answers.

    ``most`` requests were under way at the same time since the counts were last asked for.
    """

    opened = handshakes = requests = under_way = most = 0
    busy = 0.0


class Connection(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.seen = b""
        self.asked = False

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, separator, rest = self.seen.partition(b"\r\n\r\n")
        length = content_length(head)
        if separator and len(rest) >= length:
            self.seen = rest[length:]
            self.answer(head)

    def answer(self, head: bytes) -> None:
        if head.startswith(b"GET"):
            body = json.dumps({name: getattr(Counts, name) for name in vars(Counts) if name[0] != "_"}).encode()
            Counts.most = Counts.under_way
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        self.count()
        loop = asyncio.get_running_loop()
        delay = int(head.split(b"/", 2)[1]) / 1000
        if delay:
            loop.call_later(delay, self.send, loop.time())
        else:
            self.send(loop.time())

    def count(self) -> None:
        if not self.asked:
            self.asked = True
            Counts.opened += 1
            Counts.handshakes += self.transport.get_extra_info("ssl_object") is not None
        Counts.requests += 1
        Counts.under_way += 1
        Counts.most = max(Counts.most, Counts.under_way)

    def send(self, began: float) -> None:
        Counts.under_way -= 1
        Counts.busy += asyncio.get_running_loop().time() - began
        self.transport.write(whole_answer())


async def serve(certificate: str) -> None:
    """Serve until the standard input closes."""
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    servers = [
        await loop.create_server(Connection, "127.0.0.1", 0, ssl=tls, backlog=BACKLOG) for tls in (None, context)
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


@contextmanager
def delaying() -> Iterator[Place]:
    """Run the server in a process of its own, with a certificate for this run."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder, certificate.private_key_and_cert_chain_pem.tempfile() as pem:
        trusted = Path(folder, "authority.pem")
        authority.cert_pem.write_to_path(str(trusted))
        with subprocess.Popen(
            [sys.executable, __file__, pem], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            plain, tls = map(int, server.stdout.readline().split())
            yield Place(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", trusted)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))

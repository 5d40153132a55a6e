"""Work on a large body keeps others waiting for one step of it at most."""

from __future__ import annotations

import asyncio
import fcntl
import select
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from localagent import Plugin, Principal, hookimpl
from localagent.plugin_api import HttpRequest, HttpResponse, Route
from localagent.timing import let_others_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="whether a request has arrived is asked of Linux")

LARGE = 31 * 1024 * 1024
PATIENCE = 10.0  # seconds
UNSENT = 0x5411  # SIOCOUTQ: the bytes that the other side has not taken over
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class LongSteps(Plugin):
    """Adds a route that takes long steps, during each of which somebody else asks."""

    name = "long-steps"
    incoming: Any = None
    answered = 0

    @hookimpl(of="gateway")
    def gateway_add_routes(self) -> Sequence[Route]:
        async def steps(incoming: HttpRequest, principal: Principal) -> HttpResponse:
            for _ in range(3):
                with arrived(LongSteps.server._listeners[0].sockets[0]) as asked:
                    await let_others_run(LARGE)
                    # The event loop stands still from here on: what is not answered now has waited for another step.
                    LongSteps.answered += whole(asked).startswith(b"HTTP/1.1 200")
            return HttpResponse()

        return [Route("GET", "/steps", steps, open=True)]


def arrived(listener: Any) -> socket.socket:
    """Return a connection whose request has arrived while the event loop did something else."""
    asked = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
    asked.sendall(HEALTH)
    assert select.select([listener.fileno()], [], [], PATIENCE)[0]
    while struct.unpack("i", fcntl.ioctl(asked, UNSENT, bytes(4)))[0]:
        pass
    return asked


def whole(asked: socket.socket) -> bytes:
    """Return an answer to its end."""
    answer = b""
    while part := asked.recv(4096):
        answer += part
    return answer


async def test_who_asks_during_a_long_step_is_answered_before_the_next(serve: Any) -> None:
    """Accepted, read, answered and closed, in the turns of the event loop that others get."""
    LongSteps.answered = 0
    async with serve(plugins=[LongSteps]) as served:
        LongSteps.server = served.worker.server
        host, _, port = served.url.removeprefix("http://").rpartition(":")
        answer = await _get(host, int(port), "/steps")
    assert answer.startswith(b"HTTP/1.1 200")
    assert LongSteps.answered == 3


async def _get(host: str, port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(HEALTH.replace(b"/healthz", path.encode()))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer

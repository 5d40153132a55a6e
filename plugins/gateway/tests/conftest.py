"""A gateway on a loopback socket, in the test's own event loop."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent import Client, Plugin
from localagent.settings.model import Settings
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_gateway import GatewayPlugin, GatewaySettings
from localagent_gateway.http.sockets import bind
from localagent_gateway.keys.store import KeyStore
from localagent_gateway.processes.worker import Worker, running
from localagent_gateway.settings import gateway_folder

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "http")]  # corpora and shared servers are imported by their bare names


@attrs.frozen
class Served:
    """A gateway that serves.

    Attributes:
        url: Its address without a path.
        worker: The worker.
        client: The client behind it.
    """

    url: str
    worker: Worker
    client: Client


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    """The keys of a state folder of the test's own; those of anyone who runs the tests are not looked at."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return KeyStore(gateway_folder(Settings(), os.environ), time.time)


@pytest.fixture
def serve() -> Serve:
    """Return what starts a gateway: ``async with serve(settings, plugins=[...], port=0, ...) as served``.

    ``settings`` are the client's, ``plugins`` those beside the gateway and the default transport, further names the
    gateway's own settings.
    """

    @contextlib.asynccontextmanager
    async def serve(
        settings: Mapping[str, Any] | None = None, *, plugins: Sequence[type[Plugin]] = (), **gateway: Any
    ) -> AsyncIterator[Served]:
        own = GatewaySettings(**{"port": 0, "log": "none", "drain_timeout": 1.0, **gateway})
        sockets = bind(own)
        host, port = sockets[0].getsockname()[:2]
        async with contextlib.AsyncExitStack() as stack:
            for sock in sockets:
                stack.callback(sock.close)  # a gateway that does not start leaves them to us
            client = await stack.enter_async_context(
                Client(settings or {}, plugins=[GatewayPlugin, AiohttpConnectPlugin, *plugins])
            )
            worker = await stack.enter_async_context(running(client, own, sockets))
            yield Served(f"http://{host}:{port}", worker, client)

    return serve

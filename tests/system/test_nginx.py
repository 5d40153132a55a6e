"""nginx as a reverse proxy in front of ``localagent serve``, as the benchmarks run it: HTTP/1.1, without buffering."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from gateways.nginx import nginx
from processes import BODY, STREAM, serving, upstream, write_settings
from programs import Program

HOSTS = ["fake"]
"""The name by which nginx calls the gateway: that of its upstream."""


def port_of(url: str) -> int:
    """Return the port of an address."""
    port = urlsplit(url).port
    assert port is not None
    return port


@pytest.mark.timeout(120)
async def test_answers_pass_the_proxy_as_they_come(program: Program, tmp_path: Path) -> None:
    """A whole answer is the same as without it; a stream's first event arrives while the server holds the rest back."""
    program("nginx")
    async with (
        upstream() as up,
        serving(write_settings(tmp_path, up.url, hosts=HOSTS)) as served,
        httpx.AsyncClient(timeout=30) as http,
    ):
        with nginx("nginx", port_of(served.url)) as proxy:
            url = f"http://127.0.0.1:{proxy.port}"
            whole, direct = [await http.post(f"{at}/v1/chat/completions", json=BODY) for at in (url, served.url)]
            assert (whole.status_code, whole.json()) == (200, direct.json())
            up.hold.clear()
            async with http.stream("POST", f"{url}/v1/chat/completions", json=STREAM) as response:
                lines = response.aiter_lines()
                first = await anext(lines)
                assert '"Hel"' in first
                assert not up.hold.is_set()
                up.hold.set()
                rest = [line async for line in lines if line]
            assert rest[-1] == "data: [DONE]"


@pytest.mark.timeout(120)
async def test_a_client_that_leaves_frees_the_server(program: Program, tmp_path: Path) -> None:
    """nginx closes its connection to the gateway, and the gateway ends the call."""
    program("nginx")
    async with (
        upstream() as up,
        serving(write_settings(tmp_path, up.url, log="all", hosts=HOSTS)) as served,
        httpx.AsyncClient(timeout=30) as http,
    ):
        with nginx("nginx", port_of(served.url)) as proxy:
            up.hold.clear()
            url = f"http://127.0.0.1:{proxy.port}/v1/chat/completions"
            async with http.stream("POST", url, json=STREAM) as response:
                assert '"Hel"' in await anext(response.aiter_lines())
            async with asyncio.timeout(20):
                await served.line('"status":499')

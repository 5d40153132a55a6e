"""nginx as a reverse proxy in front of ``localagent serve``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from processes import BODY, STREAM, serving, upstream, write_settings
from programs import Program

SETTINGS = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {url};
      proxy_http_version 1.1;
      proxy_set_header Host localhost;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
"""What ``docs/how-to/serve.md`` recommends: HTTP/1.1 to the gateway, and no buffering."""


@contextlib.asynccontextmanager
async def proxied(nginx: str, url: str, folder: Path) -> AsyncIterator[str]:
    """Run nginx in front of an address; return its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "nginx.conf"
    settings.write_text(SETTINGS.format(folder=folder, port=port, url=url))
    process = await asyncio.create_subprocess_exec(nginx, "-p", str(folder), "-c", str(settings))
    try:
        async with asyncio.timeout(20):
            await listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def listening(port: int) -> None:
    """Wait until a port accepts connections."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.01)  # a program in another process opens it


@pytest.mark.timeout(120)
async def test_answers_pass_the_proxy_as_they_come(program: Program, tmp_path: Path) -> None:
    """A whole answer is the same as without it; a stream's first event arrives while the server holds the rest back."""
    nginx = program("nginx")
    async with (
        upstream() as up,
        serving(write_settings(tmp_path, up.url)) as served,
        proxied(nginx, served.url, tmp_path) as url,
        httpx.AsyncClient(timeout=30) as http,
    ):
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
    nginx = program("nginx")
    async with (
        upstream() as up,
        serving(write_settings(tmp_path, up.url, log="all")) as served,
        proxied(nginx, served.url, tmp_path) as url,
        httpx.AsyncClient(timeout=30) as http,
    ):
        up.hold.clear()
        async with http.stream("POST", f"{url}/v1/chat/completions", json=STREAM) as response:
            assert '"Hel"' in await anext(response.aiter_lines())
        async with asyncio.timeout(20):
            await served.line('"status":499')

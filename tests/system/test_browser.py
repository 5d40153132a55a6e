"""A real browser: the first page in light and dark, and web pages that ask the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from processes import serving, upstream, write_settings
from programs import Program

PICTURE = Path(__file__).parents[2] / "docs/_static/request.svg"
PAGE = """<!doctype html><title>asks</title><p id=said>nothing</p><script>
fetch("{url}/v1/chat/completions", {{method: "POST", headers: {{"content-type": "application/json"}},
  body: JSON.stringify({{messages: [{{role: "user", content: "Hi"}}]}})}})
  .then(response => response.json()).then(answer => answer.choices[0].message.content, error => "refused")
  .then(text => {{ document.getElementById("said").textContent = text; }});
</script>"""


async def browse(chromium: str, folder: Path, *options: str) -> bytes:
    """Run the browser without a window and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder}/profile", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out


@asynccontextmanager
async def page_at(host: str, text: str) -> AsyncIterator[str]:
    """Serve a page on the loopback interface; return its address under a name of the host."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://{host}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("host", "said"), [("evil.example", "refused"), ("localhost", "Hello.")])
async def test_a_page_may_ask_only_from_this_machine(program: Program, tmp_path: Path, host: str, said: str) -> None:
    """A page of a foreign site gets no answer, although its browser runs here; a local page does."""
    chromium = program("chromium")
    async with (
        upstream() as up,
        serving(write_settings(tmp_path, up.url)) as served,
        page_at(host, PAGE.format(url=served.url)) as address,
    ):
        found = await browse(
            chromium, tmp_path, "--host-resolver-rules=MAP evil.example 127.0.0.1", "--virtual-time-budget=15000",
            "--dump-dom", address,
        )  # fmt: skip
    assert f'<p id="said">{said}</p>' in found.decode()


@pytest.mark.timeout(180)
async def test_the_picture_fits_light_and_dark_pages(program: Program, tmp_path: Path) -> None:
    """The picture of a request has other colours where the reader's system is dark."""
    chromium, made = program("chromium"), []
    for number in (0, 1):
        page = tmp_path / f"{number}.html"
        page.write_text(f'<body style="margin:0"><img src="{PICTURE.as_uri()}">')
        scheme = f"--blink-settings=preferredColorScheme={number}"
        shot = tmp_path / f"{number}.png"
        await browse(chromium, tmp_path, scheme, "--window-size=800,460", f"--screenshot={shot}", page.as_uri())
        made.append(shot.read_bytes())
    assert all(png.startswith(b"\x89PNG") and len(png) > 10_000 for png in made)
    assert made[0] != made[1]

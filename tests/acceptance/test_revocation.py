"""A key that was revoked: every worker refuses it, and those of others go on."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

from processes import BODY, Process, serving, upstream, write_settings
from test_control import command

CEILING = 30.0
"""Seconds; the promise is 1, and a busy machine must not fail the test."""


def asked(kept: http.client.HTTPConnection, key: str) -> tuple[int, str, str]:
    """Ask once on a kept connection; return status, the error's type and code, and which worker answered."""
    kept.request("POST", "/v1/chat/completions", json.dumps(BODY), {"Authorization": f"Bearer {key}"})
    answer = kept.getresponse()
    document = json.loads(answer.read())
    error = document.get("error", {})
    reported = f"{error.get('type')} {error.get('code')}" if error else ""
    return answer.status, reported, answer.headers["x-request-id"].rpartition("-")[0]


@contextlib.asynccontextmanager
async def connected_to_each(
    process: Process, key: str, workers: int
) -> AsyncIterator[list[http.client.HTTPConnection]]:
    """Keep a connection to every worker; the system chooses, so that some connections more may be made."""
    with contextlib.ExitStack() as stack:
        found: dict[str, http.client.HTTPConnection] = {}
        while len(found) < workers:
            kept = http.client.HTTPConnection(process.url.removeprefix("http://"), timeout=CEILING)
            stack.callback(kept.close)
            status, _, worker = await asyncio.to_thread(asked, kept, key)
            assert status == 200
            found.setdefault(worker, kept)
        yield list(found.values())


async def created(settings: Path, name: str) -> str:
    """Create a key, and return it."""
    code, out, err = await command(settings, "keys", "create", "--name", name)
    assert code == 0, err
    return next(word for word in out.split() if word.startswith("la-"))


async def until_refused(kept: http.client.HTTPConnection, key: str) -> None:
    """Ask until the answer is 401. Whatever else comes but 200 fails."""
    until = time.monotonic() + CEILING
    while True:
        status, reported, _ = await asyncio.to_thread(asked, kept, key)
        if status == 401:
            assert reported == "authentication_error invalid_api_key"
            return
        assert (status, reported) == (200, "")
        assert time.monotonic() < until, "A worker never heard of the revocation."


async def test_every_worker_hears_of_a_revocation(tmp_path: Path) -> None:
    """Two processes refuse the key with a typed 401, for good, and let the other key in all the time."""
    async with upstream() as up:
        path = write_settings(tmp_path, up.url)
        gone, stays = await created(path, "gone"), await created(path, "stays")
        async with serving(path, "--workers", "2") as process, connected_to_each(process, gone, 2) as connections:
            code, _, err = await command(path, "keys", "revoke", "gone")
            assert code == 0, err
            for kept in connections:
                await until_refused(kept, gone)
            for kept in connections:
                answers = [await asyncio.to_thread(asked, kept, key) for key in (gone, stays, gone, stays)]
                assert [status for status, _, _ in answers] == [401, 200, 401, 200]

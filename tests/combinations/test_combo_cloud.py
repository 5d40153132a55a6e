"""A vendor's cloud: a key, the fast transport, retries, and a cache that outlives the program."""

from __future__ import annotations

import json
from pathlib import Path

from combo_parts import ASKED, active, localagent
from stage import TEXT, openai

from localagent import Client
from localagent_testing import FaultServer, ReadRequest, ReceivedRequest, Script, Send, answer

SET = ["cache-sqlite", "connect-fast", "failure-retry", "metrics-savings", "provider-openai"]


def limited_at_first(received: ReceivedRequest) -> Script:
    """Answer with 429 first, then normally."""
    if received.number > 1:
        return openai(received)
    limit = {"error": {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}}
    return (ReadRequest(), Send(answer(429, limit, {"retry-after-ms": "1"})))


async def test_a_limit_is_waited_for_and_an_answer_is_paid_once(tmp_path: Path) -> None:
    """A 429 costs a pause; the same question in the next program comes from the file, and the savings tell of it."""
    async with FaultServer(limited_at_first) as server:
        path = tmp_path / "localagent.toml"
        path.write_text(
            f'use = {SET}\nstate_folder = "{tmp_path}"\n[providers.openai]\ninstances = ["{server.url}/v1"]\n'
            'keys = [{ env = "CLOUD_KEY" }]\n'
        )
        texts, caches = [], []
        for _ in range(2):
            async with Client(path, environment={"CLOUD_KEY": "sk-not-a-key"}) as client:
                got = await client.chat(ASKED, model="openai/m", temperature=0)
                texts.append(got.text)
                caches.append(got.cached)
        chats = [request for request in server.requests if request.path.endswith("/chat/completions")]
        assert (texts, caches, len(chats)) == ([TEXT] * 2, ["", "cache-sqlite"], 2)
        assert dict(chats[1].headers)["Authorization"] == "Bearer sk-not-a-key"
        assert active({"use": SET}) == set(SET)
        code, reported = await localagent(path, "savings", "--json")
        assert (code, json.loads(reported)["total"]["calls"]) == (0, 1), reported

"""The access log: a line for each request, with the figures of its call, to a file or to standard error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from localagent import Call, Client, Plugin, Principal, Usage, hookimpl
from localagent.errors import Overloaded, SettingsError, StartError
from localagent.plugin_api import HttpRequest
from localagent_gateway.logs.access_log import logfmt
from localagent_gateway.logs.log_writer import FileLog
from localagent_testing import CANARY_PROMPT, Reply, fake_provider_plugin

BODY = {"model": "fake/m", "messages": [{"role": "user", "content": CANARY_PROMPT}]}


class Knows(Plugin):
    """Knows every caller."""

    name = "auth-knows"

    @hookimpl(of="gateway")
    async def gateway_authenticate(self, request: HttpRequest) -> Principal:
        return Principal(tenant="team", key="key-7")


class Asks(Plugin):
    """Sends a call of its own for every call; it is not the request's."""

    name = "request-asks"

    @hookimpl
    async def pre_request(self, call: Call) -> None:
        await self.core.send(call.request.replace(model="fake/other"), parent=call)


async def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    """Return the lines of a log file, as soon as there are so many."""
    async with asyncio.timeout(10):
        while len(lines := _lines(path)) < count:  # noqa: ASYNC110 - a thread writes them
            await asyncio.sleep(0.01)
    return [json.loads(line) for line in lines]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


async def test_a_line_has_the_figures_of_the_call(serve: Any, tmp_path: Path) -> None:
    """Key, tenant, model, instance, tokens, attempts, time to first token, bytes; no word of the prompt."""
    path = tmp_path / "access.log"
    said = fake_provider_plugin(
        [Reply("ok", usage=Usage(11, 7, 18)), Reply("ok", usage=Usage(11, 7, 18)), Overloaded("busy")]
    )
    async with (
        serve(plugins=[said, Knows], log="all", log_file=path) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        whole = await http.post("/v1/chat/completions", json=BODY)
        streamed = await http.post("/v1/chat/completions", json={**BODY, "stream": True})
        await http.post("/v1/chat/completions", json=BODY)
        await http.get("/healthz")
        one, two, three, four = await lines_of(path, 4)
    known = {"key": "key-7", "tenant": "team", "model": "fake/m", "instance": "one", "attempts": 1}
    assert one.items() >= {**known, "prompt_tokens": 11, "completion_tokens": 7, "status": 200}.items()
    assert two.items() >= {**known, "status": 200}.items()
    assert two["first_token_milliseconds"] >= 0
    assert "first_token_milliseconds" not in one
    assert one["bytes"] > len(whole.content)
    assert two["bytes"] > len(streamed.content)
    assert three.items() >= {**known, "code": "overloaded", "status": 503}.items()
    assert not {"model", "key", "tenant", "attempts"} & four.keys()
    assert CANARY_PROMPT not in path.read_text()


async def test_calls_of_plugins_are_not_the_request_s(serve: Any, tmp_path: Path) -> None:
    """The line shows the model that the client asked for."""
    path = tmp_path / "access.log"
    async with (
        serve(plugins=[fake_provider_plugin(Reply("ok")), Asks], log="all", log_file=path) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        await http.post("/v1/chat/completions", json=BODY)
        (line,) = await lines_of(path, 1)
    assert line["model"] == "fake/m"


async def test_nothing_is_computed_for_a_log_that_is_off(serve: Any) -> None:
    """Without a log the plugin has no step at the end of a call."""
    for log, steps in (("none", []), ("errors", ["gateway"])):
        settings = {"plugins": {"gateway": {"log": log}}}
        async with serve(settings, plugins=[fake_provider_plugin()], log=log) as served:
            pipeline = (await served.worker.client.runtime()).pipeline
            assert [step.plugin for step in pipeline.steps["record_metric"]] == steps


def test_logfmt_is_plain_text() -> None:
    """Values with spaces, quotes or equals signs are quoted as in JSON."""
    line = logfmt({"time": 1.5, "path": "/v1/chat", "model": 'a "b"', "code": "x=y", "coalesced": True, "empty": ""})
    assert line == b'time=1.5 path=/v1/chat model="a \\"b\\"" code="x=y" coalesced=true empty=""'


async def test_the_format_is_a_setting(serve: Any, tmp_path: Path) -> None:
    """Each line is a row of pairs."""
    path = tmp_path / "access.log"
    async with (
        serve(plugins=[fake_provider_plugin(Reply("ok"))], log="all", log_file=path, log_format="logfmt") as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        await http.get("/healthz")
        with contextlib.suppress(json.JSONDecodeError):
            await lines_of(path, 1)
    assert re.fullmatch(
        r"time=\S+ request_id=\S+ method=GET path=/healthz status=200 .*peer=127.0.0.1\n", path.read_text()
    )


def test_a_file_that_was_moved_is_made_again(tmp_path: Path) -> None:
    """As logrotate does it, without a signal."""
    path = tmp_path / "access.log"
    log = FileLog(path, lambda: 0.0)
    log.put(b"one\n")
    log.close()
    log = FileLog(path, lambda: 0.0)
    path.rename(tmp_path / "access.log.1")
    log.put(b"two\n")
    log.close()
    assert (path.read_bytes(), (tmp_path / "access.log.1").read_bytes()) == (b"two\n", b"one\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    """It names the file and the setting."""
    with pytest.raises(StartError, match=r"The log file .*no/access.log cannot be opened: No such file") as caught:
        FileLog(tmp_path / "no/access.log", lambda: 0.0)
    assert "log_file" in str(caught.value.hint)


async def test_a_format_that_is_none_is_refused() -> None:
    """At start, with what is possible."""
    from localagent_gateway import GatewayPlugin

    client = Client({"plugins": {"gateway": {"log_format": "xml"}}}, plugins=[GatewayPlugin], environment={})
    with pytest.raises(SettingsError, match="log_format"):
        async with client:
            pass

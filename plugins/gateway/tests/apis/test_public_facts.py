"""Facts that plugins make public are headers of the answer, on every API; none takes the place of the gateway's own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from dialects_under_test import ASKED, Way

from localagent import Call, Plugin, PublicFact, Request, hookimpl
from localagent_testing import Reply, fake_provider_plugin

OWN = {"model": "evil", "cache": "evil", "attempts": "evil", "target": "evil", "details": "evil"}
STRANGE = {"a b": "evil", "a:b": "evil", "": "evil", "Upper": "evil", "x\r\ny": "evil", "\u00e9": "evil", "1": "evil"}


class Telling(Plugin):
    """Leaves facts of all kinds."""

    name = "telling"

    @hookimpl
    async def pre_request(self, call: Call, request: Request) -> None:
        call.facts["energy_joules"] = PublicFact(2.5)
        call.facts["private"] = "evil"
        call.facts.update({name: PublicFact(value) for name, value in (OWN | STRANGE).items()})


@pytest.mark.parametrize(
    ("way", "stream"),
    [(way, stream) for way, stream in ASKED if not way.path.endswith("count_tokens")],
    ids=lambda value: getattr(value, "path", str(value)),
)
async def test_public_facts_are_headers(serve: Any, way: Way, stream: bool) -> None:
    """Underscores become hyphens; what is not public, fits no header or is the gateway's own to say is left out."""
    async with (
        serve(plugins=[fake_provider_plugin(Reply("ok")), Telling]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        body = way.body("Hi", model="fake/m", stream=stream)
        plain = await http.post(way.path, json=body)
        detailed = await http.post(way.path, json=body, headers={"x-localagent-details": "1"})
    for reported in (plain, detailed):
        assert reported.status_code == 200
        assert reported.headers["x-localagent-energy-joules"] == "2.5"
        assert reported.headers["x-localagent-model"] == "fake/m"
        assert "evil" not in repr(reported.headers)
    ours = {name for name in plain.headers if name.startswith("x-localagent-")}
    assert ours == {"x-localagent-energy-joules", "x-localagent-model"}

"""Names by which no model can be asked for are refused in every API before anything is sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest
from dialects_under_test import WAYS, Way

from localagent_testing import fake_provider_plugin

UNFIT = ["up/" + "m" * 254, "x" * 1_000_000, "   ", "fake/", "fake/ ", "/m", "fake/a\nb", "fake/\x85", "fake/\u2028"]
SHOW = Way("/api/show", "verbose", streams=False)
SHORT = 400
"""Bytes of an error's body or of one header that repeats what came."""


@pytest.mark.parametrize("way", [*WAYS, SHOW], ids=[way.path for way in (*WAYS, SHOW)])
async def test_an_unfit_name_is_refused_with_400(serve: Any, way: Way) -> None:
    """Streamed or not, with ``:latest`` as Ollama's clients send it or without; the error is short."""
    fake = fake_provider_plugin()
    async with (
        serve(plugins=[fake]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        for model in (*UNFIT, "m" * 300 + ":latest"):
            for stream in {False, way.streams}:
                reported = await http.post(way.path, json=way.body("Hi", model=model, stream=stream))
                assert reported.status_code == 400, model[:50]
                assert len(reported.content) < SHORT
                assert max(map(len, reported.headers.values())) < SHORT
        assert fake.asked == []
        assert not any(state.models for state in (await served.client.runtime()).instances.of("fake"))


async def test_the_list_of_models_is_not_asked_for_by_an_unfit_name(serve: Any) -> None:
    """``GET /v1/models/NAME``: 400, and 404 for a name that could be one."""
    async with (
        serve(plugins=[fake_provider_plugin()]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        for model in ("fake/", "m" * 257, "fake/a\nb", "%20", "fake/\x9f"):
            reported = await http.get("/v1/models/" + (model if "%" in model else quote(model)))
            assert (reported.status_code, len(reported.content) < SHORT) == (400, True), model
        assert (await http.get("/v1/models/nobody")).status_code == 404


@pytest.mark.parametrize(
    "way", [way for way in WAYS if not way.path.endswith("count_tokens")], ids=lambda way: way.path
)
async def test_no_name_means_the_default_model(serve: Any, way: Way) -> None:
    """Left out, or empty as the official clients send it."""
    fake = fake_provider_plugin()
    async with (
        serve(plugins=[fake]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        empty = way.body("Hi", model="")
        for body in (empty, {name: value for name, value in empty.items() if name != "model"}):
            await http.post(way.path, json=body)
    assert [asked.attempt.target.name for asked in fake.asked] == ["fake/m", "fake/m"]


async def test_what_an_error_repeats_of_a_request_is_cut(serve: Any) -> None:
    """A path, a method, a field's name, a type: whatever is foreign and long."""
    long = "x" * 5_000
    async with (
        serve(plugins=[fake_provider_plugin()]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        answers = [
            await http.get(f"/{long}"),
            await http.put(f"/v1/models/{long}"),
            await http.request("PROPFIND" + "X" * 1_000, "/v1/models"),
            await http.post("/api/chat", json={"messages": [], long: 1}),
            await http.post("/v1/messages", json={"messages": [], long: 1}),
            await http.post("/v1/responses", json={"input": "Hi", "include": [long] * 100}),
            await http.post("/v1/responses", json={"input": [{"type": [long]}]}),
            await http.post("/v1/responses", json={"input": "Hi", "tools": [{"type": {long: long}}]}),
            await http.post("/v1/messages", json={"messages": [], "tools": [{"type": [long]}]}),
            await http.get("/v1/models", headers={"anthropic-version": "1"}, params={"limit": long}),
        ]
    assert [(answer.status_code >= 400, len(answer.content) < SHORT) for answer in answers] == [(True, True)] * 10

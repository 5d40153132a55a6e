"""The records that pass between an HTTP server and its handlers."""

from __future__ import annotations

import pytest

from localagent import Principal
from localagent.errors import Unauthenticated
from localagent.plugin_api import HttpRequest, HttpResponse, Route


def test_a_request_needs_no_more_than_method_and_path() -> None:
    """Whatever a server does not know is empty."""
    request = HttpRequest("GET", "/healthz")
    assert (request.query, request.headers, request.params) == ({}, {}, {})
    assert (request.body, request.peer, request.id) == (b"", "", "")


def test_a_request_has_no_further_attributes() -> None:
    """What a plugin wants to remember about a request belongs into its own table."""
    with pytest.raises(AttributeError):
        HttpRequest("GET", "/").user = "somebody"  # type: ignore[attr-defined]


async def test_a_route_answers_with_json_unless_it_says_otherwise() -> None:
    """A handler takes the request and who asks."""

    async def hello(request: HttpRequest, principal: Principal) -> HttpResponse:
        return HttpResponse(body=f'{{"hello": "{principal.tenant}"}}'.encode())

    route = Route("GET", "/hello", hello)
    answer = await route.handler(HttpRequest("GET", "/hello"), Principal(tenant="red"))
    assert (answer.status, answer.content_type, route.open) == (200, "application/json", False)
    assert isinstance(answer, HttpResponse)
    assert answer.body == b'{"hello": "red"}'


def test_a_wrong_key_is_the_askers_matter() -> None:
    """Status 401, unlike the provider's own refusal of our key; nothing was sent."""
    error = Unauthenticated("No valid key came with the request.")
    assert (error.status, error.code, error.advice.sent) == (401, "invalid_api_key", False)

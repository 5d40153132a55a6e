"""Web pages of other origins: those of the settings hear what their browser needs, others nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from localagent_gateway.keys.store import KeyStore
from localagent_testing import fake_provider_plugin

PAGE = "https://app.example"
CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "Hello."}]}
BEFORE = {"origin": PAGE, "access-control-request-method": "POST"}
WANTED = "authorization,content-type,x-stainless-os"


def cors(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_a_browser_that_asks_before_is_answered(serve: Any, keys: KeyStore) -> None:
    """No key is needed and no model is asked; all headers that the page wants to send are named."""
    keys.create("one")
    fake = fake_provider_plugin()
    async with serve(plugins=[fake], origins=(PAGE,)) as served, httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.options(CHAT, headers={**BEFORE, "access-control-request-headers": WANTED})
    assert (answer.status_code, answer.content, fake.asked) == (204, b"", [])
    assert cors(answer) == {
        "access-control-allow-origin": PAGE, "access-control-allow-headers": WANTED, "access-control-max-age": "600",
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE", "access-control-expose-headers": "*",
    }  # fmt: skip
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_page_of_the_settings_may_read(serve: Any, *, stream: bool) -> None:
    """Answers and streams; without the browser's own credentials."""
    async with (
        serve(plugins=[fake_provider_plugin()], origins=(PAGE,)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        answer = await http.post(CHAT, json={**BODY, "stream": stream}, headers={"origin": PAGE})
    assert answer.status_code == 200
    assert cors(answer) == {"access-control-allow-origin": PAGE, "access-control-expose-headers": "*"}


async def test_it_may_read_what_went_wrong(serve: Any, keys: KeyStore) -> None:
    """Without these headers a page sees a network error without a reason."""
    key = keys.create("one")[1].reveal()
    async with serve(origins=(PAGE,), max_body=100) as served, httpx.AsyncClient(base_url=served.url) as http:
        without_key = await http.post(CHAT, json=BODY, headers={"origin": PAGE})
        too_large = await http.post(CHAT, content=b" " * 101, headers={"origin": PAGE, "x-api-key": key})
    assert [answer.status_code for answer in (without_key, too_large)] == [401, 413]
    assert [cors(answer)["access-control-allow-origin"] for answer in (without_key, too_large)] == [PAGE] * 2


async def test_a_foreign_page_hears_nothing(serve: Any) -> None:
    """Neither before nor after: its browser lets it read nothing."""
    foreign = {"origin": "https://evil.example"}
    async with (
        serve(plugins=[fake_provider_plugin()], origins=(PAGE,)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        answers = [
            await http.options(CHAT, headers={**BEFORE, **foreign}),
            await http.post(CHAT, json=BODY, headers=foreign),
        ]
    assert [(answer.status_code, cors(answer)) for answer in answers] == [(403, {})] * 2


async def test_whoever_is_no_page_hears_nothing_of_it(serve: Any) -> None:
    """Programs send no Origin: their answers are as they were, and OPTIONS is a method like others."""
    async with (
        serve(plugins=[fake_provider_plugin()], origins=(PAGE,)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        answers = [
            await http.post(CHAT, json=BODY),
            await http.options(CHAT, headers={"access-control-request-method": "POST"}),
            await http.options(CHAT, headers={"origin": PAGE}),
        ]
    assert [answer.status_code for answer in answers] == [200, 204, 204]
    assert [len(cors(answer)) for answer in answers] == [0, 0, 2]


@pytest.mark.parametrize("wanted", ["", "x-a\u00e4", "x" * 5000, "a;b"])
async def test_strange_names_of_headers_are_not_repeated(serve: Any, wanted: str) -> None:
    """What is not a list of names is left out of the answer."""
    headers = {**BEFORE, "access-control-request-headers": wanted.encode("latin-1")}
    async with (
        serve(plugins=[fake_provider_plugin()], origins=(PAGE,)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        answer = await http.options(CHAT, headers=list(headers.items()))
    assert "access-control-allow-headers" not in cors(answer)
    assert answer.status_code == 204

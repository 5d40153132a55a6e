"""The contract of transports can be broken: aiohttp as it comes does not keep it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from localagent.instances import PoolProfile
from localagent.testing import TransportContract
from localagent.testing.contracts.exchanging import CAPS, POOL
from localagent.testing.contracts.transport import CUT_BODIES, GONE_BEFORE_AN_ANSWER, NO_HTTP
from localagent.timer import Watch
from localagent.transport import Caps, HttpAnswer

SECONDS = 1.0


class NaiveAnswer:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def ended(self) -> bool:
        return self._response.content.at_eof()

    async def read(self, cap: int | None = None) -> bytes:
        return await self._response.read()

    async def part(self) -> bytes:
        return await self._response.content.readany()

    def abort(self) -> None:
        self._response.close()

    async def aclose(self) -> None:
        self._response.close()


class NaiveTransport:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, clocks: Watch
    ) -> HttpAnswer:
        return NaiveAnswer(await self._session.request(method, url, headers=headers, data=body))

    async def aclose(self) -> None: ...


class Naive(TransportContract):
    @asynccontextmanager
    async def transport(self, *, pool: PoolProfile = POOL, caps: Caps = CAPS) -> AsyncIterator[NaiveTransport]:
        async with aiohttp.ClientSession(trust_env=True, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield NaiveTransport(session)


def first(params: list[Any]) -> dict[str, Any]:
    """The first of the parametrized values, under the name that the tests give it."""
    return {"script" if isinstance(params[0].values[0], tuple) else "data": params[0].values[0]}


BROKEN: dict[str, dict[str, Any]] = {
    "test_a_refused_connection_was_never_sent": {},
    "test_a_new_connection_that_breaks_is_not_tried_again": first(GONE_BEFORE_AN_ANSWER),
    "test_a_kept_connection_that_breaks_is_tried_once": first(GONE_BEFORE_AN_ANSWER),
    "test_a_cut_body_is_an_error": first(CUT_BODIES),
    "test_what_is_no_http_is_a_protocol_error": first(NO_HTTP),
    "test_abort_from_a_callback_wakes_whoever_reads": {},
    "test_a_cut_compression_is_an_error": {"kept": 50_000, "pieces": 1, "how": "read"},
    "test_a_corrupt_compression_is_an_error": {},
    "test_an_unknown_compression_is_an_error": {},
    "test_a_bomb_is_cut_at_the_cap": {},
    "test_reading_stops_at_the_cap": {},
    "test_a_callers_own_cap_cuts_without_an_error": {"cap": 5},
    "test_waiting_for_a_slot_has_a_clock_of_its_own": {},
    "test_no_more_connections_than_slots": {},
    "test_redirects_are_not_followed": {"status": 307},
    "test_proxy_variables_are_ignored": {},
    "test_no_netrc_is_read": {},
    "test_no_cookies_are_kept": {},
    "test_no_header_can_be_injected": {"headers": {"X-A": "a\r\nX-Evil: 1"}},
}


@pytest.mark.parametrize("promise", BROKEN)
async def test_a_naive_transport_breaks_the_promise(
    promise: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Each of these promises costs something, and its test notices when it is not kept."""
    fixtures: dict[str, Any] = {"monkeypatch": monkeypatch, "tmp_path": tmp_path}
    test = getattr(Naive(), promise)
    wanted = {
        name: fixtures[name] for name in test.__code__.co_varnames[: test.__code__.co_argcount] if name in fixtures
    }
    with pytest.raises((Exception, pytest.fail.Exception)):
        await asyncio.wait_for(test(**BROKEN[promise], **wanted), SECONDS)

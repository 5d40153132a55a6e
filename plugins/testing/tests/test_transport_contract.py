"""The contract of transports can be broken: aiohttp as it comes does not keep it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.client_proto import ResponseHandler

from localagent.errors import UpstreamServerError
from localagent.records import ConnectSettings, PoolProfile, SizeLimits
from localagent.records.transport import HttpAnswer
from localagent.timing import PhaseTimer
from localagent_connect_aiohttp import AiohttpTransport, Inflater, Sessions, connector, transport
from localagent_connect_aiohttp.answer import AiohttpAnswer
from localagent_testing import TransportContract
from localagent_testing.contracts.exchanging import CAPS, HERE, POOL
from localagent_testing.contracts.transport import CUT_BODIES, GONE_BEFORE_AN_ANSWER, NO_HTTP
from localagent_testing.contracts.transport_kept import BREAKS
from localagent_testing.contracts.transport_odd import ROWS

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

    async def read_chunk(self) -> bytes:
        return await self._response.content.readany()

    def abort(self) -> None:
        self._response.close()

    async def aclose(self) -> None:
        self._response.close()


class NaiveTransport:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        return NaiveAnswer(await self._session.request(method, url, headers=headers, data=body))

    async def aclose(self) -> None: ...


class Naive(TransportContract):
    @asynccontextmanager
    async def transport(
        self, *, pool: PoolProfile = POOL, size_limits: SizeLimits = CAPS
    ) -> AsyncIterator[NaiveTransport]:
        async with aiohttp.ClientSession(trust_env=True, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield NaiveTransport(session)


def first(params: list[Any]) -> dict[str, Any]:
    """The first of the parametrized values, under the name that the tests give it."""
    return {"script" if isinstance(params[0].values[0], tuple) else "data": params[0].values[0]}


def kept_breaks() -> dict[str, Any]:
    """The first way in which a kept connection breaks."""
    script, size = BREAKS[0].values
    return {"script": script, "size": size}


BROKEN: dict[str, dict[str, Any]] = {
    "test_a_refused_connection_was_never_sent": {},
    "test_a_new_connection_that_breaks_is_not_tried_again": first(GONE_BEFORE_AN_ANSWER),
    "test_a_kept_connection_that_breaks_is_not_tried_again": {**kept_breaks(), "method": "GET"},
    "test_a_connection_is_not_kept_longer_than_the_server_says": {"said": "timeout=0"},
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


# One defect at a time, in the transport that keeps the contract -------------------------------------------------------


class Repeats(AiohttpTransport):
    """Sends a request again when a kept connection broke."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        try:
            return await super().send(method, url, headers, body, phases)
        except UpstreamServerError as error:
            if not error.advice.stale:
                raise
            return await super().send(method, url, headers, body, phases)


class TakesAny(AiohttpTransport):
    """Takes a kept connection also where a new one is asked for."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        phases.fresh = False
        return await super().send(method, url, headers, body, phases)


class Crowds(AiohttpTransport):
    """Opens a new connection beside all that are kept."""

    def _make_room(self) -> None: ...


class Deaf(AiohttpTransport):
    """Does not hear for how long the server keeps connections."""

    def _keep_no_longer(self, offered: str) -> None: ...


class Patient(AiohttpTransport):
    """Keeps connections for as long as it likes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._sessions.keep_for(60.0)


def odd(row: str) -> dict[str, Any]:
    """A row of the table of odd answers."""
    (values,) = (param.values for param in ROWS if param.id == row)
    return {"data": values[0], "outcome": values[1]}


def mutated(kind: type[AiohttpTransport]) -> TransportContract:
    """The contract of a transport with a defect."""

    class Mutant(TransportContract):
        @asynccontextmanager
        async def transport(
            self, *, pool: PoolProfile = POOL, size_limits: SizeLimits = CAPS
        ) -> AsyncIterator[AiohttpTransport]:
            made = kind(attrs.evolve(HERE, pool=pool), ConnectSettings(size_limits))
            try:
                yield made
            finally:
                await made.aclose()

    return Mutant()


def blind(patch: pytest.MonkeyPatch) -> type[AiohttpTransport]:
    """Looks at no socket before it writes."""
    patch.setattr(connector, "is_stale", lambda transport: False)
    return AiohttpTransport


def gets_again(patch: pytest.MonkeyPatch) -> type[AiohttpTransport]:
    """Leaves to aiohttp what aiohttp does with a GET."""
    made = Sessions._make

    def make(self: Sessions) -> aiohttp.ClientSession:
        session = made(self)
        session._retry_connection = True
        return session

    patch.setattr(Sessions, "_make", make)
    return AiohttpTransport


def keeps_the_others(patch: pytest.MonkeyPatch) -> type[AiohttpTransport]:
    """Leaves the connections open that were idle beside one that broke."""
    patch.setattr(Sessions, "drop_idle", lambda self: None)
    return AiohttpTransport


def hogs(patch: pytest.MonkeyPatch) -> type[AiohttpTransport]:
    """Lets nobody else run while it decompresses what has come."""
    inflated = AiohttpAnswer._inflated_part

    async def at_once(self: AiohttpAnswer, inflater: Inflater) -> bytes:
        return inflater.pending() or await inflated(self, inflater)

    patch.setattr(AiohttpAnswer, "_inflated_part", at_once)
    return AiohttpTransport


def lenient(patch: pytest.MonkeyPatch) -> type[AiohttpTransport]:
    """Leaves heads to aiohttp's parser."""
    patch.setattr(connector, "StrictProtocol", ResponseHandler)
    return AiohttpTransport


def credulous(patch: pytest.MonkeyPatch) -> type[AiohttpTransport]:
    """Takes any version, status and transfer coding."""
    patch.setattr(transport, "check_head", lambda *about: None)
    return AiohttpTransport


def satisfied(patch: pytest.MonkeyPatch) -> type[AiohttpTransport]:
    """Reads the first member of a compression, and no other."""
    begin = Inflater._begin
    patch.setattr(Inflater, "_begin", lambda self: not self._ended and begin(self))
    return AiohttpTransport


BREAK = kept_breaks()
ODD = "test_an_odd_answer_has_one_outcome"
DRIPPED = "test_an_odd_answer_has_the_same_outcome_byte_by_byte"
BREAKING = "test_a_kept_connection_that_breaks_is_not_tried_again"
COMES = "test_what_comes_on_a_kept_connection_is_seen_before_it_is_used"
MUTANTS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "repeats": (lambda _: Repeats, BREAKING, {**BREAK, "method": "POST"}),
    "repeats a get": (gets_again, BREAKING, {**BREAK, "method": "GET"}),
    "blind to an end": (blind, COMES, {"method": "POST", "what": "end", "turns": 0}),
    "blind to bytes": (blind, COMES, {"method": "POST", "what": "bytes", "turns": 0}),
    "blind to others": (blind, "test_every_kept_connection_is_looked_at", {"others": 1}),
    "takes any": (lambda _: TakesAny, "test_a_fresh_request_goes_over_a_new_connection", {}),
    "crowds": (lambda _: Crowds, "test_a_fresh_request_keeps_to_the_limit", {}),
    "keeps the others": (keeps_the_others, "test_when_a_kept_connection_breaks_the_others_are_closed", {}),
    "deaf": (lambda _: Deaf, "test_a_connection_is_not_kept_longer_than_the_server_says", {"said": "timeout=0"}),
    "hogs": (hogs, "test_others_run_while_a_bomb_is_read", {}),
    "lenient": (lenient, ODD, odd("head: folded header")),
    "forgets who reads": (lenient, DRIPPED, odd("chunk: signed size")),
    "credulous": (credulous, ODD, odd("coding: gzip before chunked")),
    "satisfied": (satisfied, ODD, odd("compression: two members")),
    "patient": (lambda _: Patient, "test_a_connection_that_was_idle_too_long_is_not_used", {}),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_transport_with_one_defect_breaks_the_promise(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is promised of kept connections cannot be left out unnoticed."""
    defect, promise, values = MUTANTS[mutant]
    await getattr(mutated(AiohttpTransport), promise)(**values)
    test = getattr(mutated(defect(monkeypatch)), promise)
    with pytest.raises((Exception, pytest.fail.Exception)):
        await asyncio.wait_for(test(**values), SECONDS)

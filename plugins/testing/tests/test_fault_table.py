"""The fault table: complete, unambiguous, and every row can be put on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter

import pytest

from localagent.errors import StreamInterrupted, UpstreamError
from localagent.timing import Timeouts
from localagent_testing.faults import CALM, FAULTS, SECTIONS, Ask, Fault, Heard, fault
from localagent_testing.faults.dialects import DIALECTS
from localagent_testing.faults.driver import play
from localagent_testing.faults.records import ProtocolName, Scene, Verdict
from localagent_testing.faults.stages import SET_UPS

ROWS = range(1, 119)
SHOWN = [row for row in FAULTS if row.excluded is None]
WITHOUT_SERVER = {"unknown name", "silent resolver", "no listener", "full backlog", "silent peer"}
PLAYS = [(row, protocol) for row in SHOWN for protocol in row.protocols]


def test_every_row_is_there() -> None:
    """F1 to F118, shown in at least one form or excluded; nothing beyond."""
    assert {row.row for row in FAULTS} == set(ROWS)


def test_every_id_is_there_once() -> None:
    """``F18`` or ``F18.nan``; a row is not both excluded and shown."""
    assert [name for name, count in Counter(row.id for row in FAULTS).items() if count > 1] == []
    assert [row.id for row in FAULTS if not re.fullmatch(r"F[0-9]+(\.[\w .-]+)?", row.id)] == []
    assert {row.row for row in FAULTS if row.excluded}.isdisjoint(row.row for row in SHOWN)


def test_an_excluded_row_says_why_in_one_sentence() -> None:
    """It needs no more than that."""
    for row in FAULTS:
        assert row.excluded is None or re.fullmatch(r"[A-Z][^.]{20,}\.", row.excluded), row.id


def test_every_row_that_is_shown_expects_something_definite() -> None:
    """An error, or a text; a cause only where content may have been handed out."""
    for row in SHOWN:
        assert bool(row.expect.errors) != (row.expect.text is not None), row.id
        assert not row.expect.causes or row.expect.errors == (StreamInterrupted,), row.id
        assert row.title, row.id
        assert row.setup in SET_UPS, row.id
        assert row.protocols, row.id


def test_a_row_about_a_clock_shortens_that_clock_alone() -> None:
    """So the error says which clock fired; and every clock named by a time-out is short."""
    for row in SHOWN:
        short = [
            name for name in ("connect", "pool", "send", "load", "first_token", "idle", "total") if _short(row, name)
        ]
        assert len(short) <= 1, row.id
        named = {"dns": "connect"}.get(row.expect.phase or "", row.expect.phase)
        if row.expect.phase not in (None, "tls"):
            assert short == [named], row.id


def _short(row: Fault, clock: str) -> bool:
    return bool(getattr(row.timeouts, clock) < getattr(CALM, clock))


def test_sections_cover_all_rows_without_overlap() -> None:
    """A row's section follows from its number."""
    assert sorted(number for rows in SECTIONS.values() for number in rows) == list(ROWS)
    assert fault("F18.nan").section == "answers"
    assert fault("F112.late").section == "ollama"


def test_a_row_is_found_by_its_id() -> None:
    """An unknown id is an error."""
    assert fault("F14").row == 14
    with pytest.raises(KeyError):
        fault("F0")


@pytest.mark.parametrize("protocol", ["openai", "ollama"])
def test_what_is_good_in_the_table_is_good(protocol: ProtocolName) -> None:
    """The answer that the faulty ones are made from is valid JSON with the text in its place."""
    document = json.loads(json.dumps(DIALECTS[protocol].completion("text")))
    message = document["choices"][0]["message"] if protocol == "openai" else document["message"]
    assert message == {"role": "assistant", "content": "text"}


def test_every_script_can_be_made_for_every_protocol_of_its_row() -> None:
    """A script is not empty; rows without a script have a set-up without a server of ours."""
    for row, protocol in PLAYS:
        if row.script is None:
            assert row.setup in {"unknown name", "silent resolver", "no listener", "full backlog", "silent peer"}, (
                row.id
            )
        else:
            assert row.script(Scene(DIALECTS[protocol], "http://127.0.0.1:1")), row.id


async def _raw(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
    """Send a bare request, read a moment, and report a bare failure whatever came."""
    host, port = url.split("/")[2].rsplit(":", 1)
    with contextlib.suppress(OSError):  # TimeoutError too
        async with asyncio.timeout(0.05):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + bytes(100))
                await reader.read(1)
                ask.heard()
                await reader.read(200_000)
            finally:
                writer.transport.abort()
    raise UpstreamError("It did not work.")


async def test_every_row_can_be_put_on_the_wire_and_takes_more_than_a_bare_failure() -> None:
    """No script has a mistake in it, no set-up is missing, what this machine cannot show says why."""
    few = asyncio.Semaphore(16)

    async def judged(row: Fault, protocol: ProtocolName) -> Verdict:
        async with few:
            return await play(row, protocol, _raw, ceiling=5.0)

    together = [judged(row, protocol) for row, protocol in PLAYS if row.setup == "server"]
    verdicts = await asyncio.gather(*together)
    verdicts += [await judged(row, protocol) for row, protocol in PLAYS if row.setup != "server"]
    assert [verdict for verdict in verdicts if verdict.passed or not verdict.detail] == []
    assert len(verdicts) == len(PLAYS)


async def test_whoever_always_succeeds_passes_no_row_that_expects_an_error() -> None:
    """Also where the text is the right one."""

    async def glad(url: str, ask: Ask, timeouts: Timeouts) -> Heard:
        return Heard("Hello world")

    passed = [
        row.id
        for row, protocol in PLAYS
        if row.expect.errors and not row.expect.may_succeed and not row.beside
        if (await play(row, protocol, glad)).passed
    ]
    assert passed == []

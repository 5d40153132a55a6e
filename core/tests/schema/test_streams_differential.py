"""Our parser of server-sent events against httpx-sse, which many clients use.

The two agree on every stream, except where httpx-sse leaves the standard. Each of these deviations stands once in
``DEVIATIONS`` and once on the page ``docs/reference/sse-deviations.md``; one that is not listed fails here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
import httpx
import httpx_sse
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sse_standard import BOM, as_the_standard_says

from localagent.schema.streams import SSEParser
from localagent_testing.sse_vectors import SSE_VECTORS, SSEEvent, SSEVector

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "sse-deviations.md"

Event = tuple[str, str, str, int | None]


def ours(pieces: Iterable[bytes]) -> list[Event]:
    """Return the standard's events of a stream; our parser reads their payloads."""
    pieces = list(pieces)
    events = as_the_standard_says(b"".join(pieces))
    parser = SSEParser()
    assert [payload for piece in pieces for payload in parser.feed(piece)] == [event.data for event in events]
    return [as_text(event) for event in events]


def as_text(event: SSEEvent) -> Event:
    return event.type, event.data.decode(errors="replace"), event.id, event.retry


def theirs(pieces: Iterable[bytes]) -> list[Event]:
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=iter(pieces))
    return [(event.event, event.data, event.id, event.retry) for event in httpx_sse.EventSource(answer).iter_sse()]


# Each deviation by its rule: how a stream shows it, and what the standard would have made of the stream.


@attrs.frozen
class Deviation:
    """A rule of the standard that httpx-sse does not follow.

    Attributes:
        rule: Its name on the page of deviations.
        rewrite: Rewrites the lines of a stream to what the rule makes of them. Lines that do not touch the rule stay.
        example: The shortest stream that shows it.
    """

    rule: str
    rewrite: Callable[[list[bytes]], list[bytes]]
    example: bytes


def field(line: bytes) -> bytes:
    return line.partition(b":")[0]


def without_bom(lines: list[bytes]) -> list[bytes]:
    return [line if number else line.removeprefix(BOM) for number, line in enumerate(lines)]


def without_bad_retry(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if field(line) != b"retry" or re.fullmatch(rb"retry: ?[0-9]+", line)]


def without_empty_events(lines: list[bytes]) -> list[bytes]:
    """Drop type and end of every event without data, so that its id and its retry come with the next event.

    Events of comments alone stay, until there is an id: httpx-sse takes any id so far for a part of them.
    """
    kept: list[bytes] = []
    block: list[bytes] = []
    set_so_far: set[bytes] = set()
    for line in lines:
        block.append(line)
        set_so_far |= {field(line)} & {b"data", b"event", b"id", b"retry"}
        if line == b"":
            kept += [line for line in block if field(line) != b"event" and line] if is_odd(set_so_far) else block
            block = []
            set_so_far &= {b"id"}
    return kept + block


def is_odd(set_so_far: set[bytes]) -> bool:
    return bool(set_so_far) and b"data" not in set_so_far


DEVIATIONS = [
    Deviation("byte-order-mark", without_bom, BOM + b"data: a\n\n"),
    Deviation("no-dispatch-without-data", without_empty_events, b"event: ping\n\n"),
    Deviation("retry-is-ascii-digits", without_bad_retry, b"retry: -5\ndata: a\n\n"),
]


def rewritten(stream: bytes, deviations: list[Deviation]) -> tuple[list[str], bytes]:
    """Return the rules that bear on the stream, and the stream rewritten by them, or as it is where none does."""
    *lines, unfinished = re.split(rb"\r\n|\r|\n", stream)
    shown: list[str] = []
    for deviation in deviations:
        rewritten = deviation.rewrite(lines)
        shown += [deviation.rule] if rewritten != lines else []
        lines = rewritten
    return shown, b"\n".join([*lines, unfinished]) if shown else stream


FRAGMENTS = [b"data: ", b"data:", b"data", b"event: ", b"id: ", b"retry: ", b"retry: -", b": note", b":", b" "]
FRAGMENTS += [b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"\r\r", BOM, b"\0", b"\xff", b"\xe2\x80\xa8", b"\xf0\x9f"]
FRAGMENTS += [b"7", b"1_000", "٣".encode(), b"[DONE]", b"a", b'{"a": "b"}', "😀".encode(), b'data: {"a":1}\n\n']
any_stream = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)

# Well-behaved streams, so that most examples are compared as they are: data in every event, line ends of every kind.
line_end = st.sampled_from([b"\n", b"\r\n", b"\r"])
good_value = st.sampled_from([b"", b" ", b"a", b'{"a": "b"}', b"\xff", b"\xf0\x9f\x98", "a\u2028b".encode(), b"x:\0"])
good_line = st.sampled_from([b"event: a", b"event:", b"id: 1", b"id", b"id: \0", b"retry: 70", b": note", b"other: a"])
data_line = good_value.map(lambda value: b"data: " + value)


@st.composite
def good_events(draw: st.DrawFn) -> bytes:
    lines = draw(st.permutations([draw(data_line), *draw(st.lists(good_line | data_line, max_size=3))]))
    end = draw(line_end)
    return b"".join(line + end for line in [*lines, b""])


good_stream = st.lists(good_events(), max_size=6).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    stream = draw(streams)
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.rule)
def test_listed_deviation_is_real(deviation: Deviation) -> None:
    """On its example httpx-sse differs from us, and agrees once this rule is applied for it."""
    shown, stream = rewritten(deviation.example, [deviation])
    assert shown == [deviation.rule]
    assert theirs([deviation.example]) != ours([deviation.example])
    assert theirs([stream]) == ours([deviation.example])


def test_every_deviation_has_its_place_on_the_page() -> None:
    """Rules of the table and headings of the page are the same, and the page counts the vectors right."""
    page = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^\(sse-([a-z0-9-]+)\)=$", page, flags=re.MULTILINE)
    named = {deviation.rule for deviation in DEVIATIONS} | {ONLY_IN_TIME, ONLY_IN_OPENAI}
    assert set(headings) == named
    assert f"| LocalAgent | {len(SSE_VECTORS)} of {len(SSE_VECTORS)} |" in page


@pytest.mark.parametrize("vector", SSE_VECTORS, ids=lambda vector: vector.name)
def test_vector_is_read_alike_or_shows_a_listed_rule(vector: SSEVector) -> None:
    """httpx-sse reads a vector as the standard does, or the vector shows a rule of the table, which explains it."""
    shown, stream = rewritten(vector.stream, DEVIATIONS)
    expected = [as_text(event) for event in vector.events]
    assert theirs([stream]) == expected
    assert shown or theirs([vector.stream]) == expected


@settings(deadline=None)
@given(cut_streams(good_stream))
def test_streams_without_a_deviation_are_read_alike(pieces: list[bytes]) -> None:
    """At the same cuts both parsers give the same events, with type, id and retry."""
    assert rewritten(b"".join(pieces), DEVIATIONS)[0] == []
    assert ours(pieces) == theirs(pieces)


@settings(deadline=None, max_examples=300)
@given(cut_streams(any_stream))
@example([b"id: 1\ndata: a\n\n", b": note\n\n"])
@example([b"retry: 7\r", b"\n\r", b"\ndata: a\n\n"])
def test_any_stream_is_read_alike_once_the_listed_rules_are_applied(pieces: list[bytes]) -> None:
    """There is no deviation that the table does not explain."""
    shown, stream = rewritten(b"".join(pieces), DEVIATIONS)
    assert ours(pieces) == theirs([stream] if shown else pieces)


ONLY_IN_TIME = "line-end-needs-no-more-bytes"
ONLY_IN_OPENAI = "invalid-utf8-is-replaced"


def test_httpx_sse_waits_behind_a_carriage_return() -> None:
    """A deviation in time only: behind a CR httpx-sse holds an event back until the next byte; we do not."""
    pulled: list[int] = []

    def pieces() -> Iterable[bytes]:
        for number, piece in enumerate([b"data: a\r\r", b"data: b\r\r"]):
            pulled.append(number)
            yield piece

    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=pieces())
    next(iter(httpx_sse.EventSource(answer).iter_sse()))
    assert pulled == [0, 1]
    assert SSEParser().feed(b"data: a\r\r") == [b"a"]

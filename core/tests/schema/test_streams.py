"""The parsers of streams: every rule of the standard, at every cut, within their size limits."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sse_standard import BOM, as_the_standard_says

from localagent.errors import ResponseTooLarge
from localagent.schema.streams import NDJSONParser, SSEParser
from localagent_testing.sse_vectors import SSE_VECTORS, SSEVector

CHAT_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a b"}}]}\n\n'

unhurried = settings(deadline=None)  # how long an example takes is no verdict
each_vector = pytest.mark.parametrize("vector", SSE_VECTORS, ids=lambda vector: vector.name)


# Ways to cut a stream, and to read what is cut.


def bytewise(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def in_two(stream: bytes) -> list[list[bytes]]:
    return [[stream[:i], stream[i:]] for i in range(len(stream) + 1)]


def every_cut(stream: bytes) -> list[list[bytes]]:
    return [[stream], bytewise(stream), *in_two(stream)]


def payloads(pieces: Iterable[bytes]) -> list[bytes]:
    parser = SSEParser()
    return [payload for piece in pieces for payload in parser.feed(piece)]


def lines(pieces: Iterable[bytes]) -> tuple[list[bytes], bytes]:
    parser = NDJSONParser()
    return [line for piece in pieces for line in parser.feed(piece)], parser.rest()


def until_refused(feed: Callable[[bytes], list[bytes]], pieces: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """Everything that was handed out, and whether the parser refused to go on before or at the end."""
    handed_out: list[bytes] = []
    try:
        for piece in [*pieces, b""]:
            handed_out += feed(piece)
    except ResponseTooLarge:
        return handed_out, True
    return handed_out, False


# Generated streams: fragments that meet at every boundary that matters.

FRAGMENTS = [b"data: ", b"data:", b"data", b"event: ", b"event", b"id: ", b"id", b"retry: ", b": note", b":", b" "]
FRAGMENTS += [b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"\r\r", BOM, BOM[:2], b"\0", b"\xff", b"\xe2\x80\xa8"]
FRAGMENTS += [b"7", b"[DONE]", b"a", b'{"a": "b"}', "😀".encode(), CHAT_EVENT, CHAT_EVENT * 3]
any_stream = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=30).map(b"".join)
one_line = st.binary(max_size=20).map(lambda value: re.sub(rb"[\r\n]", b"", value))
plain_stream = st.lists(one_line.map(lambda value: b"data: " + value + b"\n\n"), max_size=10).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn, streams: st.SearchStrategy[bytes] = any_stream) -> list[bytes]:
    stream = draw(streams)
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


# Server-sent events


@each_vector
def test_vector_gives_its_payloads_at_every_cut(vector: SSEVector) -> None:
    """Whole, byte by byte and at every two-way split, a vector gives the payloads of the standard's events."""
    for pieces in every_cut(vector.stream):
        assert payloads(pieces) == [data for _, data in vector.pairs], vector.rule


@each_vector
def test_vector_behind_plain_events_gives_its_events(vector: SSEVector) -> None:
    """A vector is read the same in the middle of a stream; only a byte order mark means something else there."""
    stream = b"x" * 3 + vector.stream if vector.stream.startswith(BOM[:2]) else vector.stream
    expected = payloads([CHAT_EVENT]) + [event.data for event in as_the_standard_says(stream)]
    for pieces in every_cut(stream):
        assert payloads([CHAT_EVENT, *pieces]) == expected, vector.rule


def test_vectors_are_many_and_named_apart() -> None:
    """There are at least 30 vectors, each with a name of its own and a rule."""
    assert len({vector.name for vector in SSE_VECTORS}) == len(SSE_VECTORS) >= 30
    assert all(vector.rule for vector in SSE_VECTORS)


@each_vector
def test_vector_agrees_with_the_standards_algorithm(vector: SSEVector) -> None:
    """The vectors and the word-by-word algorithm that judges generated streams say the same."""
    assert as_the_standard_says(vector.stream) == list(vector.events)


@unhurried
@given(cut_streams())
@example([CHAT_EVENT * 2, b"\r", b"\n" + CHAT_EVENT])
@example([BOM[:1], BOM[1:] + CHAT_EVENT, b": note\n", CHAT_EVENT])
@example([b"retry: 7\n\n", CHAT_EVENT])
def test_any_stream_at_any_cuts_is_read_as_the_standard_says(pieces: list[bytes]) -> None:
    """Wherever a stream is cut, its payloads are those of the whole, and those of the standard."""
    assert payloads(pieces) == [event.data for event in as_the_standard_says(b"".join(pieces))]


@unhurried
@given(cut_streams(plain_stream), st.binary(max_size=10))
def test_short_cut_and_full_grammar_agree(pieces: list[bytes], tail: bytes) -> None:
    """One-line data events give the same payloads from large pieces (short cut) and byte by byte (full grammar)."""
    pieces = [b"\n", *pieces, tail]
    assert payloads(pieces) == payloads(bytewise(b"".join(pieces)))


class LineCounting(SSEParser):
    """Counts the pieces that were read line by line."""

    slow = 0

    def _read_lines(self, text: bytes) -> list[bytes]:
        self.slow += text != b""
        return super()._read_lines(text)


@pytest.mark.parametrize(
    ("pieces", "slow"),
    [
        pytest.param([CHAT_EVENT] * 5, 0, id="one event a piece"),
        pytest.param([CHAT_EVENT * 50], 0, id="many events a piece"),
        pytest.param([CHAT_EVENT * 2 + CHAT_EVENT[:9], CHAT_EVENT[9:], CHAT_EVENT], 0, id="cut inside an event"),
        pytest.param([CHAT_EVENT.replace(b"\n", b"\r\n")] * 3, 0, id="crlf"),
        pytest.param([BOM + CHAT_EVENT, CHAT_EVENT], 0, id="bom"),
        pytest.param([b": note\n\n", CHAT_EVENT, CHAT_EVENT], 1, id="only the piece with the comment"),
        pytest.param([b"event: a\n" + CHAT_EVENT, CHAT_EVENT], 1, id="only the piece with the type"),
    ],
)
def test_plain_events_are_never_read_line_by_line(pieces: list[bytes], slow: int) -> None:
    """Pieces of one-line data events take the short cut; one odd piece makes no later piece slow."""
    parser = LineCounting()
    assert sum(len(parser.feed(piece)) for piece in pieces) == b"".join(pieces).count(b"data: ")
    assert parser.slow == slow


@pytest.mark.parametrize(
    ("pieces", "counts"),
    [
        pytest.param([b"data: a\n", b"\n"], [0, 1], id="lf"),
        pytest.param([b"data: a\r", b"\r", b"\n"], [0, 1, 0], id="cr, and the lf that belongs to it"),
        pytest.param([b"data: a\r\n\r", b"\n"], [1, 0], id="the cr of a crlf"),
        pytest.param([b"data: a\n\r", b"\ndata: b\n\n"], [1, 1], id="lf behind the cr begins nothing"),
        pytest.param([b"data: a\r", b"", b"\n", b"\r"], [0, 0, 0, 1], id="an empty piece between cr and lf"),
    ],
)
def test_event_is_dispatched_at_the_first_byte_that_ends_it(pieces: list[bytes], counts: list[int]) -> None:
    """An event does not wait for a byte behind its empty line, not even for the LF of a CRLF."""
    parser = SSEParser()
    assert [len(parser.feed(piece)) for piece in pieces] == counts


def test_retry_of_absurd_length_is_ignored() -> None:
    """It costs nothing and raises nothing."""
    assert payloads([b"retry: " + b"9" * 100_000 + b"\ndata: a\n\n"]) == [b"a"]


def test_payload_bytes_come_as_they_were_sent() -> None:
    """Escapes, invalid UTF-8 and odd spaces of a payload are not touched; text decoding replaces what is invalid."""
    payload = b'{"a":"\\u00e4 \xff \xf0\x9f"}  '
    [read] = payloads([b"data: " + payload + b"\n\n"])
    assert read == payload
    assert read.decode(errors="replace") == '{"a":"\\u00e4 \ufffd \ufffd"}  '


CAPPED = 20
OVER_THE_CAP = [
    pytest.param(b"data: " + b"x" * 15 + b"\n\n", id="one line"),
    pytest.param(b"data: " + b"x" * 15, id="a line without end"),
    pytest.param(b"data: 12345\ndata: 1234\n\n", id="several lines"),
    pytest.param(b"data: 12345\r\ndata: 1234", id="several lines and no end"),
    pytest.param(b": " + b"x" * 19, id="a comment"),
    pytest.param(b"event: 12345\ndata: 123\n\n", id="type and data"),
]


@pytest.mark.parametrize("oversize", OVER_THE_CAP)
@pytest.mark.parametrize("behind", [b"\n\ndata: late\n\n", b""], ids=["events behind it", "nothing behind it"])
def test_event_over_the_cap_is_refused_at_every_cut(oversize: bytes, behind: bytes) -> None:
    """The events in front of one over the cap are handed out, nothing behind it is, wherever the cuts fall."""
    for pieces in every_cut(b"data: a\n\nevent: b\ndata: b\n\n" + oversize + behind):
        assert until_refused(SSEParser(max_event=CAPPED).feed, pieces) == ([b"a", b"b"], True)


def test_event_of_exactly_the_cap_is_read() -> None:
    """Line ends do not count, and every event has the whole cap for itself."""
    exact = b"data: " + b"x" * 14 + b"\n\n"
    lines_of_exact = b"data: 1234\r\ndata: 1234\r\n\r\n"
    for pieces in every_cut(BOM + exact * 3 + lines_of_exact * 2):
        read = until_refused(SSEParser(max_event=CAPPED).feed, pieces)
        assert read == ([b"x" * 14] * 3 + [b"1234\n1234"] * 2, False)


def test_refusal_says_what_and_holds() -> None:
    """The error names the cap and the phase, and every later call raises it again."""
    parser = SSEParser(max_event=CAPPED)
    for piece in [b"x" * 21, b"", b"\n\ndata: a\n\n"]:
        with pytest.raises(ResponseTooLarge, match="20 bytes") as caught:
            parser.feed(piece)
        assert caught.value.phase == "read"


@pytest.mark.parametrize("line", [b"x", b"data: x\n"], ids=["one endless line", "one endless event"])
def test_endless_event_is_refused_within_a_bound_of_memory(line: bytes) -> None:
    """64 MiB in small pieces stop at the cap of 1 MiB; never is more than a few times the cap held."""
    cap = 1024 * 1024
    piece = line * (1024 // len(line))
    tracemalloc.start()
    try:
        _, refused = until_refused(SSEParser(max_event=cap).feed, [piece] * (64 * 1024))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused
    assert peak < 4 * cap


def test_long_event_in_small_pieces_is_read_whole() -> None:
    """An event of nearly 8 MiB in pieces of 1 KiB arrives complete under the default cap."""
    payload = b"0123456789abcdef" * (8 * 1024 * 1024 // 16 - 1)
    stream = b"data: " + payload + b"\n\n"
    assert payloads(stream[i : i + 1024] for i in range(0, len(stream), 1024)) == [payload]


# Newline-delimited JSON

NDJSON_CASES = [
    pytest.param(b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}'], b"", id="lines"),
    pytest.param(b'{"a":1}\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}'], b"", id="crlf"),
    pytest.param(b"1\r2\r\r\n3\n", [b"1\r2\r", b"3"], b"", id="a cr alone ends nothing"),
    pytest.param(b"\n\n1\n \t\r\n\r\n2\n\n", [b"1", b"2"], b"", id="blank lines"),
    pytest.param('"\u2028\u2029\x85"\n'.encode(), ['"\u2028\u2029\x85"'.encode()], b"", id="unicode line separators"),
    pytest.param(b'"\x0b\x0c\x1c\x1d\x1e"\n', [b'"\x0b\x0c\x1c\x1d\x1e"'], b"", id="control characters"),
    pytest.param(b"\x0b\n\x0c\n", [b"\x0b", b"\x0c"], b"", id="other blanks of ascii are no blanks of json"),
    pytest.param(b' {"a": 1} \n', [b' {"a": 1} '], b"", id="spaces around a document stay"),
    pytest.param(b'1\n{"done":true}', [b"1"], b'{"done":true}', id="last line without newline"),
    pytest.param(b'1\n{"done":true}\r', [b"1"], b'{"done":true}', id="last line without the lf of its crlf"),
    pytest.param(b'1\n{"do', [b"1"], b'{"do', id="cut line"),
    pytest.param(b"1\n \r", [b"1"], b"", id="nothing but blanks left"),
    pytest.param(b'"\xff\xe2\x80"\n\xc2\n', [b'"\xff\xe2\x80"', b"\xc2"], b"", id="invalid utf-8"),
    pytest.param(b"", [], b"", id="nothing"),
]

ndjson_stream = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"\t", b'{"a":1}', "\u2028".encode(), b"\x0b", b"\xff"]), max_size=20
).map(b"".join)


@pytest.mark.parametrize(("stream", "whole", "rest"), NDJSON_CASES)
def test_ndjson_lines_at_every_cut(stream: bytes, whole: list[bytes], rest: bytes) -> None:
    """Whole, byte by byte and at every two-way split, a stream gives its lines and what is left."""
    for pieces in every_cut(stream):
        assert lines(pieces) == (whole, rest)


@unhurried
@given(cut_streams(ndjson_stream))
def test_ndjson_is_split_at_lf_and_nothing_else(pieces: list[bytes]) -> None:
    """At any cuts, the lines are what LF separates: without the CR at their end, without the blank ones."""
    *whole, last = [line.removesuffix(b"\r") for line in b"".join(pieces).split(b"\n")]
    assert lines(pieces) == ([line for line in whole if line.strip(b" \t\r")], last if last.strip(b" \t\r") else b"")


def test_ndjson_rest_may_be_asked_at_any_time() -> None:
    """``rest`` takes nothing away: the line goes on when more of it comes."""
    parser = NDJSONParser()
    parser.feed(b'{"a"')
    assert parser.rest() == parser.rest() == b'{"a"'
    assert parser.feed(b":1}\n") == [b'{"a":1}']
    assert parser.rest() == b""


@pytest.mark.parametrize("oversize", [b"x" * 21 + b"\nlate\n", b"x" * 21], ids=["complete", "without end"])
def test_ndjson_line_over_the_cap_is_refused_at_every_cut(oversize: bytes) -> None:
    """The lines in front of one over the cap are handed out, nothing behind it is, wherever the cuts fall."""
    for pieces in every_cut(b"1\n" + b"y" * 20 + b"\n" + oversize):
        assert until_refused(NDJSONParser(max_line=CAPPED).feed, pieces) == ([b"1", b"y" * 20], True)


def test_ndjson_refusal_says_what_and_holds() -> None:
    """The error names the cap and the phase; ``feed`` and ``rest`` raise it from then on."""
    parser = NDJSONParser(max_line=CAPPED)
    with pytest.raises(ResponseTooLarge):
        parser.feed(b"x" * 21)
    for _ in range(2):
        with pytest.raises(ResponseTooLarge, match="20 bytes") as caught:
            parser.feed(b"\n")
        assert caught.value.phase == "read"
        with pytest.raises(ResponseTooLarge, match="20 bytes"):
            parser.rest()


def test_ndjson_endless_line_is_refused_within_a_bound_of_memory() -> None:
    """64 MiB without a newline stop at the cap of 1 MiB; never is more than a few times the cap held."""
    cap = 1024 * 1024
    tracemalloc.start()
    try:
        _, refused = until_refused(NDJSONParser(max_line=cap).feed, [b"x" * 1024] * (64 * 1024))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused
    assert peak < 4 * cap

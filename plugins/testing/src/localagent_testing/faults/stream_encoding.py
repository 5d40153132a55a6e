"""Odd ways to write a good stream (F92 to F99): comments, line ends, byte order marks, characters cut in two."""

from __future__ import annotations

from collections.abc import Callable

from localagent_testing.faults.dialects import (
    SECOND,
    TEXT,
    Dialect,
    openai_chunk,
    whole,
)
from localagent_testing.faults.exchanges import Events, streams
from localagent_testing.faults.expectations import succeeds
from localagent_testing.faults.records import BOTH, OPENAI, Fault, ProtocolName
from localagent_testing.http_bytes import sse
from localagent_testing.steps import Drip

BOM = b"\xef\xbb\xbf"
UNICODE = "Gr\u00fc\u00dfe, \u6f22\u5b57, e\u0301, \U0001f469\u200d\U0001f4bb!"
LINE_LIKE = "one\u2028two\u0085three\u2029four"


def stream(
    id_: str, title: str, events: Events, text: str = TEXT, protocols: tuple[ProtocolName, ...] = OPENAI
) -> Fault:
    """Return a row for a stream that results in this text."""
    return Fault(id_, title, streams(events), succeeds(text), protocols, "stream")


def rewritten(
    id_: str, title: str, change: Callable[[bytes], bytes], protocols: tuple[ProtocolName, ...] = OPENAI
) -> Fault:
    """Return a row for a good stream whose bytes are changed without changing their meaning."""
    return stream(id_, title, lambda d: [change(b"".join(whole(d)))], protocols=protocols)


def bytewise(id_: str, title: str, make: Callable[[Dialect], bytes], text: str, *protocols: ProtocolName) -> Fault:
    """Return a row for a good stream that arrives byte by byte."""
    script = streams(lambda d: [Drip(make(d), 1, 0.0)], framing="close")
    return Fault(id_, title, script, succeeds(text), protocols or OPENAI, "stream")


def _mixed_ends(data: bytes) -> bytes:
    first, second, rest = data.split(b"\n", 2)
    return first + b"\r\n" + second + b"\r" + rest.replace(b"\n\n", b"\r\n\r\n", 1).replace(b"\n\n", b"\n\r\n")


def _multi_line(_: Dialect) -> list[bytes]:
    event = sse([openai_chunk({"content": TEXT})]).replace(b',"choices"', b',\ndata: "choices"')
    return [sse([openai_chunk({"role": "assistant"})]), event, sse([openai_chunk({}, "stop"), "[DONE]"])]


ROWS: tuple[Fault, ...] = (
    stream(
        "F92",
        "comments between the events",
        lambda d: [d.quiet, *(part for event in whole(d) for part in (event, d.quiet))],
        TEXT,
        BOTH,
    ),
    stream("F92.processing", "a comment first", lambda d: [b": OPENROUTER PROCESSING\n\n", *whole(d)]),
    stream(
        "F93",
        "event: ping without data",
        lambda d: [part for event in whole(d) for part in (b"event: ping\n\n", event)],
        TEXT,
    ),
    rewritten("F94.crlf", "lines end with CR LF", lambda data: data.replace(b"\n", b"\r\n"), BOTH),
    rewritten("F94.cr", "lines end with CR", lambda data: data.replace(b"\n", b"\r")),
    rewritten("F94.mixed", "lines end with CR LF, CR and LF", _mixed_ends),
    bytewise(
        "F94.split",
        "lines end with CR LF, a byte at a time",
        lambda d: b"".join(whole(d)).replace(b"\n", b"\r\n"),
        TEXT,
        *BOTH,
    ),
    rewritten("F95.start", "a byte order mark at the start", lambda data: BOM + data),
    bytewise("F95.split", "a byte order mark, a byte at a time", lambda d: BOM + b"".join(whole(d)), TEXT),
    stream("F95.inside", "a byte order mark in the text", lambda d: whole(d, ["a\ufeffb"]), "a\ufeffb", BOTH),
    bytewise(
        "F96",
        "characters of several bytes, a byte at a time",
        lambda d: b"".join(whole(d, [UNICODE])),
        UNICODE,
        *BOTH,
    ),
    stream(
        "F97",
        "a byte that is not UTF-8",
        lambda d: [event.replace(b"?", b"\xff") for event in whole(d, ["he?llo", SECOND])],
        "he\ufffdllo" + SECOND,
    ),
    stream(
        "F98",
        "characters in the text that are line ends elsewhere",
        lambda d: whole(d, [LINE_LIKE]),
        LINE_LIKE,
        BOTH,
    ),
    stream(
        "F98.comment",
        "vertical tab and form feed in a comment",
        lambda d: [b": a\x0bdata: [DONE]\x0cdata: b\n\n", *whole(d)],
        TEXT,
    ),
    stream("F99", "one event in several data lines", _multi_line),
)

"""Contents of streams (F85 to F91 and F100 to F106): errors, usage, tool calls, choices, damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localagent import LocalAgentError
from localagent.errors import Overloaded, RateLimited, UpstreamProtocol, UpstreamServerError
from localagent_testing.faults.dialects import (
    FIRST,
    SECOND,
    Dialect,
    openai_chunk,
    openai_usage,
    whole,
)
from localagent_testing.faults.exchanges import Events, heard, streams
from localagent_testing.faults.expectations import Expect, Says, fails, interrupted, succeeds
from localagent_testing.faults.records import BOTH, OPENAI, Fault, ProtocolName, excluded
from localagent_testing.http_bytes import Body, sse
from localagent_testing.steps import Hold

MAPPED = Says(next=True)
MAPPED_UNKNOWN = Says(next=True, billed="unknown")
TICKS = ("tick ",) * 40
OPENING = openai_chunk({"role": "assistant", "content": ""})
FINISH = openai_chunk({}, "stop")
DONE = "[DONE]"


def stream(id_: str, title: str, events: Events, expect: Expect, protocols: tuple[ProtocolName, ...] = OPENAI) -> Fault:
    """Return a row for a stream."""
    return Fault(id_, title, streams(events), expect, protocols, "stream")


def said(id_: str, title: str, *events: Body, expect: Expect | None = None) -> Fault:
    """Return a row for a stream of these server-sent events and ``[DONE]``."""
    return stream(id_, title, lambda _: [sse([*events, DONE])], expect or succeeds())


def first_is_error(name: str, error: Body, expected: type[LocalAgentError], says: Says = MAPPED) -> Fault:
    """Return a row for a stream whose first event is an error."""
    return stream(
        f"F85.{name}", f"the first event is an error: {name}", lambda _: [sse([error])], fails(expected, says=says)
    )


def _overloaded(_: Dialect) -> bytes:
    return b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


def _bad(dialect: Dialect) -> bytes:
    """Return an event whose JSON is broken."""
    return dialect.text("lost").replace(b'"lost"', b'"lost')


def _text(*texts: str) -> list[dict[str, Any]]:
    return [openai_chunk({"content": text}) for text in texts]


def _call(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    """Return a chunk with a part of a tool call."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    call: dict[str, Any] = {"index": index, "function": function}
    if name is not None:
        call |= {"id": f"call_{index}", "type": "function"}
    return openai_chunk({"tool_calls": [call]})


def _choices(*parts: tuple[int, str | None]) -> Sequence[dict[str, Any]]:
    """Return chunks of several choices: an index with text, or with None for its finish."""
    return [
        openai_chunk({}, "stop", index) if text is None else openai_chunk({"content": text}, None, index)
        for index, text in parts
    ]


ROWS: tuple[Fault, ...] = (
    stream(
        "F85",
        "the first event is an error",
        lambda d: [d.failure("The server had an error.")],
        fails(UpstreamServerError, says=MAPPED_UNKNOWN),
        BOTH,
    ),
    first_is_error(
        "rate",
        {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}},
        RateLimited,
    ),
    first_is_error("overloaded", {"error": {"message": "Busy.", "type": "overloaded_error"}}, Overloaded),
    stream(
        "F86",
        "an error after 40 tokens",
        lambda d: [d.opening(), *map(d.text, TICKS), Hold(), d.failure("The server had an error.")],
        interrupted(UpstreamServerError, partial="".join(TICKS)),
        BOTH,
    ),
    stream("F87.early", "event: error comes first", lambda d: [_overloaded(d)], fails(Overloaded, says=MAPPED)),
    stream("F87.late", "event: error after text", lambda d: [*heard(d), _overloaded(d)], interrupted(Overloaded)),
    stream(
        "F88.early",
        "the error is a string, and comes first",
        lambda _: [sse([{"error": "It broke."}])],
        fails(UpstreamServerError, says=MAPPED_UNKNOWN),
    ),
    stream(
        "F88.late",
        "the error is a string, after text",
        lambda d: [*heard(d), sse([{"error": "It broke."}])],
        interrupted(UpstreamServerError),
    ),
    said(
        "F89",
        "usage in a chunk without choices",
        OPENING,
        *_text(FIRST, SECOND),
        FINISH,
        {**FINISH, "choices": [], "usage": openai_usage(3, 2)},
        expect=succeeds(usage=(3, 2)),
    ),
    said("F90", "no usage at all", OPENING, *_text(FIRST, SECOND), FINISH),
    said(
        "F91.cumulative",
        "usage in every chunk: the last counts",
        {**OPENING, "usage": openai_usage(3, 0)},
        *({**event, "usage": openai_usage(3, n)} for n, event in enumerate(_text(FIRST, SECOND), 1)),
        {**FINISH, "usage": openai_usage(3, 2)},
        expect=succeeds(usage=(3, 2)),
    ),
    said(
        "F91.null",
        "usage is null in every chunk but the last",
        *({**event, "usage": None} for event in (OPENING, *_text(FIRST, SECOND), FINISH)),
        {**FINISH, "choices": [], "usage": openai_usage(3, 2)},
        expect=succeeds(usage=(3, 2)),
    ),
    stream(
        "F100.early",
        "broken JSON before any text",
        lambda d: [d.opening(), _bad(d), *whole(d)],
        fails(UpstreamProtocol, says=MAPPED),
        BOTH,
    ),
    stream(
        "F100.late",
        "broken JSON after text",
        lambda d: [*heard(d), _bad(d), *whole(d)],
        interrupted(UpstreamProtocol),
        BOTH,
    ),
    said(
        "F101",
        "tool calls out of order, their arguments cut within an escape",
        OPENING,
        _call(1, '{"city":', "weather"),
        _call(0, '{"word":"caf\\u00', "look_up"),
        _call(1, '"Oslo"}'),
        _call(0, 'e9"}'),
        openai_chunk({}, "tool_calls"),
        expect=succeeds("", tool_calls=(("look_up", '{"word":"caf\\u00e9"}'), ("weather", '{"city":"Oslo"}'))),
    ),
    said(
        "F102",
        "empty deltas, null content, no delta",
        OPENING,
        openai_chunk({}),
        openai_chunk({"content": None}),
        *_text(FIRST),
        openai_chunk(None),
        openai_chunk({"role": "assistant"}),
        *_text(SECOND),
        FINISH,
    ),
    said(
        "F103",
        "another model answers",
        *({**event, "model": "faulty-2026"} for event in (OPENING, *_text(FIRST, SECOND), FINISH)),
        expect=succeeds(model="faulty-2026"),
    ),
    Fault(
        "F104",
        "two choices take turns",
        streams(
            lambda _: [sse([*_choices((1, "no"), (0, FIRST), (1, "pe"), (0, SECOND), (0, None), (1, None)), DONE])]
        ),
        succeeds(),
        OPENAI,
        "stream",
        choices=2,
    ),
    Fault(
        "F104.unfinished",
        "one of two choices does not finish",
        streams(lambda _: [sse(_choices((0, FIRST), (1, "no"))), Hold(), sse([*_choices((0, None)), DONE])]),
        interrupted(),
        OPENAI,
        "stream",
        choices=2,
    ),
    excluded("F105", "response.failed ends a stream", "Only the Responses API has it."),
    excluded("F106", "an array that is cut", "Only Gemini's own protocol has it."),
)

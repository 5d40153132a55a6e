"""Faults after the headers of an answer (F72 to F84)."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from localagent.errors import (
    ResponseTooLarge,
    StreamInterrupted,
    UpstreamProtocol,
    UpstreamServerError,
    UpstreamTimeout,
)
from localagent.records import SizeLimits
from localagent_testing.faults.dialects import TEXT, Dialect, whole
from localagent_testing.faults.exchanges import heard, stream_head, streams
from localagent_testing.faults.expectations import Says, fails, interrupted, succeeds
from localagent_testing.faults.records import OPENAI, Fault, Scene, calm
from localagent_testing.http_bytes import JSON, answer, chunk, head
from localagent_testing.steps import Fin, Pause, ReadRequest, Repeat, Reset, Script, Send, Stall, Step

SHORT = 0.15
ELSEWHERE = Says(same=False, next=True, later=False, billed="unknown", breaker="failure")
BROKE = attrs.evolve(ELSEWHERE, later=True)
TRY_NEXT = Says(next=True, billed="unknown", breaker="failure")
CUT = Says(same=False, next=False, billed="yes", breaker="failure")
TOO_LARGE = Says(same=False, next=False, billed="yes", breaker="failure")
SMALL = SizeLimits(event=1024 * 1024)
PIECE = b"x" * 64 * 1024

#: Before content a missing terminator is either; after it there is no doubt.
NO_END = (UpstreamProtocol, StreamInterrupted)
BROKEN = (UpstreamServerError, UpstreamProtocol)


def _answer_head_only(scene: Scene) -> Script:
    return (ReadRequest(), Send(head(200, {"Content-Type": JSON, "Content-Length": "500"})), Reset())


def _short_answer(scene: Scene) -> Script:
    return (ReadRequest(), Send(answer(200, scene.dialect.completion(), content_length=5000)), Fin(), Stall())


def _short_stream(scene: Scene) -> Script:
    begin = head(200, {"Content-Type": scene.dialect.stream_type, "Content-Length": "100000"})
    steps = [Send(item) if isinstance(item, bytes) else item for item in heard(scene.dialect)]
    return (ReadRequest(), Send(begin), *steps, Fin(), Stall())


def _unended_answer(scene: Scene) -> Script:
    body = answer(200, scene.dialect.completion()).partition(b"\r\n\r\n")[2]
    begin = head(200, {"Content-Type": JSON, "Transfer-Encoding": "chunked"})
    return (ReadRequest(), Send(begin), Send(chunk(body[:50])), Fin(), Stall())


def _for_ever(data: bytes, pause: float = 0.01) -> Step:
    return Repeat((Send(chunk(data)), Pause(pause)))


def _oversized(dialect: Dialect) -> Iterable[bytes | Step]:
    return (dialect.endless, Repeat((Send(chunk(PIECE)),)))


def _finish_without_done(dialect: Dialect) -> list[bytes]:
    return whole(dialect)[:-1]


def _done_without_finish(dialect: Dialect) -> list[bytes]:
    events = whole(dialect)
    return [*events[:-2], events[-1]]


ROWS: tuple[Fault, ...] = (
    Fault("F72", "reset after the headers", _answer_head_only, fails(UpstreamServerError, says=BROKE)),
    Fault(
        "F72.early",
        "a stream is reset after its headers",
        lambda scene: (ReadRequest(), Send(stream_head(scene.dialect)), Reset()),
        fails(UpstreamServerError, says=BROKE),
        operation="stream",
    ),
    Fault(
        "F72.late",
        "a stream is reset after its first text",
        streams(lambda d: [*heard(d), Reset()], end=False),
        interrupted(UpstreamServerError, says=CUT),
        operation="stream",
    ),
    Fault("F73", "fewer bytes than announced", _short_answer, fails(UpstreamServerError, says=BROKE)),
    Fault(
        "F73.late",
        "a stream with fewer bytes than announced",
        _short_stream,
        interrupted(UpstreamServerError, says=CUT),
        operation="stream",
    ),
    Fault("F74", "the chunks end without the last one", _unended_answer, fails(*BROKEN, says=TRY_NEXT)),
    Fault(
        "F74.early",
        "the chunks of a stream end without the last one, before any text",
        streams(lambda d: [d.opening(), Fin(), Stall()], end=False),
        fails(*BROKEN, says=TRY_NEXT),
        operation="stream",
    ),
    Fault(
        "F74.late",
        "the chunks of a stream end without the last one, after text",
        streams(lambda d: [*heard(d), Fin(), Stall()], end=False),
        interrupted(*BROKEN, says=CUT),
        operation="stream",
    ),
    Fault(
        "F75.early",
        "a stream that the connection's end delimits is cut before any text",
        streams(lambda d: [d.opening()], framing="close"),
        fails(*NO_END, says=TRY_NEXT),
        operation="stream",
    ),
    Fault(
        "F75.late",
        "a stream that the connection's end delimits is cut after text",
        streams(heard, framing="close"),
        interrupted(says=CUT),
        operation="stream",
    ),
    Fault(
        "F76.early",
        "the chunks end well and the stream does not, before any text",
        streams(lambda d: [d.opening()]),
        fails(*NO_END, says=TRY_NEXT),
        operation="stream",
    ),
    Fault(
        "F76.late",
        "the chunks end well and the stream does not, after text",
        streams(heard),
        interrupted(says=CUT),
        operation="stream",
    ),
    Fault(
        "F77",
        "a finish reason and no [DONE]",
        streams(_finish_without_done),
        succeeds(),
        OPENAI,
        operation="stream",
    ),
    Fault(
        "F78",
        "[DONE] and no finish reason",
        streams(_done_without_finish),
        interrupted(says=Says(same=False, next=False, billed="yes", breaker="neutral"), partial=TEXT),
        OPENAI,
        operation="stream",
    ),
    Fault(
        "F79",
        "a stream stalls after text",
        streams(lambda d: [*heard(d), Stall()], end=False),
        interrupted(UpstreamTimeout, says=CUT, phase="idle", closed=True),
        operation="stream",
        timeouts=calm(idle=SHORT),
    ),
    Fault(
        "F80.early",
        "nothing but comments come",
        streams(lambda d: [_for_ever(d.quiet)]),
        fails(UpstreamTimeout, says=ELSEWHERE, phase="first_token", closed=True),
        operation="stream",
        timeouts=calm(first_token=SHORT),
    ),
    Fault(
        "F80.late",
        "nothing but comments come after text",
        streams(lambda d: [*heard(d), _for_ever(d.quiet)]),
        interrupted(UpstreamTimeout, says=CUT, phase="idle", closed=True),
        operation="stream",
        timeouts=calm(idle=SHORT),
    ),
    Fault(
        "F81",
        "text comes slowly and without an end",
        streams(lambda d: [d.opening(), _for_ever(d.text("a"), 0.02)]),
        interrupted(UpstreamTimeout, phase="total", partial=None, closed=True),
        operation="stream",
        timeouts=calm(total=2 * SHORT),
    ),
    Fault(
        "F82.early",
        "one event without an end",
        streams(lambda d: [d.opening(), *_oversized(d)]),
        fails(ResponseTooLarge, says=TOO_LARGE, closed=True),
        operation="stream",
        size_limits=SMALL,
    ),
    Fault(
        "F82.late",
        "one event without an end, after text",
        streams(lambda d: [*heard(d), *_oversized(d)]),
        interrupted(ResponseTooLarge, says=CUT, closed=True),
        operation="stream",
        size_limits=SMALL,
    ),
    Fault(
        "F83.more",
        "bytes behind the terminator",
        streams(lambda d: [*whole(d), d.text("too late"), b"garbage"]),
        succeeds(),
        operation="stream",
    ),
    Fault(
        "F83.open",
        "the connection stays open behind the terminator",
        streams(lambda d: [*whole(d), Stall()], end=False),
        succeeds(closed=True),
        operation="stream",
    ),
    Fault(
        "F84",
        "a reset behind the terminator",
        streams(lambda d: [*whole(d), Pause(0.05), Reset()], end=False),
        succeeds(),
        operation="stream",
    ),
)

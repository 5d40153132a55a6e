"""Answers with a 1xx, 2xx or 3xx status that are not what they should be (F32 to F50)."""

from __future__ import annotations

from collections.abc import Callable

from localagent import LocalAgentError
from localagent.errors import (
    EmptyResponse,
    QuotaExhausted,
    RateLimited,
    ResponseTooLarge,
    UpstreamProtocol,
    UpstreamServerError,
)
from localagent.records import SizeLimits
from localagent_testing.faults import bodies
from localagent_testing.faults.dialects import Dialect, whole
from localagent_testing.faults.exchanges import HTML_TRACES, completes, page, refuses, replies
from localagent_testing.faults.expectations import Says, fails, succeeds
from localagent_testing.faults.records import OPENAI, Fault, Operation, Scene, excluded
from localagent_testing.http_bytes import JSON, Body, answer, chunk, chunked, head
from localagent_testing.steps import ReadRequest, Repeat, Script, Send

BROKEN = Says(next=True, billed="unknown", breaker="failure")
AGAIN = Says(same=True, next=True, billed="unknown", breaker="failure")
MOVED = Says(same=False, next=True, billed="no", breaker="failure")
LOGIN = Says(next=True, billed="no", breaker="failure")
SMALL = SizeLimits(body=1024 * 1024)
PIECE = b"x" * 64 * 1024
CONTROL_CHARACTERS = "a\x1b[31mb"


def unreadable(
    id_: str, title: str, make: Callable[[Dialect], Body], says: Says = BROKEN, *, encoding: str | None = None
) -> Fault:
    """Return a row for a 200 whose body violates the protocol."""
    headers = {"Content-Encoding": encoding} if encoding else {}
    return Fault(id_, title, completes(make, headers), fails(UpstreamProtocol, says=says), size_limits=SMALL)


def inner_error(code: int, expected: type[LocalAgentError]) -> Fault:
    """Return a row for a 200 whose body is an error."""
    body = {"error": {"code": code, "message": "Provider returned an error."}}
    return Fault(
        f"F32.{code}", f"200 with an error of code {code}", replies(answer(200, body)), fails(expected), OPENAI
    )


def moved(status: int, title: str, *, here: bool = False) -> Fault:
    """Return a row for a redirect. Following it would send the prompt to an address that is not in the settings."""

    def script(scene: Scene) -> Script:
        target = ("" if here else scene.elsewhere) + "/elsewhere"
        return (ReadRequest(), Send(answer(status, b"", {"Location": target}, content_type=None)))

    return Fault(f"F48.{status}", title, script, fails(UpstreamProtocol, says=MOVED), setup="second host")


def login(operation: Operation) -> Fault:
    """Return a row for the page of a captive portal."""
    expect = fails(UpstreamProtocol, says=LOGIN, hidden=(*HTML_TRACES, "Please log in"))
    return Fault(f"F41.{operation}", "200 with a login page", page(200, "Please log in"), expect, operation=operation)


def preceded(status: int) -> Fault:
    """Return a row for an interim answer before the real one."""

    def script(scene: Scene) -> Script:
        return (ReadRequest(), Send(head(status)), Send(answer(200, scene.dialect.completion())))

    return Fault(f"F49.{status}", f"{status}, then 200", script, succeeds())


def odd_headers(id_: str, title: str, value: str, *, may_fail: bool = False) -> Fault:
    """Return a row for a good answer with an odd request id; a parser may refuse it with a proper error."""
    script = completes(lambda dialect: dialect.completion(), {"x-request-id": value})
    return Fault(id_, title, script, fails(UpstreamProtocol, may_succeed=True) if may_fail else succeeds())


def _unasked_stream(scene: Scene) -> Script:
    headers = {"Content-Type": scene.dialect.stream_type, "Transfer-Encoding": "chunked"}
    return (ReadRequest(), Send(head(200, headers)), Send(chunked(whole(scene.dialect))))


def _endless_answer(scene: Scene) -> Script:
    start = bodies.whole_answer(scene.dialect).removesuffix(b"}") + b',"padding":"'
    headers = {"Content-Type": JSON, "Transfer-Encoding": "chunked"}
    return (ReadRequest(), Send(head(200, headers)), Send(chunk(start)), Repeat((Send(chunk(PIECE)),)))


ROWS: tuple[Fault, ...] = (
    inner_error(429, RateLimited),
    inner_error(402, QuotaExhausted),
    inner_error(502, UpstreamServerError),
    Fault(
        "F33",
        "200 without a choice",
        completes(lambda dialect: {**dialect.completion(), "choices": []}),
        fails(EmptyResponse, says=Says(same=True, billed="unknown", breaker="neutral")),
        OPENAI,
    ),
    excluded("F34", "200 with promptFeedback.blockReason", "Only Gemini's own protocol has it."),
    excluded("F35", "200 with a finishReason and no content", "Only Gemini's own protocol has it."),
    unreadable("F36", "200 without a body", lambda _: b"", AGAIN),
    unreadable("F37.cut", "200 with the first half of an answer", lambda d: bodies.whole_answer(d)[:60], AGAIN),
    unreadable("F37.text", "200 with text that is not JSON", lambda _: "upstream says hello", AGAIN),
    unreadable("F38.nan", "200 with NaN", lambda d: bodies.with_field(d, b"NaN")),
    unreadable("F38.surrogate", "200 with half of a surrogate pair", bodies.surrogate),
    unreadable("F38.deep", "200 with 100,000 lists in each other", bodies.nested),
    Fault(
        "F38.number",
        "200 with a number beyond every float",
        completes(bodies.huge_number),
        # Valid JSON: whether it fails depends on whether the field is read.
        fails(UpstreamProtocol, says=BROKEN, may_succeed=True),
    ),
    Fault("F38.double", "200 with every field twice: the last counts", completes(bodies.doubled), succeeds()),
    unreadable("F39", "200 with a byte that is not UTF-8", bodies.invalid_utf8),
    Fault(
        "F40.text",
        "200 labelled text/plain",
        completes(bodies.whole_answer, content_type="text/plain"),
        succeeds(),
    ),
    Fault(
        "F40.none",
        "200 without a content type",
        lambda scene: (ReadRequest(), Send(answer(200, scene.dialect.completion(), content_type=None))),
        succeeds(),
    ),
    login("chat"),
    login("stream"),
    Fault(
        "F42",
        "a complete answer where a stream was asked for",
        completes(bodies.whole_answer),
        succeeds(),
        operation="stream",
    ),
    Fault("F43", "a stream where a complete answer was asked for", _unasked_stream, succeeds()),
    Fault(
        "F44",
        "200 with a body that never ends",
        _endless_answer,
        fails(
            ResponseTooLarge,
            says=Says(same=False, next=False, billed="yes", breaker="failure"),
            closed=True,
        ),
        size_limits=SMALL,
    ),
    Fault(
        "F45.bomb",
        "a small gzip of a large answer",
        completes(bodies.bomb, {"Content-Encoding": "gzip"}),
        fails(UpstreamProtocol, ResponseTooLarge, says=Says(breaker="failure")),
        size_limits=SMALL,
    ),
    Fault(
        "F44.stream",
        "a complete answer that never ends, where a stream was asked for",
        _endless_answer,
        fails(
            ResponseTooLarge,
            says=Says(same=False, next=False, billed="yes", breaker="failure"),
            closed=True,
        ),
        operation="stream",
        size_limits=SMALL,
    ),
    Fault(
        "F45.stream",
        "a small gzip of a large answer, where a stream was asked for",
        completes(bodies.bomb, {"Content-Encoding": "gzip"}),
        fails(UpstreamProtocol, ResponseTooLarge, says=Says(breaker="failure")),
        operation="stream",
        size_limits=SMALL,
    ),
    unreadable("F45.corrupt", "a gzip that is broken in the middle", bodies.corrupt, encoding="gzip"),
    unreadable("F46", "a gzip that ends too soon", bodies.half_a_gzip, AGAIN, encoding="gzip"),
    unreadable("F47", "an unknown content encoding", lambda _: bodies.SNAPPY, encoding="x-snappy-framed"),
    moved(301, "a permanent redirect to another host"),
    moved(302, "a redirect to itself, again and again", here=True),
    moved(307, "a redirect that repeats the request at another host"),
    moved(308, "a permanent redirect that repeats the request at another host"),
    preceded(100),
    preceded(103),
    Fault("F49.204", "204", replies(head(204)), fails(EmptyResponse, says=Says(breaker="failure"))),
    Fault("F49.205", "205", replies(head(205, {"Content-Length": "0"})), fails(EmptyResponse, UpstreamProtocol)),
    Fault("F49.304", "304", replies(head(304)), fails(EmptyResponse, UpstreamProtocol)),
    odd_headers("F50.long", "a request id of 4,000 characters", "r" * 4000),
    odd_headers("F50.latin", "a request id outside ASCII", "\xe9\xff"),
    odd_headers("F50.control", "a request id with an escape sequence", CONTROL_CHARACTERS, may_fail=True),
    Fault(
        "F50.error",
        "an error whose request id holds an escape sequence",
        refuses(500, "Failed.", headers={"x-request-id": CONTROL_CHARACTERS}),
        fails(UpstreamServerError, UpstreamProtocol, hidden=("\x1b",)),
    ),
)

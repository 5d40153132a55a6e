"""Faults before the headers of an answer (F51 to F71)."""

from __future__ import annotations

import attrs

from localagent.errors import (
    ConnectFailed,
    InternalError,
    PoolTimeout,
    UpstreamProtocol,
    UpstreamServerError,
    UpstreamTimeout,
)
from localagent_testing.faults.exchanges import does, replies
from localagent_testing.faults.expectations import Expect, Says, fails, succeeds
from localagent_testing.faults.records import Fault, Scene, calm, excluded
from localagent_testing.http_bytes import answer, chunk, head
from localagent_testing.steps import (
    Close,
    Drip,
    Fin,
    Pause,
    ReadBytes,
    ReadHead,
    ReadRequest,
    Reset,
    Script,
    Send,
    Stall,
    Step,
)

SHORT = 0.15
NEXT = Says(same=False, next=True, billed="no", breaker="failure")
ELSEWHERE = Says(same=False, next=True, later=False, billed="unknown", breaker="failure")
BROKE = attrs.evolve(ELSEWHERE, later=True)
STALE = Says(same=True, next=True, later=True, billed="unknown", breaker="neutral")
GARBAGE = Says(next=True, billed="no", breaker="failure")
FRAMING = Says(next=True, billed="unknown", breaker="failure")

#: A fatal TLS alert (21) of version 3.3, two bytes long: unexpected message (10). TLS ports answer HTTP with it.
TLS_ALERT = bytes([21, 3, 3, 0, 2, 2, 10])
JSON_TYPE = ("Content-Type", "application/json")


def _good(scene: Scene) -> Script:
    return (ReadRequest(), Send(answer(200, scene.dialect.completion())))


def certificate(name: str, title: str) -> Fault:
    """Return a row for a certificate that must not be accepted."""
    expect = fails(ConnectFailed, says=NEXT, phase="tls", requests=0)
    return Fault(f"F58.{name}", title, _good, expect, setup=f"certificate {name}")


def no_http(name: str, title: str, data: bytes) -> Fault:
    """Return a row for an answer that does not begin like HTTP/1.1."""
    script = does(ReadRequest(), Send(data), Fin(), Stall())
    return Fault(f"F67.{name}", title, script, fails(UpstreamProtocol, says=GARBAGE, closed=True))


def misframed(name: str, title: str, data: bytes) -> Fault:
    """Return a row for an answer whose head or framing is wrong; its connection must not be used again."""
    return Fault(f"F68.{name}", title, replies(data), fails(UpstreamProtocol, says=FRAMING, closed=True))


def stale(name: str, title: str, read: int, *breaks: Step) -> Fault:
    """Return a row for a kept connection that breaks when it is used again.

    Args:
        name: Distinguishes it from the other forms.
        title: The fault in one line.
        read: Requests that the server reads completely before.
        breaks: The steps instead of an answer.
    """

    def script(scene: Scene) -> list[Script]:
        return [_good(scene), breaks, _good(scene)]

    expect = fails(UpstreamServerError, says=STALE, requests=read)
    return Fault(f"F63{name}", title, script, expect, warm=True, retried=succeeds(requests=read + 1))


def _closed_when_idle(scene: Scene) -> list[Script]:
    return [(*_good(scene), Close()), _good(scene)]


def _first_never_answered(scene: Scene) -> list[Script]:
    return [(ReadRequest(), Stall()), _good(scene)]


ROWS: tuple[Fault, ...] = (
    Fault("F51", "the name is unknown", None, fails(ConnectFailed, says=NEXT, requests=None), setup="unknown name"),
    Fault(
        "F52",
        "name resolution does not answer",
        None,
        fails(ConnectFailed, says=NEXT, phase="dns", requests=None),
        timeouts=calm(connect=SHORT),
        setup="silent resolver",
    ),
    excluded(
        "F53",
        "the name's address changes under kept connections",
        "It takes several calls and the time that a resolved name is kept.",
    ),
    Fault(
        "F54", "the connection is refused", None, fails(ConnectFailed, says=NEXT, requests=None), setup="no listener"
    ),
    Fault(
        "F55",
        "the backlog is full, so connecting does not come to an end",
        None,
        fails(UpstreamTimeout, says=NEXT, phase="connect", requests=None),
        timeouts=calm(connect=SHORT),
        setup="full backlog",
    ),
    Fault(
        "F56",
        "all connections are in use by our own calls",
        _first_never_answered,
        fails(PoolTimeout, says=Says(billed="no", breaker="neutral")),
        timeouts=calm(pool=SHORT),
        setup="one connection",
        beside=True,
    ),
    Fault(
        "F57",
        "no descriptor is free",
        _good,
        Expect(
            errors=(InternalError,),
            says=Says(same=False, next=False, billed="no", breaker="neutral"),
            requests=None,
            recovers=True,
        ),
        setup="no descriptors",
    ),
    certificate("expired", "the certificate has expired"),
    certificate("wrong host", "the certificate is for another host"),
    certificate("self-signed", "the certificate is self-signed"),
    certificate("unknown authority", "the certificate is from an unknown authority"),
    Fault(
        "F59.https",
        "https to a port that speaks plain HTTP",
        does(ReadBytes(1), Send(answer(400, "Bad Request")), Fin(), Stall()),
        fails(UpstreamProtocol, says=NEXT, requests=0),
        setup="https to plain",
    ),
    Fault(
        "F59.http",
        "http to a port that speaks TLS",
        replies(TLS_ALERT),
        fails(UpstreamProtocol, says=NEXT, closed=True),
    ),
    Fault(
        "F60",
        "the connection ends as soon as it is there (which looks like F61 from outside)",
        does(Fin(), Stall()),
        fails(
            ConnectFailed,
            UpstreamServerError,
            says=Says(next=True, billed="unknown", breaker="failure"),
            requests=0,
        ),
    ),
    Fault(
        "F61",
        "the connection ends after the request, without a byte",
        does(ReadRequest(), Fin(), Stall()),
        fails(UpstreamServerError, says=Says(next=True, billed="unknown", breaker="failure")),
    ),
    Fault(
        "F62",
        "the connection is reset after the request",
        does(ReadRequest(), Reset()),
        fails(UpstreamServerError, says=BROKE),
    ),
    stale("", "a kept connection is reset just as it is used again", 1, ReadBytes(1), Reset()),
    stale(".read", "a kept connection is reset after the request was read", 2, ReadRequest(), Reset()),
    stale(".end", "a kept connection ends after the request was read", 2, ReadRequest(), Fin(), Stall()),
    stale(".work", "a kept connection is closed after some work", 2, ReadRequest(), Pause(0.05), Close()),
    stale(".100", "a kept connection ends after 100 Continue", 2, ReadRequest(), Send(head(100)), Fin(), Stall()),
    Fault(
        "F63.idle",
        "a kept connection is closed while nobody uses it",
        _closed_when_idle,
        succeeds(requests=2),
        warm=True,
    ),
    Fault(
        "F64.status",
        "the connection ends within the status line",
        does(ReadRequest(), Send(b"HTTP/1.1 20"), Fin(), Stall()),
        fails(UpstreamProtocol, says=BROKE),
    ),
    Fault(
        "F64.headers",
        "the connection ends within the headers",
        does(ReadRequest(), Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Fin(), Stall()),
        fails(UpstreamProtocol, says=BROKE),
    ),
    Fault(
        "F65",
        "no header comes",
        does(ReadRequest(), Stall()),
        fails(UpstreamTimeout, says=ELSEWHERE, phase="first_token", closed=True),
        operation="stream",
        timeouts=calm(first_token=SHORT),
    ),
    Fault(
        "F65.total",
        "no header comes, and nothing but the deadline ends it",
        does(ReadRequest(), Stall()),
        fails(UpstreamTimeout, phase="total", closed=True),
        timeouts=calm(total=SHORT),
    ),
    Fault(
        "F66",
        "headers come a byte at a time",
        does(ReadRequest(), Drip(head(200, {"X-Padding": "x" * 4000}), pause=0.01)),
        # Nobody can see whether the model has begun: a slow head looks like a late one (F65).
        fails(UpstreamTimeout, says=ELSEWHERE, phase="first_token", closed=True),
        operation="stream",
        timeouts=calm(first_token=SHORT),
    ),
    no_http("garbage", "the status line is garbage", b"\x00\x01 whatever \xff\xfe\r\n\r\n"),
    no_http("tls", "the answer is a TLS alert", TLS_ALERT),
    no_http("http09", "the answer is a page without a head", b"<html><body>It works</body></html>\r\n"),
    misframed(
        "both lengths",
        "both Content-Length and Transfer-Encoding",
        head(200, [JSON_TYPE, ("Content-Length", "2"), ("Transfer-Encoding", "chunked")]) + chunk(b"{}") + chunk(b""),
    ),
    misframed(
        "two lengths",
        "two different Content-Lengths",
        head(200, [JSON_TYPE, ("Content-Length", "2"), ("Content-Length", "7")]) + b'{"a":1}',
    ),
    misframed(
        "chunk size",
        "a chunk size that is not a number",
        head(200, [JSON_TYPE, ("Transfer-Encoding", "chunked")]) + b"zz\r\n{}\r\n0\r\n\r\n",
    ),
    misframed("long header", "a header of 9 KB", answer(200, {}, {"X-Padding": "x" * 9 * 1024})),
    misframed("many headers", "200 headers", answer(200, {}, [(f"X-Number-{n}", str(n)) for n in range(200)])),
    Fault(
        "F69",
        "the peer has vanished without a word",
        None,
        fails(UpstreamTimeout, says=ELSEWHERE, phase="first_token", requests=None),
        operation="stream",
        timeouts=calm(first_token=SHORT),
        setup="silent peer",
    ),
    Fault(
        "F70",
        "the server stops reading our request",
        does(ReadHead(), Stall(reading=False)),
        fails(UpstreamTimeout, says=NEXT, phase="send"),
        timeouts=calm(send=SHORT),
        setup="small window",
        prompt_size=10 * 1024 * 1024,
    ),
    Fault("F71", "variables of the environment name a proxy", _good, succeeds(), setup="proxy variables"),
)

"""Scripts for the rows of the fault table: each function returns a maker of scripts for a scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from localagent_testing.faults.dialects import FIRST, Dialect
from localagent_testing.faults.records import Scene
from localagent_testing.http_bytes import Body, Headers, answer, chunk, chunked, head
from localagent_testing.steps import Fin, Hold, ReadRequest, Script, Send, Stall, Step

Maker: TypeAlias = Callable[[Scene], Script]
Events: TypeAlias = Callable[[Dialect], Iterable[bytes | Step]]

HTML = "text/html; charset=utf-8"
#: Parts of a page from a proxy that a message must not show.
HTML_TRACES = ("<html", "<h1", "nginx", "cloudflare")


def does(*steps: Step) -> Maker:
    """Run the same steps in every protocol; no request is read unless a step reads it."""
    return lambda scene: steps


def replies(*data: bytes) -> Maker:
    """Read a request and send the same bytes in every protocol."""
    return does(ReadRequest(), *map(Send, data))


def refuses(
    status: int,
    message: str,
    *,
    kind: str | None = None,
    code: str | None = None,
    param: str | None = None,
    headers: Headers = (),
) -> Maker:
    """Answer with an error in the protocol's own form."""

    def script(scene: Scene) -> Script:
        body = scene.dialect.error(message, kind=kind, code=code, param=param)
        return (ReadRequest(), Send(answer(status, body, headers)))

    return script


def page(status: int, text: str) -> Maker:
    """Answer with a page of HTML."""
    return replies(answer(status, f"<html><body><h1>{text}</h1></body></html>", content_type=HTML))


def completes(make: Callable[[Dialect], Body], headers: Headers = (), *, content_type: str | None = None) -> Maker:
    """Answer 200 with a body made for the protocol; the content type is JSON by default."""
    kind = "application/json" if content_type is None else content_type
    return lambda scene: (ReadRequest(), Send(answer(200, make(scene.dialect), headers, content_type=kind)))


def streams(events: Events, *, framing: Literal["chunked", "close"] = "chunked", end: bool = True) -> Maker:
    """Answer 200 with a stream.

    Args:
        events: Makes the sequence to send: bytes of events, each in its own chunk, and steps.
        framing: Whether chunks or the connection's end delimit the body.
        end: Whether the HTTP body ends properly.
    """

    def script(scene: Scene) -> Script:
        framed = chunk if framing == "chunked" else bytes
        steps = [item if not isinstance(item, bytes) else Send(framed(item)) for item in events(scene.dialect)]
        ends = (Send(chunked(())),) if framing == "chunked" else (Fin(), Stall())
        return (ReadRequest(), Send(stream_head(scene.dialect, framing)), *steps, *(ends if end else ()))

    return script


def stream_head(dialect: Dialect, framing: Literal["chunked", "close"] = "chunked") -> bytes:
    """Return the head of a streamed answer."""
    delimits = ("Transfer-Encoding", "chunked") if framing == "chunked" else ("Connection", "close")
    return head(200, [("Content-Type", dialect.stream_type), delimits])


def heard(dialect: Dialect) -> list[bytes | Step]:
    """Return the beginning of a stream up to its first text, and a wait until the client has received it."""
    return [dialect.opening(), dialect.text(FIRST), Hold()]

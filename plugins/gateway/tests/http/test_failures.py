"""What fails inside is a 500 in log, figures and answer, and a stream that breaks is no success."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import httpx
import pytest
from dialects_under_test import WAYS
from test_aiohttp_server import CEILING, GET, Pieces, answers, closing, leave_stream, parted, running

from localagent import LocalAgentError, Plugin, Principal, hookimpl
from localagent.errors import ModelNotFound, UpstreamServerError
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway.apis.error_shapes import anthropic_error, ollama_error
from localagent_testing import CANARY_PROMPT, Canaries, Reply, fake_provider_plugin

SHAPES: dict[str, Any] = {"openai": None, "ollama": ollama_error, "anthropic": anthropic_error}


class BodyStream:
    """The body of a stream that fails behind its pieces.

    Args:
        pieces: What comes before.
        error: What is raised then; None for an invalid piece.
    """

    def __init__(self, *pieces: bytes, error: BaseException | None = None, closing: Exception | None = None) -> None:
        self._pieces = list(pieces)
        self._error = error
        self._closing = closing

    async def read_chunk(self) -> Any:
        if self._pieces:
            return self._pieces.pop(0)
        if self._error is None:
            return CANARY_PROMPT
        raise self._error

    async def aclose(self) -> None:
        if self._closing is not None:
            raise self._closing


def foreign() -> list[BaseException]:
    """Return exceptions that no handler should raise."""
    return [ValueError(CANARY_PROMPT), ConnectionResetError(CANARY_PROMPT), TimeoutError(CANARY_PROMPT),
            KeyError(CANARY_PROMPT), asyncio.CancelledError(CANARY_PROMPT), OSError(CANARY_PROMPT)]  # fmt: skip


def raising(error: BaseException) -> Callable[..., Any]:
    async def handle(incoming: HttpRequest, principal: Principal) -> HttpResponse:
        raise error

    return handle


def returning(answer: Any) -> Callable[..., Any]:
    async def handle(incoming: HttpRequest, principal: Principal) -> Any:
        return answer() if callable(answer) else answer

    return handle


HANDLERS: dict[str, Callable[..., Any]] = {
    **{f"raises {type(error).__name__}": raising(error) for error in foreign()},
    "answers nothing": returning(None),
    "answers a text": returning(CANARY_PROMPT),
    "a header with a line end": returning(HttpResponse(200, b"", {"x": f"a\r\n{CANARY_PROMPT}"})),
    "a header that is not text": returning(HttpResponse(200, b"", {"x": "\ud800"})),
    "a body that is no bytes": returning(HttpResponse(200, CANARY_PROMPT)),  # type: ignore[arg-type]
    "an invalid status": returning(HttpResponse("200 OK")),  # type: ignore[arg-type]
    "a status of no end": returning(HttpResponse(101)),
    "invalid headers": returning(HttpResponse(200, b"", None)),  # type: ignore[arg-type]
    "an invalid body": returning(HttpStream(None, "text/plain")),  # type: ignore[arg-type]
    "a stream with a bad header": returning(lambda: HttpStream(BodyStream(b"x"), "text/plain", {"x": "a\nb"})),
    "a stream of texts": returning(lambda: HttpStream(BodyStream(), "text/plain")),
    **{
        f"a stream that begins with {type(error).__name__}": returning(
            lambda error=error: HttpStream(BodyStream(error=error), "text/plain")
        )
        for error in foreign()
    },
}


def plugin(handler: Callable[..., Any], errors: Any = None) -> type[Plugin]:
    class Failing(Plugin):
        name = "failing"

        @hookimpl(of="gateway")
        def gateway_add_routes(self) -> Sequence[Route]:
            return [Route("GET", "/failing", handler, errors=errors)]

    return Failing


def logged(text: str) -> list[dict[str, Any]]:
    """Return the lines of requests in an access log."""
    return [line for line in map(json.loads, text.splitlines()) if "status" in line]


def message(shape: str, reported: httpx.Response) -> str:
    """Return what an error says, in the shape of an API and with its status."""
    body = reported.json()
    if shape == "ollama":
        return str(body["error"])
    if shape == "anthropic":
        assert (body["type"], body["request_id"]) == ("error", reported.headers["x-request-id"])
    assert body["error"]["type"] == ("api_error" if shape == "anthropic" else "server_error")
    return str(body["error"]["message"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", HANDLERS)
async def test_what_fails_inside_is_a_500(
    serve: Any, canaries: Canaries, capfd: Any, caplog: pytest.LogCaptureFixture, *, kind: str, shape: str
) -> None:
    """In the words of the API that was asked, with one id in log and answer, and without what was raised."""
    caplog.set_level(logging.WARNING, "localagent.gateway")
    async with (
        serve(plugins=[plugin(HANDLERS[kind], SHAPES[shape])], log="all") as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        reported = await http.get("/failing")
        assert (await http.get("/healthz")).status_code == 200
        assert served.worker.access_log.answered == {"5xx": 1, "2xx": 1}
    canaries.watch(reported.text + repr(reported.headers.raw))
    assert reported.status_code == 500
    assert message(shape, reported)
    assert "server" not in reported.headers
    (line, _) = logged(capfd.readouterr().err)
    assert (line["status"], line["request_id"]) == (500, reported.headers["x-request-id"])
    if "answers" not in kind:
        (record,) = [one for one in caplog.records if "failed" in one.getMessage()]
        assert record.request_id == line["request_id"]  # type: ignore[attr-defined]
        assert not hasattr(record, "traceback")


@pytest.mark.parametrize("kind", ["raises ValueError", "a stream that begins with KeyError", "a body that is no bytes"])
async def test_debug_shows_the_way_to_a_failure(
    serve: Any, caplog: pytest.LogCaptureFixture, canaries: Canaries, kind: str
) -> None:
    """Files, lines and types, and no part of what was said."""
    caplog.set_level(logging.DEBUG, "localagent.gateway")
    async with (
        serve(plugins=[plugin(HANDLERS[kind])]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        await http.get("/failing")
    (way,) = [record.traceback for record in caplog.records if hasattr(record, "traceback")]
    assert way.startswith("Traceback (most recent call last):")
    assert way.rstrip().endswith("Error")
    assert "sending.py" in way or "test_failures.py" in way
    canaries.watch(way)


async def test_errors_whose_shape_fails_are_told_in_openais(serve: Any) -> None:
    """A plugin's shape that raises, or gives something that is not an answer, keeps nobody from being answered."""

    def broken(error: LocalAgentError, request: HttpRequest) -> Any:
        raise ValueError(CANARY_PROMPT)

    for errors in (broken, lambda error, request: None, lambda error, request: HttpResponse(500, b"", {"x": "\n"})):
        async with (
            serve(plugins=[plugin(raising(ModelNotFound("No.")), errors)]) as served,
            httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
        ):
            reported = await http.get("/failing")
        assert (reported.status_code, reported.json()["error"]["message"]) == (500, "The gateway failed.")


@pytest.mark.parametrize("error", [*foreign(), None], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("old", [False, True], ids=["HTTP/1.1", "HTTP/1.0"])
async def test_a_stream_that_breaks_has_no_end_and_is_no_success(error: BaseException | None, old: bool) -> None:
    """Its client sees that it is cut; the log has 500, and the status that was sent."""

    async def handle(incoming: HttpRequest) -> HttpStream:
        return HttpStream(BodyStream(b"data: 1\n\n", error=error), "text/event-stream")

    async with running(handle) as served:
        reader, writer = await served.connect()
        writer.write(GET.replace(b"HTTP/1.1", b"HTTP/1.0") if old else GET)
        received = b""
        try:
            while piece := await reader.read(65536):
                received += piece
            cut = False
        except ConnectionError:
            cut = True
        writer.close()
        assert await served.server.wait_idle(CEILING)
        served.log.flush()
        (line,) = logged(b"".join(served.lines).decode())
    assert cut if old else b"data: 1\n\n" in received
    assert b"\r\n0\r\n" not in received
    assert (line["status"], line["sent"], line["error"]) == (500, 200, "internal_error")


async def test_an_error_that_parts_raise_keeps_its_status() -> None:
    """Before the first piece it is reported; behind it the log has its code."""
    error = UpstreamServerError("It failed.")
    for parts, statuses in ((BodyStream(error=error), b" 502 "), (BodyStream(b"x", error=error), b" 200 ")):
        async with running(answers(HttpStream(parts, "text/plain"))) as served:
            received = await served.ask(closing(GET))
            assert statuses in received.partition(b"\r\n")[0]
            assert served.statuses() == [502]


async def test_parts_that_fail_to_close_harm_no_answer() -> None:
    """The answer is whole; the log tells of the failure."""
    parts = BodyStream(b"one", b"", closing=ValueError("x"))
    async with running(answers(HttpStream(parts, "text/plain"))) as served:
        assert parted(await served.ask(closing(GET)))[2] == b"3\r\none\r\n0\r\n\r\n"
        assert served.statuses() == [500]


@pytest.mark.parametrize("way", [way for way in WAYS if way.streams], ids=lambda way: way.path)
async def test_a_stream_whose_upstream_breaks_is_logged_by_its_error(serve: Any, capfd: Any, way: Any) -> None:
    """The client learns it in the stream, as its API does it; the log has the error's status and code."""
    fake = fake_provider_plugin(Reply(pieces=("one", "two", UpstreamServerError("It failed."))))
    async with (
        serve(plugins=[fake], log="all") as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        reported = await http.post(way.path, json=way.body("Hi", stream=True, model="fake/m"))
        answered = served.worker.access_log.answered
    assert reported.status_code == 200
    assert "error" in reported.text
    (line,) = logged(capfd.readouterr().err)
    assert (line["status"] >= 500, line["sent"], bool(line["error"])) == (True, 200, True)
    assert answered == {"5xx": 1}


async def test_a_client_that_leaves_is_no_failure() -> None:
    """Also where what it asked for fails because of that, or at the same time."""
    pieces = Pieces(b"data: 1\n\n")

    @attrs.define
    class Torn:
        inner: Pieces

        async def read_chunk(self) -> bytes:
            try:
                return await self.inner.read_chunk()
            except asyncio.CancelledError:
                raise ValueError("torn") from None

        async def aclose(self) -> None:
            await self.inner.aclose()

    async with running(answers(HttpStream(Torn(pieces), "text/event-stream"))) as served:
        await leave_stream(served, pieces)
        assert served.log.answered == {"left": 1}


async def test_what_the_end_of_the_server_cuts_is_no_leaving() -> None:
    """A request that outlives the drain is logged with 503."""
    begun = asyncio.Event()

    async def handle(incoming: HttpRequest) -> HttpResponse:
        begun.set()
        await asyncio.Event().wait()
        return HttpResponse()

    async with running(handle) as served:
        _, writer = await served.connect()
        writer.write(GET)
        await begun.wait()
        await served.server.aclose()
        assert served.statuses() == [503]
        writer.close()


NOT_HTTP = [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nA : b\r\n\r\n", b"\x16\x03\x01\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
            b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            b"PUT /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"]  # fmt: skip


@pytest.mark.parametrize("sent", NOT_HTTP)
async def test_no_answer_names_the_server(serve: Any, capfd: Any, sent: bytes) -> None:
    """Neither Python nor aiohttp, also where the request cannot be read; its id is the one of the log."""
    async with serve(log="all") as served:
        host, port = served.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        status, headers, body = parted(await reader.read())
        writer.close()
        await writer.wait_closed()
    assert status.split(b" ")[1].startswith(b"4")
    assert "server" not in headers
    assert not any(name in (repr(headers) + body.decode()).lower() for name in ("aiohttp", "python", "traceback"))
    (line,) = logged(capfd.readouterr().err)
    assert (line["request_id"], line["status"]) == (headers["x-request-id"], int(status.split(b" ")[1]))

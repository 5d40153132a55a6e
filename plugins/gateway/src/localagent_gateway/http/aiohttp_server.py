"""The HTTP server. Only this folder depends on aiohttp.

It uses aiohttp's low-level ``web.Server``. Requests that aiohttp's parser accepts although they are invalid here
(HTTP/0.9, foreign hosts) are refused in this module. Bodies have a deadline, and so have clients that do not read. An
offer to upgrade (RFC 9110, section 7.8) is ignored: the request is answered as HTTP/1.1.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import msgspec
from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_parser import RawRequestMessage

from localagent import LocalAgentError
from localagent.errors import InvalidRequest
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream
from localagent_gateway.descriptors import accepted_at_once
from localagent_gateway.errors import Malformed, UnknownVersion
from localagent_gateway.http.body_reading import BodyBudget, BodyReading, ReadBody
from localagent_gateway.http.connections import AcceptErrors, CountedServer
from localagent_gateway.http.malformed import LINGER_SECONDS, Connection, Lingering
from localagent_gateway.http.origins import Origins, preflight, readable
from localagent_gateway.http.sending import Sender, has_left
from localagent_gateway.http.stalled_connections import SlowReaders
from localagent_gateway.logs.access_log import CLOSED, LEFT, AccessLog, Ending, ending_of
from localagent_gateway.logs.defects import defect
from localagent_gateway.settings import GatewaySettings

BACKLOG = 2048
TURNS = 5  # of the event loop, from accepting a connection to counting its request; asyncio needs three


class Answers(Protocol):
    """Answers requests."""

    async def handle(self, request: HttpRequest, read: ReadBody) -> HttpResponse | HttpStream:
        """Return the answer of a request whose body is still to be read; raises nothing except cancellation."""

    def refuse(self, error: LocalAgentError, request: HttpRequest, *, plain: bool = False) -> HttpResponse:
        """Return the answer of a request that failed outside its handler.

        Args:
            error: The reason.
            request: The request.
            plain: Whether to ignore a plugin's error shape, because it failed.
        """


class AiohttpServer:
    """Serves HTTP/1.1 on sockets.

    Args:
        answers: Answers the requests.
        settings: The gateway's settings.
        origins: Decides which hosts may be called and which pages may call.
        access_log: Records every request.

    Attributes:
        active: Requests that are being answered.
        draining: Whether connections are closed after their answer.
    """

    def __init__(self, answers: Answers, settings: GatewaySettings, origins: Origins, access_log: AccessLog) -> None:
        self._answers = answers
        self._settings = settings
        self._origins = origins
        self._log = access_log
        self._loop = asyncio.get_running_loop()
        self._prefix = f"req-{secrets.token_hex(4)}-"
        self._numbers = itertools.count(1)
        self._readers = SlowReaders(self._loop, settings.send_timeout)
        self._sender = Sender(self._readers, access_log.wall_time)
        self._budget = BodyBudget(settings.bodies)
        self._idle = asyncio.Event()
        self._idle.set()
        self._listeners: list[asyncio.Server] = []
        self._closing = False
        self.active = 0
        self.draining = False
        self._server = CountedServer(
            self._serve,
            self._malformed,
            settings.connections,
            request_factory=self._request,
            handler_cancellation=True,
            keepalive_timeout=settings.header_timeout,
            lingering_time=LINGER_SECONDS,
            access_log=None,
            auto_decompress=False,
        )

        self._accept_errors = AcceptErrors(self._loop, self._server.make_room)

    async def listen(self, sockets: list[Any]) -> None:
        """Start to accept requests on bound sockets."""
        at_once = accepted_at_once(BACKLOG)  # asyncio also uses the backlog as this number
        for sock in sockets:
            self._listeners.append(await self._loop.create_server(self._server, sock=sock, backlog=at_once))
            sock.listen(BACKLOG)

    def switch(self, answers: Answers, settings: GatewaySettings, origins: Origins) -> None:
        """Answer new requests with other objects; requests that were already accepted stay with the previous ones."""
        self._answers, self._settings, self._origins = answers, settings, origins
        self._budget.limit, self._server.most = settings.bodies, settings.connections

    @property
    def connections(self) -> int:
        """The number of open connections, idle ones included."""
        return self._server.open

    def stop_listening(self) -> None:
        """Accept no further connections; open ones close after their next answer, and idle ones stay."""
        self.draining = True
        for listener in self._listeners:
            listener.close()

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until no request is being answered; return whether that happened within ``seconds``."""
        await _turn()
        return await _within(seconds, self._idle)

    async def wait_unconnected(self, seconds: float) -> bool:
        """Wait until no connection is open; return whether that happened within ``seconds``."""
        await _turn()
        return await _within(seconds, self._server.none)

    async def aclose(self) -> None:
        """Close all connections."""
        self.stop_listening()
        self._closing = True
        self._server.pre_shutdown()
        await self._server.shutdown(1.0)
        self._readers.close()
        self._accept_errors.close()

    def _request(
        self, message: RawRequestMessage, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        started = self._loop.time()
        if not self.active:
            self._idle.clear()
        self.active += 1
        incoming = HttpRequest(request.method, "", id=self._prefix + str(next(self._numbers)))
        body = BodyReading(request, self._settings, self._budget, self._server)
        connection = request.protocol
        self._server.works(connection)
        ending, facts = Ending(500), self._log.begin()
        try:
            answer = await self._answer(request, incoming, body)
            response = await self._send(request, incoming, answer, unread=body.unread)
            ending = ending_of(answer)
            return response
        except asyncio.CancelledError as error:
            if not _is_cancelled():  # a handler awaited something that other code had cancelled
                response, ending = await self._failed(request, incoming, error, unread=body.unread)
                return response
            ending = CLOSED if self._closing else LEFT
            raise
        except Exception as error:  # errors of plugins' answers and streams, and our own defects
            if has_left(request):
                ending = LEFT
                raise ConnectionResetError("The client has left.") from None
            response, ending = await self._failed(request, incoming, error, unread=body.unread)
            return response
        finally:
            body.close()
            self._server.waits(connection)
            self.active -= 1
            if not self.active:
                self._idle.set()
            self._log.add(incoming, ending, self._loop.time() - started, facts, request.writer.output_size)

    async def _send(
        self, request: web.BaseRequest, incoming: HttpRequest, answer: HttpResponse | HttpStream, *, unread: bool
    ) -> web.StreamResponse:
        origin = request.headers.get("origin")
        if origin is not None and self._origins.may_read(origin):
            answer = readable(answer, origin)
        connection = cast(Connection, request.protocol)
        # aiohttp's parser loses the bytes after an offer to upgrade, so no other request is read after it.
        last = connection.failure is not None or request._message.upgrade
        response = await self._sender.send(request, incoming, answer, close=last or self.draining or unread)
        return Lingering(connection) if last else response

    async def _failed(
        self, request: web.BaseRequest, incoming: HttpRequest, error: BaseException, *, unread: bool = False
    ) -> tuple[web.StreamResponse, Ending]:
        """Send the error of a failed request, or break off an answer that has begun."""
        failure = error if isinstance(error, LocalAgentError) else defect(error, incoming.id)
        if request.writer.output_size:
            return self._sender.break_off(request), Ending(failure.status, sent=200, error=failure.code)
        for plain in (False, True):
            try:
                answer = self._answers.refuse(failure, incoming, plain=plain)
                return await self._send(request, incoming, answer, unread=unread), Ending(answer.status)
            except ConnectionError:
                raise
            except Exception as another:  # a plugin's error shape; ours is used second
                defect(another, incoming.id)
        raise ConnectionResetError("The error cannot be sent to the client.")

    async def _malformed(
        self, request: web.BaseRequest, error: InvalidRequest, method: str, path: str
    ) -> web.StreamResponse:
        """Answer a malformed HTTP request, in the error shape of its path as far as that is known."""
        incoming = HttpRequest(method, path, peer=request.remote or "", id=self._prefix + str(next(self._numbers)))
        response, ending = await self._failed(request, incoming, error)
        self._log.add(incoming, ending, 0.0)
        return response

    async def _answer(
        self, request: web.BaseRequest, incoming: HttpRequest, body: BodyReading
    ) -> HttpResponse | HttpStream:
        incoming.headers = request.headers
        incoming.peer = request.remote or ""
        _locate(request, incoming)
        refusal = _framing(request) or self._server.refusal(request.protocol)
        if refusal is None and not self._origins.everyday(request.headers):
            refusal = await self._origins.refusal(request.headers)
            incoming.local_page = self._origins.local_page(request.headers)
        if refusal is not None:
            answer = self._answers.refuse(refusal, incoming)
            return msgspec.structs.replace(answer, headers={**answer.headers, "connection": "close"})
        asked_before = preflight(request.method, request.headers)
        if asked_before is not None:
            return asked_before
        return await self._answers.handle(incoming, body.read)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _locate(request: web.BaseRequest, incoming: HttpRequest) -> None:
    """Note path and query."""
    raw = request.raw_path
    if raw.startswith("/") and "%" not in raw and "?" not in raw and "#" not in raw:
        incoming.path = raw  # the common case: nothing to decode
        return
    target = request.rel_url
    incoming.path = target.path
    if target.raw_query_string:
        incoming.raw_query = target.raw_query_string
        incoming.query = dict(target.query.items())  # the last value of a repeated name


async def _turn() -> None:
    """Let the loop process what has arrived: connections accepted before the listener closed, and requests."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _framing(request: web.BaseRequest) -> LocalAgentError | None:
    """Return why a request that aiohttp's parser accepts is refused; None for a valid one."""
    if request.version not in (HttpVersion11, HttpVersion10):
        return UnknownVersion("The version of HTTP is not supported; use HTTP/1.1.")
    headers = request.headers
    coding = headers.get("transfer-encoding")
    if coding is not None and (coding.strip().lower() != "chunked" or request.version == HttpVersion10):
        return Malformed("The only supported transfer coding is chunked.")
    if request.version == HttpVersion11 and "host" not in headers:
        return Malformed("The header Host is missing.")
    target = request._message.path
    if target.startswith(("http://", "https://")):
        if urlsplit(target).netloc.lower() != headers.get("host", "").lower():
            return Malformed("The target names another host than the header Host.")
    elif not target.startswith("/"):
        return Malformed("The target of the request must be a path.")
    return None

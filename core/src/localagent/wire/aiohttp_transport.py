"""The default transport, on aiohttp: one session per event loop, shared by all instances.

Every exception of aiohttp becomes one of LocalAgent's errors here and nowhere else. Only the status line of an answer
is a status: aiohttp reports broken framing as exceptions that carry ``status=400``, and these are protocol errors.
Its own time limits are not used. The call's timer cancels the task, and the phase says which clock it was.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import zlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import BadStatusLine
from yarl import URL

from localagent.errors import (
    Advice,
    ConnectFailed,
    InternalError,
    LocalAgentError,
    ResponseTooLarge,
    SettingsError,
    UpstreamProtocol,
    UpstreamServerError,
)
from localagent.instances import Instance
from localagent.transport import MIB, Caps

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from localagent.errors import Phase
    from localagent.timer import Watch

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_ELSEWHERE = Advice(next=True, billed="unknown", breaker="failure")
_AGAIN = Advice(same=True, next=True, billed="unknown", breaker="failure")
_UNBILLED = Advice(next=True, breaker="failure")
_UNSENT = Advice(next=True, breaker="failure", sent=False)
SMALL_BODY = 64 * 1024
_OUT_OF_FILES = {23, 24, 99}  # ENFILE, EMFILE, EADDRNOTAVAIL
USER_AGENT = "localagent"


class _Forks:
    """How many forks lie between this process and the one that imported the module; asking the system costs a call."""

    count = 0

    @classmethod
    def forked(cls) -> None:
        cls.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Forks.forked)


class _Exchange:
    """What the parts of aiohttp tell the request that they work for.

    Attributes:
        clocks: The request's clocks.
        sending: The phase that begins when there is a connection.
        reused: Whether it went over a connection that had served before.
        transport: The connection, while a large body is written.
    """

    __slots__ = ("clocks", "reused", "sending", "transport")

    def __init__(self, clocks: Watch, sending: Phase) -> None:
        self.clocks = clocks
        self.sending: Phase = sending
        self.reused = True
        self.transport: asyncio.Transport | None = None


_current: ContextVar[_Exchange] = ContextVar("localagent_exchange")


class _Resolver(AbstractResolver):
    """Resolves names through another resolver; says when that phase begins and ends."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        clocks = _current.get().clocks
        clocks.rename("dns")
        try:
            return await self._inner.resolve(host, port, family)
        finally:
            clocks.rename("connect")

    async def close(self) -> None:
        await self._inner.close()


class _Connector(aiohttp.TCPConnector):
    """Says when a request needs a new connection: subclasses are asked to make one, which is how aiohttp has it."""

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        exchange = _current.get()
        exchange.reused = False
        exchange.clocks.enter("connect")
        protocol = await super()._create_connection(req, traces, timeout)
        exchange.clocks.enter(exchange.sending)
        return protocol


class Sessions:
    """The aiohttp sessions of one event loop: one that keeps connections, and one that makes a new one every time.

    The second serves the safe retry on a stale connection. Both are made when first needed, and made anew in a forked
    child, where the parent's sockets are left alone.

    Args:
        resolver: Resolves names; None means the system's.
        keepalive: Seconds that an idle connection is kept.
    """

    def __init__(self, *, resolver: AbstractResolver | None = None, keepalive: float = 15.0) -> None:
        self._resolver = resolver
        self._keepalive = keepalive
        self._forks = _Forks.count
        self._made: dict[bool, aiohttp.ClientSession] = {}

    def get(self, *, fresh: bool = False) -> aiohttp.ClientSession:
        """Return the session; ``fresh`` the one whose connections are never reused."""
        session = self._made.get(fresh)
        if session is None or self._forks != _Forks.count:
            session = self._make(fresh)
        return session

    def _make(self, fresh: bool) -> aiohttp.ClientSession:
        if self._forks != _Forks.count:
            self._made.clear()
            self._forks = _Forks.count
        options: dict[str, Any] = {"force_close": True} if fresh else {"keepalive_timeout": self._keepalive}
        connector = _Connector(
            limit=0,
            resolver=_Resolver(self._resolver or aiohttp.ThreadedResolver()),
            ttl_dns_cache=30,
            **options,
        )
        self._made[fresh] = aiohttp.ClientSession(
            connector=connector,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        )
        return self._made[fresh]

    async def aclose(self) -> None:
        """Close all connections."""
        if self._forks == _Forks.count:
            for session in self._made.values():
                await session.close()
        self._made.clear()


class Permits:
    """Connection slots of one instance, given out in the order of asking.

    aiohttp's own limit is not used: waiting there looks like a connect timeout.

    Args:
        limit: Slots.
    """

    __slots__ = ("_free", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def used(self) -> int:
        """Slots that are taken now."""
        return self.limit - self._free

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a slot if one is free and nobody waits."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Wait for a slot and take it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.give()  # the slot came in the same turn of the loop as the cancellation
            elif future in self._waiting:  # ``give`` may have passed it over by now
                self._waiting.remove(future)
            raise

    def give(self) -> None:
        """Give a slot back, or hand it to whoever waits longest."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1


class AiohttpAnswer:
    """An answer whose head has come; see ``localagent.transport.HttpAnswer``."""

    __slots__ = ("_caps", "_inflater", "_permits", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, caps: Caps, permits: Permits) -> None:
        self._inflater = _inflater_for(response.headers.get("Content-Encoding"))
        self._response = response
        self._caps = caps
        self._permits: Permits | None = permits
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end and the connection given back."""
        return self._permits is None

    async def read(self, cap: int | None = None) -> bytes:
        """Return the rest of the body; see ``HttpAnswer.read``."""
        enough = self._caps.body + 1 if cap is None else cap
        data = await self.part()
        parts, total = [data], len(data)
        while data and total < enough and not self._over:
            data = await self.part()
            parts.append(data)
            total += len(data)
        if not self._over:
            self.abort()
        if cap is None and total > self._caps.body:
            raise ResponseTooLarge(f"The answer is larger than {self._caps.body} bytes.", phase="read")
        return (parts[0] if len(parts) == 1 else b"".join(parts))[:cap]

    async def part(self) -> bytes:
        """Return the next bytes of the body; ``b""`` at its end."""
        try:
            if self._inflater is None:
                return await self._raw_part()
            return await self._inflated_part(self._inflater)
        except BaseException:  # a failure or a cancellation: whoever was reading may not come back to clean up
            self.abort()
            raise

    async def _inflated_part(self, inflater: _Inflater) -> bytes:
        data = inflater.pending()
        while not data and not inflater.finished:
            data = inflater.feed(await self._raw_part())
        return data

    async def _raw_part(self) -> bytes:
        content = self._response.content
        try:
            data = await content.readany()
        except (aiohttp.ClientError, ConnectionError) as error:
            trouble = _broken(error)
        else:
            if content.at_eof():
                self._give_permit()  # aiohttp itself takes the connection back at the end of the body
            return data
        raise trouble

    @property
    def _over(self) -> bool:
        """Whether no further part will come."""
        return self._permits is None and (self._inflater is None or self._inflater.finished)

    def abort(self) -> None:
        """Close the connection at once."""
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        self._response.close()
        if self._permits is not None:
            _abort(transport)
            self._give_permit()

    async def aclose(self) -> None:
        """Give the connection back when the body was read to its end, close it otherwise."""
        if self._permits is not None:
            self.abort()

    def _give_permit(self) -> None:
        permits, self._permits = self._permits, None
        if permits is not None:
            permits.give()


def _abort(transport: asyncio.Transport | None) -> None:
    """Close a connection without waiting until what was written is read: close() would wait for ever."""
    if transport is not None:
        transport.abort()


class _Inflater:
    """Decompresses gzip or deflate, at most 1 MiB at a time; a stream that ends too early is an error.

    Attributes:
        finished: Whether the input has ended, and well.
    """

    def __init__(self, window: int) -> None:
        self._zlib = zlib.decompressobj(window)
        self._begun = False
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """Return what these bytes decompress to, or the first 1 MiB of it; ``b""`` ends the input."""
        if not data:
            if self._begun and not self._zlib.eof:
                raise UpstreamProtocol("The answer's compression was cut short.", phase="read", advice=_AGAIN)
            self.finished = True
            return b""
        if self._zlib.eof:
            raise UpstreamProtocol("Bytes follow the end of the answer's compression.", phase="read")
        self._begun = True
        return self._inflate(data)

    def pending(self) -> bytes:
        """Return the next 1 MiB of what ``feed`` did not return."""
        return self._inflate(self._zlib.unconsumed_tail) if self._zlib.unconsumed_tail else b""

    def _inflate(self, data: bytes) -> bytes:
        try:
            return self._zlib.decompress(data, MIB)
        except zlib.error:
            raise UpstreamProtocol("The answer's compression is broken.", phase="read") from None


def _inflater_for(encoding: str | None) -> _Inflater | None:
    if encoding is None or encoding in ("", "identity"):
        return None
    if encoding.lower() in ("gzip", "x-gzip"):
        return _Inflater(16 + zlib.MAX_WBITS)
    if encoding.lower() == "deflate":
        return _Inflater(zlib.MAX_WBITS)
    raise UpstreamProtocol("The answer has an unknown Content-Encoding.", phase="read")


class AiohttpTransport:
    """Sends requests to one instance; see ``localagent.transport.Transport``.

    Args:
        instance: Whose pool profile holds.
        sessions: The event loop's sessions; whoever made them closes them.
        caps: Size limits of answers.
        tls: Decides whom to trust; None means the system's certificate authorities.
    """

    def __init__(
        self, instance: Instance, sessions: Sessions, caps: Caps | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._sessions = sessions
        self._caps = caps or Caps()
        self._tls: ssl.SSLContext | bool = tls or True
        self._urls: dict[str, URL] = {}
        self.permits = Permits(instance.pool.limit)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, clocks: Watch
    ) -> AiohttpAnswer:
        """Send a request and return when the head of the answer has come; see ``Transport.send``."""
        permits = self.permits
        if not permits.take():
            clocks.enter("pool")
            await permits.wait()
        try:
            return await self._send(method, url, headers, body, clocks)
        except BaseException:
            permits.give()
            raise

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, clocks: Watch
    ) -> AiohttpAnswer:
        address = self._urls.get(url)
        if address is None:
            address = self._urls[url] = URL(url, encoded=True)
        large = body is not None and len(body) > SMALL_BODY
        exchange = _Exchange(clocks, "send" if large else "ttft")
        data = _LargeBody(body, exchange) if body is not None and large else body
        token = _current.set(exchange)
        clocks.enter(exchange.sending)
        try:
            try:
                response = await self._sessions.get().request(
                    method, address, data=data, headers=headers, allow_redirects=False, ssl=self._tls
                )
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                if not exchange.reused or isinstance(error, aiohttp.ClientConnectorError) or _partial(error):
                    raise
                # A kept connection that the server had closed meanwhile: no byte of an answer came.
                response = await self._sessions.get(fresh=True).request(
                    method, address, data=data, headers=headers, allow_redirects=False, ssl=self._tls
                )
            try:
                return AiohttpAnswer(response, self._caps, self.permits)
            except UpstreamProtocol:
                response.close()
                raise
        except (aiohttp.ClientError, OSError) as error:
            trouble = _translated(error)
        except ValueError:  # aiohttp's own check; its message may show what must not be shown
            trouble = SettingsError("A header or the address of the request holds characters that HTTP forbids.",
                                    mend="Check the keys and headers of the provider for line breaks.")  # fmt: skip
        except asyncio.CancelledError:
            _abort(exchange.transport)
            raise
        finally:
            _current.reset(token)
        # Outside the handler: aiohttp's exceptions carry the request's headers, and must not be linked to ours.
        raise trouble

    async def aclose(self) -> None:
        """Nothing of its own to close: the sessions belong to the event loop."""


class _LargeBody(aiohttp.Payload):
    """A request's body in pieces; says when the last one has been written."""

    _autoclose = True

    def __init__(self, value: bytes, exchange: _Exchange) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self._exchange = exchange

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        text: str = self._value.decode(encoding, errors)
        return text

    async def write(self, writer: Any) -> None:
        self._exchange.transport = writer.transport
        view = memoryview(self._value)
        for start in range(0, len(view), SMALL_BODY):
            await writer.write(view[start : start + SMALL_BODY])
        self._exchange.clocks.enter("ttft")


def tls_context(authority: Path) -> ssl.SSLContext:
    """Return the context that trusts the authorities of a PEM file and nobody else.

    Raises:
        SettingsError: The file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"The certificate authorities in {authority} cannot be read: {error.strerror or error}.",
                            mend="Name a PEM file.") from None  # fmt: skip


def _translated(error: Exception) -> LocalAgentError:
    """Return the error that a failure before the head of the answer becomes."""
    if isinstance(error, OSError) and error.errno in _OUT_OF_FILES:
        return InternalError("This process has no file descriptor or port left for a connection.",
                             mend="Raise the limit (ulimit -n), or lower pool.limit.")  # fmt: skip
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientSSLError | aiohttp.InvalidURL):
        return _unconnected(error)
    if isinstance(error, aiohttp.ClientResponseError):
        advice = _UNBILLED if _is_no_http(error.__cause__) else None
        return UpstreamProtocol("The server's answer is not HTTP.", phase="read", advice=advice)
    if _partial(error):
        return UpstreamProtocol("The connection ended within the head of the answer.", phase="read")
    return _broken(error)


def _unconnected(error: Exception) -> LocalAgentError:
    """Return the error of a connection that was not made."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ConnectFailed("TLS could not be agreed: the server's certificate was not accepted.", phase="tls",
                             mend="Set authority of the provider, if a private authority made it.")  # fmt: skip
    if isinstance(error, aiohttp.ClientSSLError):
        return UpstreamProtocol("The server does not speak TLS.", phase="tls", advice=_UNSENT,
                                mend="Check https in the url.")  # fmt: skip
    if isinstance(error, aiohttp.ClientConnectorDNSError | aiohttp.InvalidURL):
        return ConnectFailed("The server's name cannot be resolved.", phase="dns",
                             mend="Check the url in the settings.")  # fmt: skip
    reason = _reason(error) if isinstance(error, aiohttp.ClientConnectorError) else type(error).__name__
    return ConnectFailed(f"No connection: {reason}.", phase="connect",
                         mend="Is the server running? See: localagent doctor")  # fmt: skip


def _broken(error: Exception) -> LocalAgentError:
    """Return the error that a failure on an open connection becomes."""
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError):
        return UpstreamServerError("The server closed the connection without a complete answer.", phase="read",
                                   advice=_ELSEWHERE)  # fmt: skip
    if isinstance(error, aiohttp.ClientPayloadError):
        return UpstreamServerError("The answer was cut short.", phase="read", advice=_ELSEWHERE)
    return UpstreamProtocol(f"The server's answer is not HTTP ({type(error).__name__}).", phase="read")


def _partial(error: Exception) -> bool:
    """Whether a connection ended within the head of an answer: aiohttp then passes on what it has of it."""
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)


def _is_no_http(cause: BaseException | None) -> bool:
    """Whether the very first bytes were no HTTP, so that no model has worked."""
    return isinstance(cause, BadStatusLine) or "Expected HTTP/" in str(cause)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    number = error.os_error.errno
    return os.strerror(number).lower() if number else "no address answered"


@asynccontextmanager
async def sessions(**options: Any) -> AsyncIterator[Sessions]:
    """Open the sessions of the running loop; see ``Sessions`` for the options."""
    made = Sessions(**options)
    try:
        yield made
    finally:
        await made.aclose()

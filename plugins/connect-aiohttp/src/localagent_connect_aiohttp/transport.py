"""The default transport, on aiohttp: one session per event loop, shared by all instances.

aiohttp's own time limits are not used. The call's timer cancels the task, and the phase says which clock it was.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from localagent import (
    Caps,
    HttpAnswer,
    Inflater,
    Instance,
    Permits,
    PoolStats,
    ResponseTooLarge,
    SettingsError,
    UpstreamProtocol,
    ends_after_stream,
    inflater_for,
    kept_for,
    tls_context,
)
from localagent_connect_aiohttp.connector import Counts, Exchange, current
from localagent_connect_aiohttp.errors import broken, translated
from localagent_connect_aiohttp.sessions import Sessions

if TYPE_CHECKING:
    from localagent import Watch

SMALL_BODY = 64 * 1024


class AiohttpAnswer:
    """An answer whose head has come; see ``localagent.transport.HttpAnswer``."""

    __slots__ = ("_caps", "_inflater", "_permits", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, caps: Caps, permits: Permits) -> None:
        self._inflater = inflater_for(response.headers.get("Content-Encoding"))
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
        content = self._response.content
        try:
            if self._inflater is not None:
                return await self._inflated_part(self._inflater)
            data = await content.readany()
        except (aiohttp.ClientError, ConnectionError) as error:
            trouble = broken(error)
        except BaseException:  # a cancellation, or what inflating raised: whoever reads may not come back to clean up
            self.abort()
            raise
        else:
            if content.at_eof():
                self._give_permit()  # aiohttp itself takes the connection back at the end of the body
            return data
        self.abort()
        raise trouble

    async def _inflated_part(self, inflater: Inflater) -> bytes:
        data = inflater.pending()
        content = self._response.content
        while not data and not inflater.finished:
            raw = await content.readany()
            if content.at_eof():
                self._give_permit()
            data = inflater.feed(raw)
        return data

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


class AiohttpTransport:
    """Sends requests to one instance; see ``localagent.transport.Transport``.

    Args:
        instance: Whose pool profile holds.
        sessions: The event loop's sessions; whoever made them closes them.
        caps: Size limits of answers.
        tls: Decides whom to trust: a context, or a PEM file of certificate authorities, which is read again when it
            changes. None means the system's certificate authorities.
        permits: The instance's connection slots; None means as many as its pool profile says.

    Attributes:
        counts: What became of its connections so far.
        keepalive: Seconds that an idle connection is kept: those of the profile, or fewer when the server says so.
        permits: The instance's connection slots.
    """

    def __init__(
        self,
        instance: Instance,
        sessions: Sessions,
        caps: Caps | None = None,
        tls: ssl.SSLContext | Path | None = None,
        permits: Permits | None = None,
    ) -> None:
        self._address = URL(instance.url)
        self.counts = Counts()
        self.keepalive = instance.pool.keepalive
        self._offered = ""
        self._sessions = sessions
        self._caps = caps or Caps()
        self._tls: ssl.SSLContext | Path | None = tls
        self._urls: dict[str, URL] = {}
        self.permits = permits or Permits(instance.pool.limit)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, clocks: Watch
    ) -> HttpAnswer:
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
        exchange = Exchange(clocks, "send" if large else "ttft", self.counts, self.keepalive, fresh=clocks.fresh)
        tls = self._trusted()
        if clocks.fresh:
            self._make_room(address)
        data = _LargeBody(body, exchange) if body is not None and large else body
        token = current.set(exchange)
        clocks.enter(exchange.sending)
        try:
            response = await self._sessions.get().request(
                method, address, data=data, headers=headers, allow_redirects=False, ssl=tls
            )
            if exchange.reused:
                self.counts.reused += 1
            self._heed(response, address)
            try:
                return AiohttpAnswer(response, self._caps, self.permits)
            except UpstreamProtocol:
                response.close()
                raise
        except (aiohttp.ClientError, OSError) as error:
            trouble = translated(error, reused=exchange.reused)
            if trouble.advice.stale:
                self._sessions.drop_idle(address)  # the others to the same server may be closed just as well
        except ValueError:  # aiohttp's own check; its message may show what must not be shown
            trouble = SettingsError("A header or the address of the request holds characters that HTTP forbids.",
                                    mend="Check the keys and headers of the provider for line breaks.")  # fmt: skip
        except asyncio.CancelledError:
            _abort(exchange.transport)
            raise
        finally:
            current.reset(token)
        # Outside the handler: aiohttp's exceptions carry the request's headers, and must not be linked to ours.
        raise trouble

    def _trusted(self) -> ssl.SSLContext | bool:
        """Return whom to trust now, as aiohttp has it."""
        if isinstance(self._tls, Path):
            return tls_context(self._tls)
        return self._tls or True

    def _make_room(self, address: URL) -> None:
        """Close kept connections, if a new one would be one too many."""
        if self.permits.used + self._sessions.idle(address) > self.permits.limit:
            self._sessions.drop_idle(address)

    def _heed(self, response: aiohttp.ClientResponse, address: URL) -> None:
        """Keep the connection of an answer no longer than its server does."""
        if (offered := response.headers.get("Keep-Alive", "")) != self._offered:
            self._keep_no_longer(offered)
        if ends_after_stream(response.headers):
            if response.connection is None:  # all of the answer came with its head, so the connection is kept already
                self._sessions.drop_idle(address)
            elif response.connection.protocol is not None:
                response.connection.protocol.force_close()

    def _keep_no_longer(self, offered: str) -> None:
        """Keep idle connections for less time than the server says that it keeps them."""
        self._offered = offered
        seconds = kept_for(offered)
        if seconds is not None and seconds < self.keepalive:
            self.keepalive = seconds

    def stats(self) -> PoolStats:
        """Return how connections are used; idle are all those to the instance's host and port."""
        permits, counts = self.permits, self.counts
        return PoolStats(
            permits.used, self._sessions.idle(self._address), permits.waiting, permits.limit,
            counts.opened, counts.handshakes, counts.reused, counts.failed, permits.waited,
        )  # fmt: skip

    async def prepare(self) -> None:
        """Have a connection ready for the next request: connected, TLS included, nothing sent.

        Raises:
            ConnectFailed: There is none to be had.
        """
        try:
            await self._sessions.prepare(self._address, self._trusted(), self.counts, self.keepalive)
        except (aiohttp.ClientError, OSError) as error:
            trouble = translated(error)
        else:
            return
        raise trouble

    async def aclose(self) -> None:
        """Nothing of its own to close: the sessions belong to the event loop."""


class _LargeBody(aiohttp.Payload):
    """A request's body in pieces; says when the last one has been written."""

    _autoclose = True

    def __init__(self, value: bytes, exchange: Exchange) -> None:
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


@asynccontextmanager
async def sessions(**options: Any) -> AsyncIterator[Sessions]:
    """Open the sessions of the running loop; see ``Sessions`` for the options."""
    made = Sessions(**options)
    try:
        yield made
    finally:
        await made.aclose()

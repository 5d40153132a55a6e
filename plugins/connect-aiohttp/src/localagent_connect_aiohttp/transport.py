"""The transport of one instance, on aiohttp.

aiohttp's own timeouts are not used. The call's timer cancels the task, and the phase shows which timeout expired.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import aiohttp
from yarl import URL

from localagent import HttpAnswer, Instance
from localagent.errors import SettingsError, UpstreamProtocol
from localagent.records import ConnectSettings, PoolProfile, PoolStats
from localagent.timing import PhaseTimer
from localagent_connect_aiohttp.answer import AiohttpAnswer, abort
from localagent_connect_aiohttp.connector import Exchange, current
from localagent_connect_aiohttp.errors import translated
from localagent_connect_aiohttp.framing import check_head
from localagent_connect_aiohttp.idle_connections import ends_after_stream, kept_for
from localagent_connect_aiohttp.large_body import SMALL_BODY, LargeBody
from localagent_connect_aiohttp.permits import Permits, PoolPermits
from localagent_connect_aiohttp.ready import ReadyConnections, Spawn
from localagent_connect_aiohttp.sessions import Sessions
from localagent_connect_aiohttp.settings import AiohttpConnectSettings
from localagent_connect_aiohttp.tls import tls_context

_LIMITS = ConnectSettings()
_DEFAULTS = AiohttpConnectSettings()


class AiohttpTransport:
    """Sends requests to one instance over its own connections; see ``localagent.Transport``.

    Args:
        instance: The instance.
        keep_to: Size limits of answers, and the trusted authorities.
        settings: The plugin's settings, in which the instance's pool profile is looked up.
        sessions: Opens its connections; None creates one. The transport closes it.
        total: The connection slots of all instances; None means that only the instance's own limit applies.
        spawn: Runs a coroutine in the background (``Core.spawn``). Without it no connection is opened before a request
            needs it.

    Attributes:
        profile: How connections are kept.
        permits: The instance's connection slots.
    """

    def __init__(
        self,
        instance: Instance,
        keep_to: ConnectSettings = _LIMITS,
        settings: AiohttpConnectSettings = _DEFAULTS,
        *,
        sessions: Sessions | None = None,
        total: Permits | None = None,
        spawn: Spawn | None = None,
    ) -> None:
        self.profile: PoolProfile = settings.profile(instance.provider, instance.type, instance.pool)
        limit = self.profile.limit
        self.permits = Permits(limit) if total is None else PoolPermits(limit, total)
        self._address = URL(instance.url)
        self._size_limits = keep_to.size_limits
        self._authority = keep_to.authority
        self._offered = ""
        self._urls: dict[str, URL] = {}
        self._sessions = sessions or Sessions(dns_ttl=settings.resolve_every)
        self._sessions.keep_for(self.profile.keepalive)
        self._spare = settings.spare
        self._ready: ReadyConnections | None = None
        if spawn is not None:
            self._ready = ReadyConnections(self.prepare, self.permits, self._sessions.idle, spawn, settings.connect)
            if settings.spare:
                self._sessions.on_opening = self._load_rises

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> HttpAnswer:
        """Send a request and return once the head of the answer has arrived; see ``Transport.send``."""
        permits = self.permits
        if not permits.take():
            phases.enter("pool")
            await permits.wait()
        try:
            return await self._send(method, url, headers, body, phases)
        except BaseException:
            permits.give()
            raise

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> AiohttpAnswer:
        address = self._urls.get(url)
        if address is None:
            address = self._urls[url] = URL(url, encoded=True)
        large = body is not None and len(body) > SMALL_BODY
        exchange = Exchange(phases, "send" if large else "first_token", fresh=phases.fresh)
        tls = self._trusted()
        if phases.fresh:
            self._make_room()
        data = LargeBody(body, exchange) if body is not None and large else body
        token = current.set(exchange)
        phases.enter(exchange.sending)
        try:
            response = await self._sessions.get().request(
                method, address, data=data, headers=headers, allow_redirects=False, ssl=tls
            )
            if exchange.reused:
                self._sessions.counts.reused += 1
            self._heed(response)
            try:
                codings = response.headers.getall("Transfer-Encoding", ())
                check_head(response.version or (0, 0), response.status, codings)
                return AiohttpAnswer(response, self._size_limits, self.permits)
            except UpstreamProtocol:
                self._leave(response)
                response.close()
                raise
        except (aiohttp.ClientError, OSError) as error:
            trouble = translated(error, reused=exchange.reused)
            if trouble.advice.stale:
                self._sessions.drop_idle()  # the others may be closed, too
        except ValueError:  # aiohttp's own check; its message may contain secrets
            trouble = SettingsError("A header or the address of the request contains characters that HTTP forbids.",
                                    hint="Check the keys and headers of the provider for line breaks.")  # fmt: skip
        except asyncio.CancelledError:
            abort(exchange.transport)
            raise
        finally:
            current.reset(token)
        # Outside the handler: aiohttp's exceptions hold the request's headers, and must not be chained to ours.
        raise trouble

    def _trusted(self) -> ssl.SSLContext | bool:
        """Return the TLS context to use now, as aiohttp's ``ssl`` argument."""
        return True if self._authority is None else tls_context(self._authority)

    def _make_room(self) -> None:
        """Close idle connections if a new one would exceed the limit."""
        if self.permits.used + self._sessions.idle() > self.permits.limit:
            self._sessions.drop_idle()

    def _heed(self, response: aiohttp.ClientResponse) -> None:
        """Keep the connection of an answer no longer than its server keeps it."""
        if (offered := response.headers.get("Keep-Alive", "")) != self._offered:
            self._keep_no_longer(offered)
        if ends_after_stream(response.headers):
            self._leave(response)

    def _leave(self, response: aiohttp.ClientResponse) -> None:
        """Close the connection of an answer when the answer ends."""
        if response.connection is None:  # the whole answer arrived with its head, so the connection is already idle
            self._sessions.drop_idle()
        elif response.connection.protocol is not None:
            response.connection.protocol.force_close()

    def _keep_no_longer(self, offered: str) -> None:
        """Keep idle connections for less time than the server announces in ``Keep-Alive``."""
        self._offered = offered
        seconds = kept_for(offered)
        if seconds is not None and seconds < self.keepalive:
            self._sessions.keep_for(seconds)

    @property
    def keepalive(self) -> float:
        """Seconds that an idle connection is kept: the profile's value, or less if the server announced less."""
        return self._sessions.keepalive

    def stats(self) -> PoolStats:
        """Return the connection statistics."""
        permits, counts = self.permits, self._sessions.counts
        return PoolStats(
            permits.used, self._sessions.idle(), permits.waiting, permits.limit,
            counts.opened, counts.handshakes, counts.reused, counts.failed, permits.waited,
        )  # fmt: skip

    def _load_rises(self, address: URL) -> None:
        """Open spare connections when a request opens one, unless it is the only request."""
        if self.permits.used > 1:
            self.make_ready(self._spare, address)

    def make_ready(self, count: int, address: URL | None = None) -> None:
        """Open connections in the background, if the limits leave room for them.

        Args:
            count: How many may be opening at a time.
            address: The address to connect to; None means the instance's own address.
        """
        if self._ready is not None:
            self._ready.open(count, address or self._address)

    async def prepare(self, address: URL) -> None:
        """Open a connection for the next request, including the TLS handshake, without sending anything.

        Args:
            address: The address to connect to.

        Raises:
            ConnectFailed: The connection could not be opened.
        """
        try:
            await self._sessions.prepare(address, self._trusted())
        except (aiohttp.ClientError, OSError) as error:
            trouble = translated(error)
        else:
            return
        raise trouble

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        if self._ready is not None:
            self._ready.stop()
        await self._sessions.aclose()

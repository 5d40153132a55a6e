"""The contract of connect plugins: the transport of an instance, and how its connections are kept and counted."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from localagent import Instance, Transport
from localagent.errors import ConnectFailed, PoolTimeout, SettingsError, UpstreamServerError
from localagent.records import PoolProfile
from localagent.timing import Timeouts
from localagent_testing.authority import Authority
from localagent_testing.contracts.bringing import GOOD, BringsTransports, Brought, trusted
from localagent_testing.contracts.exchanging import exchange, fetch, nobody_listens
from localagent_testing.fake_core import FakeCore
from localagent_testing.fault_server import FaultServer
from localagent_testing.http_bytes import answer, head
from localagent_testing.steps import Hold, ReadRequest, Reset, Script, Send, Stall

__all__ = ["ConnectContract"]

HELD = (ReadRequest(), Hold(60.0), Send(answer(200, b"good")))
HALF = (ReadRequest(), Send(head(200, {"Content-Length": "8"}) + b"half"), Stall())
BROKEN = (ReadRequest(), Reset())
SOON = Timeouts(pool=0.05)
NAME = "moved.test"


class ConnectContract(BringsTransports):
    """The promises of every connect plugin for the instances for which it brings a transport; see the hook ``connect``.

    The author names the plugin, and the settings with which it opens one connection in advance::

        class TestMine(ConnectContract):
            plugin = MyTransports
            one_ready = {"warm": 1}

    It may leave instances to other plugins, but not one with plain HTTP/1.1 or TLS. The transport itself has its own
    contract, ``TransportContract``.
    """

    @pytest.mark.parametrize("url", ["http://a.test", "https://a.test/v1", "http://[::1]:1", "http+unix://x", "ws://x"])
    async def test_an_instance_gets_a_transport_or_is_left_to_others(self, url: str) -> None:
        """Whatever its address is, the plugin returns a transport or None at once, and sends nothing."""
        async with FakeCore() as core, core.plugged(self.plugin) as plugged:
            instance = Instance("there", "there", "there", url)
            core.instances.add(instance)
            transport = await plugged.ask("connect", instance)
            if transport is not None:
                assert isinstance(transport, Transport)
                await transport.aclose()

    async def test_connections_are_reused(self) -> None:
        """Five consecutive requests need one connection; four of them find it open."""
        async with FaultServer(GOOD) as server, self.brought(server.url) as here:
            for _ in range(5):
                assert await fetch(here.transport, server.url) == b"good"
            assert server.connections.accepted == 1
            assert (here.stats.opened, here.stats.reused, here.stats.handshakes) == (1, 4, 0)

    async def test_handshakes_are_saved_and_counted(self) -> None:
        """With TLS the five requests need one handshake."""
        async with trusted() as (server, file), self.brought(server.url, authority=file) as here:
            for _ in range(5):
                assert await fetch(here.transport, server.url) == b"good"
            assert server.connections.accepted == 1
            assert (here.stats.opened, here.stats.reused, here.stats.handshakes) == (1, 4, 1)

    async def test_a_kept_tls_connection_that_was_closed_is_replaced_unseen(self) -> None:
        """The end of the stream waits in the socket, outside TLS, and is detected before the request is written."""
        async with trusted() as (server, file), self.brought(server.url, authority=file) as here:
            for connection in (1, 2, 3):
                assert await fetch(here.transport, server.url) == b"good"
                assert [request.connection for request in server.requests][-1:] == [connection]
                server.hang_up()

    async def test_an_authority_that_changes_holds_for_new_connections(self) -> None:
        """The file's contents at the time of connecting count: another authority in the same file, or none at all."""
        first, second = Authority(), Authority()
        with first.file() as file, second.file() as other:
            async with (
                FaultServer(GOOD, tls=first.good()) as old,
                FaultServer(GOOD, tls=second.good()) as new,
                self.brought(old.url, authority=file) as here,
            ):
                assert await fetch(here.transport, old.url) == b"good"
                with pytest.raises(ConnectFailed):
                    await fetch(here.transport, new.url)
                file.write_bytes(other.read_bytes())
                assert await fetch(here.transport, new.url) == b"good"
                with pytest.raises(ConnectFailed):
                    await fetch(here.transport, old.url, fresh=True)
                file.write_bytes(b"")
                with pytest.raises(SettingsError):
                    await fetch(here.transport, new.url, fresh=True)

    async def test_the_limit_of_the_instance_is_kept(self) -> None:
        """There are never more connections than the settings allow; other requests wait, are counted and served."""
        async with FaultServer(HELD) as server, self.brought(server.url, pool=PoolProfile(limit=3)) as here:
            tasks = [asyncio.ensure_future(fetch(here.transport, server.url)) for _ in range(20)]
            await server.arrived(3)
            now = here.stats
            assert (now.active, now.waiting, now.limit, now.utilisation) == (3, 17, 3, 1.0)
            assert server.connections.open == 3
            server.release()
            assert await asyncio.gather(*tasks) == [b"good"] * 20
            assert server.connections.accepted == 3
            assert (here.stats.active, here.stats.waiting, here.stats.idle) == (0, 0, 3)

    async def test_slots_are_given_in_the_order_of_asking(self) -> None:
        """The request that has waited longest is next."""
        async with FaultServer(GOOD) as server, self.brought(server.url, pool=PoolProfile(limit=1)) as here:
            names = [str(number).encode() for number in range(10)]
            await asyncio.gather(*(fetch(here.transport, server.url, body=name) for name in names))
            assert [request.body for request in server.requests] == names

    async def test_waiting_too_long_is_an_error_of_its_own(self) -> None:
        """It is ``PoolTimeout``, nothing was sent, and the request no longer waits; the seconds are counted."""
        async with FaultServer(HELD) as server, self.brought(server.url, pool=PoolProfile(limit=1)) as here:
            first = asyncio.ensure_future(fetch(here.transport, server.url))
            await server.arrived()
            with pytest.raises(PoolTimeout):
                async with exchange(here.transport, server.url, timeouts=SOON):
                    pass
            assert (here.stats.active, here.stats.waiting, len(server.requests)) == (1, 0, 1)
            assert here.stats.waited > 0
            server.release()
            assert await first == b"good"

    async def test_who_is_cancelled_while_waiting_leaves_nothing(self) -> None:
        """The slot goes to the next request that waits."""
        async with FaultServer(HELD) as server, self.brought(server.url, pool=PoolProfile(limit=1)) as here:
            tasks = [asyncio.ensure_future(fetch(here.transport, server.url)) for _ in range(3)]
            await server.arrived()
            tasks[1].cancel()
            server.release()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(end) for end in ends] == [bytes, asyncio.CancelledError, bytes]
            assert (here.stats.active, here.stats.waiting) == (0, 0)

    async def test_a_connection_is_ready_before_the_first_request(self) -> None:
        """TLS included, and nothing is sent over it; the first request finds it open."""
        async with (
            trusted() as (server, file),
            self.brought(server.url, authority=file, settings=self.one_ready) as here,
        ):
            await here.core.settled()
            now = here.stats
            assert (now.opened, now.handshakes, now.idle, now.active) == (1, 1, 1, 0)
            assert server.requests == []
            assert await fetch(here.transport, server.url) == b"good"
            assert (here.stats.opened, server.connections.accepted) == (1, 1)

    async def test_a_server_that_is_not_there_yet_is_no_trouble(self) -> None:
        """A connection that cannot be opened in advance raises nothing and keeps no slot; the request raises."""
        with nobody_listens() as url:
            async with self.brought(url, settings=self.one_ready) as here:
                await here.core.settled()
                assert (here.stats.active, here.stats.idle, here.stats.opened) == (0, 0, 0)
                with pytest.raises(ConnectFailed):
                    await fetch(here.transport, url)
                assert here.stats.failed >= 1

    async def test_the_figures_add_up(self) -> None:
        """However exchanges end, the counts of opened and idle connections are those of the server."""
        scripts: list[Script] = [GOOD, GOOD, BROKEN, GOOD, GOOD, HALF, GOOD]
        async with FaultServer(scripts) as server, self.brought(server.url) as here:
            for _ in range(2):
                assert await fetch(here.transport, server.url) == b"good"
            with pytest.raises(UpstreamServerError):
                await fetch(here.transport, server.url)
            for _ in range(2):
                assert await fetch(here.transport, server.url) == b"good"
            async with exchange(here.transport, server.url) as got:
                await got.read_chunk()  # and leave the rest
            assert await fetch(here.transport, server.url) == b"good"
            await server.until(lambda: server.connections.open == 1)
            now = here.stats
            assert (now.active, now.waiting, now.idle) == (0, 0, 1)
            assert now.opened == server.connections.accepted
            assert now.opened + now.reused in (6, 7)  # seven requests; one that broke may count as a reuse or not

    async def test_closing_closes_every_connection(self) -> None:
        """Any number of kept connections is closed; closing again does nothing."""
        async with FaultServer(HELD) as server, self.brought(server.url) as here:
            tasks = [asyncio.ensure_future(fetch(here.transport, server.url)) for _ in range(3)]
            await server.arrived(3)
            server.release()
            await asyncio.gather(*tasks)
            assert here.stats.idle >= 3
            await here.transport.aclose()
            await server.all_closed()
            await here.transport.aclose()

    async def test_instances_have_connections_and_figures_of_their_own(self) -> None:
        """Closing one, when its instance is removed, does not affect the other."""
        async with FaultServer(GOOD) as server, FakeCore() as core, core.plugged(self.plugin) as plugged:
            instances = [Instance(name, name, "openai", server.url) for name in ("one", "two")]
            for instance in instances:
                core.instances.add(instance)
            one, two = [Brought(await plugged.ask("connect", instance), core) for instance in instances]
            await fetch(one.transport, server.url)
            assert (one.stats.opened, two.stats.opened) == (1, 0)
            await fetch(two.transport, server.url)
            await one.transport.aclose()
            await server.until(lambda: server.connections.open == 1)
            assert await fetch(two.transport, server.url) == b"good"
            assert (two.stats.opened, two.stats.reused) == (1, 1)
            await two.transport.aclose()

    async def test_a_failure_to_connect_makes_the_name_be_resolved_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An address that does not answer is not remembered: the next request reaches the name's new address."""
        addresses = resolve_to(monkeypatch, "127.0.0.2")
        async with FaultServer(GOOD) as server:
            url = server.url.replace("127.0.0.1", NAME)
            async with self.brought(url) as here:
                with pytest.raises(ConnectFailed):
                    await fetch(here.transport, url)
                addresses[:] = ["127.0.0.1"]
                assert await fetch(here.transport, url) == b"good"

    async def test_a_cancelled_connect_leaves_nothing(self) -> None:
        """Also in the middle of a handshake: the socket is closed, the slot is free."""
        async with FaultServer((Stall(),)) as server:
            url = server.url.replace("http:", "https:")
            async with self.brought(url, pool=PoolProfile(limit=1)) as here:
                for accepted in (1, 2):
                    task = asyncio.ensure_future(fetch(here.transport, url))
                    await server.until(lambda: server.connections.accepted == accepted)  # noqa: B023 - awaited here
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    await server.all_closed()
                assert (here.stats.active, here.stats.idle, here.stats.opened) == (0, 0, 0)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let ``NAME`` be resolved to the addresses of a list, which the test may change."""
    known = list(addresses)
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> list[Any]:
        if host != NAME:
            return real(host, port, *args, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one, int(port))) for one in known]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known

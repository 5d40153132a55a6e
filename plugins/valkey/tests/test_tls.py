"""``rediss://``: the server's certificate is checked, and an untrusted one is a miss."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from valkey_entries import entry_of, key_of
from valkey_servers import Server

from localagent_testing import FakeCore
from localagent_valkey import ValkeyCachePlugin, ValkeyCacheSettings
from localagent_valkey.address import ServerAddress


@asynccontextmanager
async def behind_tls(server: Server, authority: trustme.CA) -> AsyncIterator[int]:
    """Pass on what comes by TLS to a server that speaks none; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(passed_on(reader, back), passed_on(there, writer))

    listener = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass  # aborted: an end like any other
    finally:
        writer.transport.abort()


async def found_through_tls(server: Server, folder: Path, trusted: trustme.CA | None) -> bool:
    """Store and look up through TLS; say whether it was found."""
    authority, file = trustme.CA(), folder / "ca.pem"
    trusted = authority if trusted is None else trusted
    trusted.cert_pem.write_to_path(str(file))
    async with behind_tls(server, authority) as port:
        address = ServerAddress("127.0.0.1", port, tls=True)
        settings = ValkeyCacheSettings(address, ca_file=file, budget=30.0, prefix=f"{port}:")
        async with FakeCore() as core, core.plugged(ValkeyCachePlugin, settings) as cache:
            await cache.ask("cache_store", core.call(), entry_of(1))
            found = await cache.ask("cache_lookup", core.call(), (key_of(1),))
            assert not cache.failures
    return bool(found == entry_of(1))


async def test_a_certificate_that_somebody_vouches_for_is_accepted(shared_server: Server, tmp_path: Path) -> None:
    """The authority is the settings' ``ca_file``."""
    assert await found_through_tls(shared_server, tmp_path, None)


async def test_any_other_certificate_is_a_miss(shared_server: Server, tmp_path: Path) -> None:
    """Nothing is stored with a stranger."""
    assert not await found_through_tls(shared_server, tmp_path, trustme.CA())

"""A model server is closed, at any moment and from anywhere, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from localagent.errors import Draining
from localagent_provider_llamacpp import process as process_module
from localagent_provider_llamacpp import supervisor as supervisor_module
from localagent_provider_llamacpp.backoff import Backoff
from localagent_provider_llamacpp.health import is_healthy
from localagent_provider_llamacpp.loading import Endpoint
from localagent_provider_llamacpp.settings import ModelServerSettings
from localagent_provider_llamacpp.supervisor import ModelServer


def test_a_closed_server_is_gone_and_stays_closed(tiny: ModelServerSettings, asking: Any) -> None:
    """Its process has ended when closing returns; closing again does nothing, and asking says that it is closed."""

    async def close() -> None:
        server = ModelServer(tiny)
        endpoint = await server.ready()
        await asyncio.gather(server.aclose(), server.aclose())
        with pytest.raises(ProcessLookupError):
            os.kill(endpoint.pid, 0)
        await server.aclose()
        with pytest.raises(Draining):
            await server.ready()

    asyncio.run(close())


def test_closing_while_the_model_is_fetched_starts_nothing(
    tiny: ModelServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model on the network is found off the loop; what was closed meanwhile stays closed."""
    fetched = threading.Event()
    monkeypatch.setattr(supervisor_module, "find_model", lambda _: fetched.wait() and Path(tiny.model))

    async def close() -> None:
        server = ModelServer(attrs.evolve(tiny, model="hf:organisation/repository/model.gguf"))
        starting = asyncio.create_task(server.start())
        await asyncio.sleep(0)
        await server.aclose()
        fetched.set()
        await starting
        assert (server.state, server.pid) == ("closed", None)

    asyncio.run(close())


def test_whoever_waits_for_a_server_that_is_closed_hears_of_it(tiny: ModelServerSettings) -> None:
    """Nobody is left waiting."""

    async def close() -> None:
        server = ModelServer(tiny)
        await server.start()
        waiting = asyncio.create_task(server.ready())
        await asyncio.sleep(0)
        await server.aclose()
        with pytest.raises(Draining):
            await waiting

    asyncio.run(close())


async def close_after_turns(server: ModelServer, turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    await server.aclose()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 10])
def test_closing_in_the_middle_of_a_start_leaves_nothing(
    tiny: ModelServerSettings, turns: int, open_files: Callable[[], int]
) -> None:
    """At whatever turn of the loop it comes: no child, no descriptor, and no waiting for the grace to pass."""

    async def close() -> float:
        server = ModelServer(tiny)
        await server.start()
        began = asyncio.get_running_loop().time()
        await close_after_turns(server, turns)
        return asyncio.get_running_loop().time() - began

    before = open_files()
    assert asyncio.run(close()) < process_module.GRACE
    assert open_files() == before


def test_closing_while_the_model_loads_leaves_nothing(tiny: ModelServerSettings, open_files: Callable[[], int]) -> None:
    """A process that is in the middle of its work ends as well."""

    async def close() -> None:
        loading = asyncio.Event()
        async with ModelServer(tiny, on_progress=lambda _: loading.set()):
            await loading.wait()

    before = open_files()
    asyncio.run(close())
    assert open_files() == before


def test_closing_while_it_waits_to_start_again_does_not_wait(tiny: ModelServerSettings) -> None:
    """A delay of an hour is no reason to close in an hour."""

    async def close() -> None:
        gone = asyncio.Event()
        patient = Backoff(first=3600, cap=3600)
        async with ModelServer(tiny, on_change=lambda now: now or gone.set(), backoff=patient) as server:
            os.kill((await server.ready()).pid, signal.SIGKILL)
            await gone.wait()
            assert server.state == "backing off"

    asyncio.run(close())


def test_ten_starts_leak_nothing(tiny: ModelServerSettings, open_files: Callable[[], int]) -> None:
    """Descriptors, children and threads are as many as before."""

    async def start_ten() -> int:
        counts = set()
        for _ in range(10):
            async with ModelServer(tiny) as server:
                await server.ready()
            counts.add(open_files())
        return len(counts)

    before = open_files(), threading.active_count()
    assert asyncio.run(start_ten()) == 1
    assert (open_files(), threading.active_count()) == before


# Other loops, other processes -----------------------------------------------------------------------------------------


def test_another_loop_may_wait_for_the_server_and_close_it(tiny: ModelServerSettings) -> None:
    """Two threads with a loop each; the work is done on the loop that started the server."""

    async def start_here() -> None:
        server = ModelServer(tiny)
        await server.start()

        async def elsewhere() -> Endpoint:
            endpoint = await server.ready()
            await server.aclose()
            return endpoint

        endpoint = await asyncio.to_thread(asyncio.run, elsewhere())
        assert server.state == "closed"
        assert not await is_healthy(int(endpoint.url.rpartition(":")[2]))

    asyncio.run(start_here())


def test_a_server_whose_loop_has_stopped_can_still_be_closed(tiny: ModelServerSettings) -> None:
    """Nothing on that loop can be awaited any more; the process is ended anyway."""
    server = ModelServer(tiny)
    with asyncio.Runner() as stopped:
        endpoint = stopped.run(server.ready())
        asyncio.run(server.aclose())
        assert server.state == "closed"
        with pytest.raises(ProcessLookupError):
            os.kill(endpoint.pid, 0)


def test_a_forked_copy_finds_its_server_closed_and_leaves_it_alone(tiny: ModelServerSettings, asking: Any) -> None:
    """Closing the copy ends nothing: the owner's server answers on."""

    async def fork() -> None:
        async with ModelServer(tiny) as server:
            endpoint = await server.ready()
            if not (copy := os.fork()):
                closed = server.state == "closed" and server.endpoint is None
                os._exit(0 if closed else 1)
            _, status = await asyncio.to_thread(os.waitpid, copy, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            await asyncio.to_thread(asking.chat, endpoint)

    asyncio.run(fork())

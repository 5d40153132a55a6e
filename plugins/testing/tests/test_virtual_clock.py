"""``VirtualClockLoop``: waiting takes no time, happens in order, and a deadlock is an error that names who waits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from localagent_testing.clock import VirtualClockLoop, VirtualDeadlock, run_virtual


def test_an_hour_passes_at_once() -> None:
    """The loop's clock moves by what was waited for, the machine's hardly."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - start

    begun = time.monotonic()
    assert run_virtual(main()) == 3600
    assert time.monotonic() - begun < 10


@pytest.mark.virtual
async def test_the_marker_runs_a_test_on_the_virtual_clock() -> None:
    """Timers fire in the order of their times, whatever order they were set in."""
    assert isinstance(asyncio.get_running_loop(), VirtualClockLoop)
    fired: list[float] = []

    async def at(seconds: float) -> None:
        await asyncio.sleep(seconds)
        fired.append(seconds)

    await asyncio.gather(*map(at, (30.0, 10.0, 20.0, 10.5)))
    assert fired == [10.0, 10.5, 20.0, 30.0]


@pytest.mark.virtual
async def test_a_timeout_fires_at_its_time() -> None:
    """``asyncio.timeout`` needs nothing but the loop's clock."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.sleep(6)
    assert loop.time() - start == 5


@pytest.mark.virtual
async def test_what_is_ready_goes_before_what_is_due_later() -> None:
    """The clock does not move while something can run."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    late = loop.create_task(asyncio.sleep(1))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert loop.time() == start
    assert not late.done()
    await late


@pytest.mark.virtual
async def test_a_timer_far_away_is_reached_in_jumps() -> None:
    """The loop never waits longer than a day in one go; a month passes anyway."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.sleep(30 * 24 * 3600)
    assert loop.time() - start == 30 * 24 * 3600


@pytest.mark.leaks("a deadlock leaves the tasks that wait")
def test_a_deadlock_names_who_waits_where() -> None:
    """Nothing is ready and no timer is set: the run ends with an error instead of hanging."""

    async def waits_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.gather(asyncio.create_task(waits_for_nobody(), name="the forgotten one"))

    with pytest.raises(VirtualDeadlock, match=r"the forgotten one waits in .*waits_for_nobody \(.*test_virtual_clock"):
        run_virtual(main())


@pytest.mark.virtual
async def test_two_ends_on_one_loop_can_talk_over_a_socket() -> None:
    """Bytes that the system hands over at once come before the next timer."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await asyncio.sleep(60)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        async with asyncio.timeout(1):
            assert await reader.readline() == b"hello\n"
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.virtual
async def test_the_clock_stands_still_while_a_thread_works() -> None:
    """A timeout of a virtual second does not overtake real work in an executor."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    go = threading.Event()
    threading.Timer(0.05, go.set).start()
    async with asyncio.timeout(1):
        assert await asyncio.to_thread(go.wait, 10)
    assert loop.time() == start

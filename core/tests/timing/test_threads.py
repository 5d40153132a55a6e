"""Work in threads: what hangs there holds up nothing else, and nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from localagent.timing import in_thread, resolve_name
from localagent.timing.work import NAMES_AT_MOST, WORK_AT_MOST, Threads
from localagent_testing.faults.resolver import SILENT, stub_resolver

MANY = WORK_AT_MOST + 8
FOREVER = 30.0  # seconds; nothing takes so long unless it hangs


async def test_names_without_an_answer_hold_up_neither_names_nor_work() -> None:
    """More names hang than there are threads for work; another name is resolved, and work is done."""
    silent = [f"silent-{number}.invalid" for number in range(MANY)]
    with stub_resolver({**dict.fromkeys(silent, SILENT), "answers.test": "127.0.0.1"}):
        stuck = [asyncio.create_task(resolve_name(name, 80)) for name in silent]
        await asyncio.sleep(0)
        found = await asyncio.wait_for(resolve_name("answers.test", 80), FOREVER)
        assert {address[4] for address in found} == {("127.0.0.1", 80)}
        assert await asyncio.wait_for(in_thread(lambda: "done"), FOREVER) == "done"
        for task in stuck:
            task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)


async def test_libraries_that_resolve_names_hold_up_no_work() -> None:
    """They do it in the event loop's own threads, of which none is free; work goes on."""
    silent = [f"silent-{number}.invalid" for number in range(MANY)]
    with stub_resolver(dict.fromkeys(silent, SILENT)):
        loop = asyncio.get_running_loop()
        stuck = [asyncio.ensure_future(loop.getaddrinfo(name, 80)) for name in silent]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(in_thread(lambda: "done"), FOREVER) == "done"
    await asyncio.gather(*stuck, return_exceptions=True)


async def test_what_work_returns_and_raises_comes_back() -> None:
    """With its arguments."""
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("abandoned", [False, True])
def test_there_are_never_more_threads_than_allowed(abandoned: bool) -> None:
    """Work beyond that waits, all of it is done, and the threads end without being told."""
    threads, may = Threads("test", 3, abandoned=abandoned), threading.Event()
    names: set[int] = set()

    def work(number: int) -> int:
        names.add(threading.get_ident())
        assert may.wait(FOREVER)
        return number

    futures = [threads.submit(work, number) for number in range(20)]
    assert sum(future.running() or not future.done() for future in futures) == 20
    assert len([thread for thread in threading.enumerate() if thread.name == "test"]) == 3
    may.set()
    assert [future.result(FOREVER) for future in futures] == list(range(20))
    assert len(names) <= 3


def test_work_that_nobody_waits_for_any_more_is_not_begun() -> None:
    """It was cancelled while it waited for a thread."""
    threads, may, done = Threads("test", 1), threading.Event(), []
    first = threads.submit(may.wait, FOREVER)
    second, third = threads.submit(done.append, 2), threads.submit(done.append, 3)
    assert second.cancel()
    may.set()
    assert first.result(FOREVER)
    third.result(FOREVER)
    assert done == [3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """What hung in the parent, or waited there, is not waited for in the child."""
    threads, may = Threads("test", 1), threading.Event()
    hanging = threads.submit(may.wait, FOREVER)
    child = os.fork()
    if child == 0:
        os._exit(threads.submit(lambda: 7).result(FOREVER))
    _, status = os.waitpid(child, 0)
    may.set()
    assert hanging.result(FOREVER)
    assert os.waitstatus_to_exitcode(status) == 7


PROGRAM = """
import asyncio, socket, threading
from localagent.timing import resolve_name

socket.getaddrinfo = lambda *arguments, **named: threading.Event().wait(600)

async def main():
    try:
        await asyncio.wait_for(resolve_name("silent.invalid", 80), 0.05)
    except TimeoutError:
        print("given up", flush=True)

asyncio.run(main())
"""


def test_a_program_ends_although_a_name_has_no_answer() -> None:
    """The interpreter does not wait for the thread that asks."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "given up\n", "")


def test_there_are_more_threads_for_names_than_settings_name() -> None:
    """A name is asked for once at a time, so that only as many can hang as there are."""
    assert NAMES_AT_MOST >= 100


def test_the_end_of_the_interpreter_is_survived() -> None:
    """Work that is given away when there are no threads any more is done at once."""
    program = """
import asyncio, atexit
from localagent.timing import in_thread
atexit.register(lambda: asyncio.run(in_thread(print, "written")))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "written\n", "")

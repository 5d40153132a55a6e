"""One file, many users: clients of one process, other processes, forks; a file that goes while it is open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_entries import FILE, entry_of, files, key_of, opened

from localagent_cache_sqlite import schema
from localagent_testing.contracts.base import often

HERE = Path(__file__).parent
PARTS = (FILE, f"{FILE}-wal", f"{FILE}-shm")
LOOKING = """
import sqlite3, sys
for _ in range(15):
    connection = sqlite3.connect(sys.argv[1])
    connection.execute("SELECT count(*) FROM counts").fetchone()
    connection.close()
"""
# In a process of its own, for a descriptor that is closed takes the locks of its process.
SPOILING = """
import os, sys
with open(sys.argv[1], "r+b") as file:
    size = file.seek(0, os.SEEK_END)
    file.seek(4096)
    file.write(bytes([255]) * (size - 4096))
"""
# SQLite's lock on a file that is open, https://www.sqlite.org/src/file/src/os_unix.c
LOCK = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)"


def is_locked(path: Path) -> bool:
    """Say whether this process holds its lock on an open database: another one cannot have it to itself."""
    return bool(subprocess.run([sys.executable, "-c", LOCK, path], stderr=subprocess.DEVNULL, check=False).returncode)


def descriptors(folder: Path) -> dict[str, int]:
    """Return how often this process has the files of a folder open."""
    counts: dict[str, int] = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = link.readlink()
            if target.parent == folder.resolve():
                counts[target.name] = counts.get(target.name, 0) + 1
    return counts


def verdict(folder: Path) -> str:
    """Return what SQLite thinks of the file."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


@contextlib.contextmanager
def two_ways(folder: Path, way: str) -> Iterator[tuple[Path, Path]]:
    """Yield two paths of one folder."""
    (folder / "real").mkdir()
    other = folder / "real"
    if way == "a link":
        other = folder / "link"
        other.symlink_to("real", target_is_directory=True)
    if way == "a linked file":
        other = folder / "other"
        other.mkdir()
        (other / FILE).symlink_to(folder / "real" / FILE)
    if way == "a relative path":
        other = Path(os.path.relpath(folder / "real"))
    yield folder / "real", other


WAYS = pytest.mark.parametrize("way", ["the same path", "a link", "a linked file", "a relative path"])
POSIX = pytest.mark.skipif(os.name != "posix", reason="locks that a close drops are those of POSIX")
PROC = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files")
FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


# One process ----------------------------------------------------------------------------------------------------------


@POSIX
@WAYS
async def test_a_second_client_takes_no_lock_from_the_first(way: str, tmp_path: Path) -> None:
    """Not when it opens the file, and not when it closes it."""
    with two_ways(tmp_path, way) as (one, other):
        async with opened(one) as first:
            first.keep(entry_of(1))
            await first.flushed()
            async with opened(other) as second:
                assert is_locked(one / FILE)
                assert second.find(key_of(1)) == entry_of(1)
                second.keep(entry_of(2))
                await second.flushed()
            assert is_locked(one / FILE)
            assert first.numbers([1, 2]) == [1, 2]
        assert not is_locked(one / FILE)
        assert verdict(one) == "ok"


@PROC
@WAYS
async def test_clients_of_one_process_share_one_open_file(way: str, tmp_path: Path) -> None:
    """Three clients have as much open as one, and the last one that closes closes it."""
    with two_ways(tmp_path, way) as (one, other):
        async with opened(one) as first:
            first.keep(entry_of(1))
            await first.flushed()
            alone = descriptors(one)
            assert alone
            async with opened(other), opened(one):
                assert descriptors(one) == alone
            assert descriptors(one) == alone
            assert first.find(key_of(1)) == entry_of(1)
        assert descriptors(one) == {}


@PROC
async def test_the_first_client_may_close_before_the_second(tmp_path: Path) -> None:
    """As at a reload, where the next client opens before the one in force closes."""
    before = contextlib.AsyncExitStack()
    await before.enter_async_context(opened(tmp_path))
    for number in range(5):
        after = contextlib.AsyncExitStack()
        cache = await after.enter_async_context(opened(tmp_path))
        await before.aclose()
        cache.keep(entry_of(number))
        await cache.flushed()
        assert cache.numbers(range(5)) == list(range(number + 1))
        before = after
    await before.aclose()
    assert descriptors(tmp_path) == {}


async def test_clients_with_event_loops_of_their_own_write_to_one_file(tmp_path: Path) -> None:
    """Four threads, each with a loop and clients that come and go, next to processes that read: nothing is lost."""

    async def keep(first: int) -> None:
        for start in range(first, first + 60, 15):
            async with opened(tmp_path) as cache:
                for number in range(start, start + 15):
                    cache.keep(entry_of(number, length=3000))
                    if number % 4 == 0:
                        await cache.flushed()
                await cache.flushed()
                missing.extend(set(range(first, start + 15)) - set(cache.numbers(range(first, start + 15))))

    missing: list[int] = []
    for _ in range(often(2, full=20)):
        for file in files(tmp_path).values():
            file.unlink()
        async with opened(tmp_path):
            looker = await asyncio.create_subprocess_exec(
                sys.executable, "-W", "ignore", "-c", LOOKING, tmp_path / FILE
            )
            threads = [threading.Thread(target=asyncio.run, args=(keep(first),)) for first in range(0, 400, 100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert await looker.wait() == 0
        assert missing == []
        assert verdict(tmp_path) == "ok"
        assert files(tmp_path).keys() == {FILE}


async def test_a_trouble_that_one_client_mends_is_mended_for_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged file is set aside once, whichever of them notices first."""
    async with opened(tmp_path) as cache:
        cache.keep(*(entry_of(number, length=2000) for number in range(300)))
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        spoiling = await asyncio.create_subprocess_exec(sys.executable, "-c", SPOILING, tmp_path / FILE)
        assert await spoiling.wait() == 0
        for cache in (one, other):
            cache.numbers(range(300))
        for number, cache in enumerate((one, other)):
            await cache.flushed()
            cache.keep(entry_of(1000 + number))
            await cache.flushed()
        assert one.numbers([1000, 1001]) == other.numbers([1000, 1001]) == [1000, 1001]
    assert len(caplog.records) == 1
    assert verdict(tmp_path) == "ok"


# A file that goes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [PARTS, PARTS[:1]], ids=["all files", "the database alone"])
async def test_a_file_that_is_removed_under_two_clients_is_made_again_once(
    gone: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The files left next to it are not used for the new one; both clients use the new one, with its locks."""
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        one.keep(*(entry_of(number, length=5000) for number in range(100)))
        await one.flushed()
        for name in gone:
            (tmp_path / name).unlink()
        one.keep(entry_of(1000))
        await one.flushed()
        other.keep(entry_of(1001))
        await other.flushed()
        assert one.numbers([1, 1000, 1001]) == other.numbers([1, 1000, 1001]) == [1000, 1001]
        assert is_locked(tmp_path / FILE)
    assert verdict(tmp_path) == "ok"
    assert caplog.records == []


@pytest.mark.parametrize("gone", [PARTS, PARTS[:1]], ids=["all files", "the database alone"])
async def test_a_file_that_is_removed_under_two_processes_is_made_again_once(
    gone: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The other process still has the old one open when this one begins the next."""
    async with opened(tmp_path) as cache:
        cache.keep(*(entry_of(number, length=5000) for number in range(100)))
        await cache.flushed()
        other = await asyncio.create_subprocess_exec(
            sys.executable, (HERE / "holding_process.py").as_posix(), str(tmp_path), "1001",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert other.stdout is not None
        assert await other.stdout.readline() == b"open\n"
        for name in gone:
            (tmp_path / name).unlink()
        cache.keep(entry_of(1000))
        await cache.flushed()
        out, err = await other.communicate(b"go on\n")
        assert (out, err) == (b"True True\n", b"")
        assert cache.numbers([1, 1000, 1001]) == [1000, 1001]
        assert caplog.records == []
    assert verdict(tmp_path) == "ok"


# Processes ------------------------------------------------------------------------------------------------------------


async def test_processes_that_start_at_once_on_a_new_file_lose_nothing(tmp_path: Path) -> None:
    """No process gets the error that the file is locked: they wait until it has its tables."""
    for number in range(often(1, full=20)):
        folder = tmp_path / str(number)
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, (HERE / "starting_process.py").as_posix(), str(folder), str(first),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for first in range(0, 60, 10)
        ]  # fmt: skip
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        outputs = await asyncio.gather(*(process.communicate() for process in processes))
        assert outputs == [(b"10\n", b"")] * 6
        async with opened(folder) as cache:
            assert cache.numbers(range(60)) == list(range(60))
        assert files(folder).keys() == {FILE}


def test_the_switch_to_wal_waits_for_another_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own timeout does not count there: it fails at once where somebody writes to the new file."""
    writing, switching = (sqlite3.connect(tmp_path / FILE, isolation_level=None) for _ in range(2))
    writing.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        switching.execute("PRAGMA journal_mode = WAL")
    monkeypatch.setattr("localagent_cache_sqlite.schema.time.sleep", lambda _: writing.close())
    schema.switch_to_wal(switching)
    assert switching.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    switching.close()


@POSIX
async def test_a_folder_that_another_process_keeps_locked_is_a_miss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning; as soon as the lock is free the file is used."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.02)
    with schema.locked(tmp_path, 1.0):
        caching = contextlib.AsyncExitStack()
        cache = await caching.enter_async_context(opened(tmp_path))
        cache.keep(entry_of(1))
        await cache.flushed()
        assert cache.find(key_of(1)) is None
    async with caching:
        cache.keep(entry_of(2))
        await cache.flushed()
        assert cache.find(key_of(2)) == entry_of(2)
    assert len(caplog.records) == 1


# Forks ----------------------------------------------------------------------------------------------------------------


def forked(work: object) -> int:
    """Run a function in a forked child and return its exit code: 0 when it returned True."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            code = 0 if work() else 2  # type: ignore[operator]
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@FORK
@PROC
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_a_forked_child_has_a_file_of_its_own(tmp_path: Path) -> None:
    """It has no connection of the parent and holds its own locks; the parent continues with its own."""
    inherited: list[dict[str, int]] = []

    async def use() -> bool:
        async with opened(tmp_path) as cache:
            found = cache.find(key_of(1)) == entry_of(1)
            cache.keep(entry_of(2))
            await cache.flushed()
            return found and cache.find(key_of(2)) == entry_of(2) and is_locked(tmp_path / FILE)

    def child() -> bool:
        inherited.append(descriptors(tmp_path))
        asyncio.events._set_running_loop(None)
        return asyncio.run(use()) and inherited == [{}]

    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        for _ in range(3):
            assert forked(child) == 0
            assert is_locked(tmp_path / FILE)
            assert cache.numbers([1, 2]) == [1, 2]
        cache.keep(entry_of(3))
        await cache.flushed()
        assert cache.numbers([1, 2, 3]) == [1, 2, 3]
    assert verdict(tmp_path) == "ok"


@FORK
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_forks_while_it_is_written_lose_nothing(tmp_path: Path) -> None:
    """A fork waits until the thread is not in the middle of a write."""
    async with opened(tmp_path) as cache:
        for number in range(60):
            cache.keep(entry_of(number, length=4000))
            await asyncio.sleep(0)
            if number % 3 == 0:
                assert forked(lambda: True) == 0
        await cache.flushed()
        assert cache.numbers(range(60)) == list(range(60))
    assert verdict(tmp_path) == "ok"


@FORK
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_a_file_that_cannot_be_opened_after_a_fork_is_a_miss(tmp_path: Path) -> None:
    """Until it can be opened again."""
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        (tmp_path / FILE).rename(tmp_path / "elsewhere")
        (tmp_path / FILE).mkdir()
        assert forked(lambda: True) == 0
        assert cache.find(key_of(1)) is None
        (tmp_path / FILE).rmdir()
        cache.keep(entry_of(2))
        await cache.flushed()
        assert cache.find(key_of(2)) == entry_of(2)

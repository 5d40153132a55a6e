"""The file: restarts, processes, kills, damage, locks, full and slow disks. Trouble is a miss, never an error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlite_entries import FILE, NOW, entry_of, files, key_of, opened

from localagent_testing import ManualClock

HERE = Path(__file__).parent


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    """Also what was stored just before the end; another tenant still finds nothing."""
    async with opened(tmp_path) as cache:
        cache.keep(*(entry_of(number) for number in range(50)))
    async with opened(tmp_path) as cache:
        assert cache.numbers(range(60)) == list(range(50))
        assert cache.find(key_of(1)) == entry_of(1)
        assert cache.find(key_of(1, tenant="other")) is None


async def test_it_is_found_before_it_is_written(tmp_path: Path) -> None:
    """In the same turn of the event loop, and in every later one."""
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        for _ in range(20):
            assert cache.find(key_of(1)) == entry_of(1)
            await asyncio.sleep(0)
        await cache.flushed()
        assert cache.find(key_of(1)) == entry_of(1)


async def test_only_the_user_may_read_the_files(tmp_path: Path) -> None:
    """The file and the files that SQLite creates next to it."""
    async with opened(tmp_path / "made") as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        made = files(tmp_path / "made")
        assert made.keys() == {FILE, f"{FILE}-wal", f"{FILE}-shm"}
        assert {file.stat().st_mode & 0o777 for file in made.values()} == {0o600}


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from sqlite_entries import entry_of, opened

async def main():
    async with opened(Path({folder!r})) as cache:
        for number in range(100_000):
            cache.keep(entry_of(number, length=3000))
            if number % 20 == 19:
                await cache.flushed()
                print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 3, 7])
async def test_a_process_killed_while_it_writes_leaves_a_readable_file(lines: int, tmp_path: Path) -> None:
    """What it said to be written is all there, and every row's answer and sum is right."""
    program = KILLED.format(here=str(HERE), folder=str(tmp_path))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert process.stdout is not None
    written = [int(await process.stdout.readline()) for _ in range(lines)][-1]
    process.kill()
    await process.communicate()
    assert process.returncode == -signal.SIGKILL
    async with opened(tmp_path) as cache:
        found = cache.numbers(range(written + 1))
        assert found == list(range(written + 1))
        figures = await cache.plugin.cache_stats()
        assert figures.entries >= written + 1
        rows = sqlite3.connect(tmp_path / FILE)
        assert rows.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert rows.execute("SELECT count(*), sum(size) FROM entries").fetchone() == (figures.entries, figures.size)
        assert rows.execute("SELECT count(*) FROM answers").fetchone() == (figures.entries,)
        rows.close()
    assert f"{FILE}.damaged" not in files(tmp_path)


async def test_processes_share_what_each_has_written(tmp_path: Path) -> None:
    """Two at once, both writing to one file: each finds what the other has, and the sums are right."""
    program = (HERE / "sharing_process.py").as_posix()
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, program, str(tmp_path), first, stdout=subprocess.PIPE)
        for first in ("0", "200")
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0]
    assert [int(output) for output, _ in outputs] == [200, 200]
    async with opened(tmp_path) as cache:
        assert cache.numbers(range(400)) == list(range(400))
        figures = await cache.plugin.cache_stats()
    assert figures.entries == 400
    assert sum(counts.stored for counts in figures.counts) == 400


async def test_two_caches_in_one_file_see_each_other_at_once(tmp_path: Path) -> None:
    """No restart is needed."""
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        assert other.find(key_of(1)) is None
        one.keep(entry_of(1))
        await one.flushed()
        assert other.find(key_of(1)) == entry_of(1)


@pytest.mark.parametrize("content", [b"not a database at all" * 400, b"SQLite format 3\x00" + bytes(5000)])
async def test_a_file_that_is_none_is_set_aside(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With one warning; it is kept, and a new one works."""
    (tmp_path / FILE).write_bytes(content)
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        assert cache.find(key_of(1)) == entry_of(1)
    assert (tmp_path / f"{FILE}.damaged").read_bytes() == content
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_a_foreign_database_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its tables are left as they are."""
    foreign = sqlite3.connect(tmp_path / FILE)
    foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
    kept = sqlite3.connect(tmp_path / f"{FILE}.damaged")
    assert kept.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    kept.close()
    assert len(caplog.records) == 1


async def test_damage_that_comes_while_it_is_open_begins_a_new_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lookups miss or find what was stored, nothing raises, one warning, and what is stored then is found."""
    async with opened(tmp_path) as cache:
        cache.keep(*(entry_of(number, length=2000) for number in range(300)))
    async with opened(tmp_path) as cache:
        spoil(tmp_path / FILE)
        for number in range(300):
            assert cache.find(key_of(number)) in (None, entry_of(number, length=2000))
        await cache.flushed()
        cache.keep(entry_of(1000))
        await cache.flushed()
        assert cache.find(key_of(1000)) == entry_of(1000)
    assert len(caplog.records) == 1
    assert (tmp_path / f"{FILE}.damaged").exists()
    async with opened(tmp_path) as cache:
        assert cache.find(key_of(1000)) == entry_of(1000)


def spoil(path: Path) -> None:
    """Overwrite the header of every page after the first."""
    with path.open("r+b") as file:
        for offset in range(4096, path.stat().st_size, 4096):
            file.seek(offset)
            file.write(b"\xff" * 64)


async def test_an_answer_whose_bytes_have_changed_is_a_miss(tmp_path: Path) -> None:
    """SQLite does not notice a flipped bit; the checksum does, wherever it is."""
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1, length=200))
        await cache.flushed()
        file = sqlite3.connect(tmp_path / FILE)
        record = file.execute("SELECT record FROM answers").fetchone()[0]
        for place in random.Random(5).sample(range(len(record)), 40):
            flipped = bytearray(record)
            flipped[place] ^= 1
            with file:
                file.execute("UPDATE answers SET record = ?", (bytes(flipped),))
            assert cache.find(key_of(1)) is None
        file.close()


async def test_a_locked_file_still_answers_and_loses_only_what_is_new(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process holds the lock for writing, reads go on; one warning; later all is well."""
    monkeypatch.setattr("localagent_cache_sqlite.schema.BUSY_SECONDS", 0.05)
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        locking = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        for number in (2, 3):
            cache.keep(entry_of(number))
            await cache.flushed()
        assert cache.numbers([1, 2, 3]) == [1]
        locking.execute("ROLLBACK")
        locking.close()
        cache.keep(entry_of(4))
        await cache.flushed()
        assert cache.numbers([1, 2, 3, 4]) == [1, 4]
    assert len(caplog.records) == 1
    assert "locked" in caplog.text


async def test_a_full_disk_is_a_miss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What does not fit is lost, what is there answers, and when there is room again it goes on."""
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        file = cache.plugin._background.file
        assert file is not None
        file.writer.execute("PRAGMA max_page_count = 1")
        for number in range(2, 40):
            cache.keep(entry_of(number, length=9000))
        await cache.flushed()
        assert 1 in cache.numbers(range(40))
        assert 39 not in cache.numbers(range(40))
        file.writer.execute("PRAGMA max_page_count = 100000")
        cache.keep(entry_of(50))
        await cache.flushed()
        assert cache.find(key_of(50)) is not None
    assert len(caplog.records) == 1
    assert "full" in caplog.text


async def test_a_disk_that_is_full_from_the_start_is_a_miss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the tables fit; one warning, and as soon as there is room the file is made."""
    limits = ["PRAGMA max_page_count = 2"]
    connect = sqlite3.connect

    def connect_to_full_disk(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        for limit in limits:
            connection.execute(limit)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_to_full_disk)
    async with opened(tmp_path) as cache:
        for number in range(3):
            cache.keep(entry_of(number))
            await cache.flushed()
        assert cache.numbers(range(3)) == []
        limits.clear()
        cache.keep(entry_of(3))
        await cache.flushed()
        assert cache.numbers(range(4)) == [3]
    assert len(caplog.records) == 1
    assert "full" in caplog.text


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Give up the rights of root, for which nothing is read-only."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="rights are those of POSIX")
@pytest.mark.parametrize("there", [True, False], ids=["with a file", "empty"])
async def test_a_folder_that_is_read_only_is_a_miss(there: bool, caplog: pytest.LogCaptureFixture) -> None:
    """With or without a file in it: one warning, no error, nothing is changed; once it can be written it keeps."""
    with tempfile.TemporaryDirectory() as name:  # for folders of tests are root's alone
        folder = Path(name)
        if there:
            async with opened(folder) as cache:
                cache.keep(entry_of(1))
        set_modes(folder, 0o555, 0o444)
        before = {file: path.stat().st_size for file, path in files(folder).items()}
        with unprivileged():
            async with opened(folder) as cache:
                for number in range(3):
                    cache.keep(entry_of(number))
                    await cache.flushed()
                assert cache.numbers(range(3)) == []
            assert {file: path.stat().st_size for file, path in files(folder).items()} == before
        assert len(caplog.records) == 1
        set_modes(folder, 0o755, 0o600)
        async with opened(folder) as cache:
            cache.keep(entry_of(5))
            await cache.flushed()
            assert cache.find(key_of(5)) == entry_of(5)


def set_modes(folder: Path, mode: int, of_files: int) -> None:
    """Set the rights of a folder and of the files in it."""
    folder.chmod(0o755)
    for file in files(folder).values():
        file.chmod(of_files)
    folder.chmod(mode)


async def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The cache opens, misses and warns once; once the folder can be made it keeps."""
    (tmp_path / "folder").write_text("in the way")
    async with opened(tmp_path / "folder") as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        assert cache.find(key_of(1)) is None
        (tmp_path / "folder").unlink()
        cache.keep(entry_of(2))
        await cache.flushed()
        assert cache.find(key_of(2)) is not None
    assert len(caplog.records) == 1


async def test_a_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """With the next write; what goes into the void is not thought to be kept."""
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        for file in files(tmp_path).values():
            file.unlink()
        cache.keep(entry_of(2))
        await cache.flushed()
    async with opened(tmp_path) as cache:
        assert cache.numbers([1, 2]) == [2]


async def test_a_slow_disk_is_a_miss_until_it_is_quick_again(tmp_path: Path) -> None:
    """After one read over the limit none is made on the event loop; a quick one in the thread ends that."""
    clock = SlowClock()
    async with opened(tmp_path, clock=clock, timeout=0.05) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        clock.seconds_a_look = 0.06
        assert cache.find(key_of(1)) is not None  # it is there, and late
        looks = clock.looks
        assert cache.find(key_of(1)) is None
        assert clock.looks == looks
        clock.seconds_a_look = 0.0
        cache.keep(entry_of(2))
        await cache.flushed()
        assert cache.numbers([1, 2]) == [1, 2]


class SlowClock(ManualClock):
    """A clock that goes on by so much each time that somebody looks."""

    seconds_a_look = 0.0
    looks = 0

    def __call__(self) -> float:
        self.looks += 1
        self.advance(self.seconds_a_look)
        return self.now


async def test_a_clock_that_jumps_makes_nobody_immortal(tmp_path: Path) -> None:
    """Set forward by more than ttl: a miss. Set back by more than a minute: a miss, too. And back again: a hit."""
    now = [NOW]
    async with opened(tmp_path, wall_time=lambda: now[0], ttl=3600.0) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        found = []
        for jump in (0, 3599, 3600, -59, -61, -86_400, 0):
            now[0] = NOW + jump
            found.append(cache.find(key_of(1)) is not None)
        assert found == [True, True, False, True, False, False, True]


async def test_an_answer_of_another_cache_keeps_its_age(tmp_path: Path) -> None:
    """What was made 50 seconds ago has 10 of its minute left; what is too old already is not kept."""
    now = [NOW]
    async with opened(tmp_path, wall_time=lambda: now[0], ttl=60.0) as cache:
        cache.keep(entry_of(1, stored=NOW - 50, source="cache-other"), entry_of(2, stored=NOW - 60, source="other"))
        await cache.flushed()
        now[0] += 9.0
        assert cache.numbers([1, 2]) == [1]
        now[0] += 1.0
        assert cache.numbers([1, 2]) == []


AT_EXIT = """
import asyncio, atexit, sys
from localagent import Client
from localagent_testing import Reply, fake_provider_plugin
from localagent_cache_sqlite import SqliteCachePlugin

loop = asyncio.new_event_loop()
client = Client({"state_folder": sys.argv[1]}, plugins=[fake_provider_plugin(Reply("hey")), SqliteCachePlugin])
loop.run_until_complete(client.__aenter__())
atexit.register(lambda: (loop.run_until_complete(client.__aexit__(None, None, None)), loop.close()))
assert not loop.run_until_complete(client.chat("Hello.", temperature=0)).cached
"""


async def test_a_client_that_is_closed_when_the_interpreter_ends_loses_nothing(tmp_path: Path) -> None:
    """There are no threads any more then: the file is still written and closed, without a warning."""
    command = [sys.executable, "-c", AT_EXIT, str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with contextlib.closing(sqlite3.connect(tmp_path / "cache-sqlite" / FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (1,)

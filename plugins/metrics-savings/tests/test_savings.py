"""``SavingsPlugin``: every call is counted once, under the right line, whatever process, day or trouble."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localagent import CacheEntry, CacheKey, Client, Metric, Plugin, Usage, hookimpl
from localagent_metrics_savings import Amount, Line, SavingsPlugin, SavingsSettings
from localagent_metrics_savings.ledger import FILE_NAME, OTHERS, add, read
from localagent_testing import FakeCore, Reply, fake_provider_plugin

DAY = 20_000
WALL = DAY * 86400.0
METRIC = Metric("chat", "ok", "p/m", "one", 2.0, None, 1, Usage(10, 5, 15), "", False, "", "id", "", "")


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = WALL

    def __call__(self) -> float:
        return self.now


def metric(**fields: Any) -> Metric:
    return msgspec.structs.replace(METRIC, **fields)


class Shelf(Plugin):
    """A cache of one process."""

    name = "cache-shelf"

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.kept: dict[CacheKey, CacheEntry] = {}

    @hookimpl
    def cache_lookup(self, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        return next((self.kept[key] for key in keys if key in self.kept), None)

    @hookimpl
    def cache_store(self, entry: CacheEntry) -> None:
        self.kept[entry.key] = entry


def test_it_is_found_by_its_name() -> None:
    """The installed distribution brings the plugin under its name."""
    (entry,) = entry_points(group="localagent", name="metrics-savings")
    assert entry.load() is SavingsPlugin


@pytest.mark.virtual
async def test_hits_shared_work_and_the_rest_have_lines_of_their_own(tmp_path: Path) -> None:
    """A hit saves its time and tokens, shared work its tokens; what failed or was refused counts nowhere."""
    async with FakeCore(folder=tmp_path, wall_time=Wall()) as core, core.plugged(SavingsPlugin) as plugged:
        for one in (
            METRIC, METRIC, metric(cached="cache-memory", seconds=0.1, saved=1.9, attempts=0),
            metric(coalesced=True, attempts=0), metric(status="failed"), metric(status="refused"),
            metric(status="cancelled"), metric(cached="cache-memory", saved=1.0, usage=None),
        ):  # fmt: skip
            await plugged.ask("record_metric", core.call(), one)
        assert await plugged.plugin.saved(1) == {
            Line(DAY, "", "p/m", ""): Amount(2, 20, 10, 4.0),
            Line(DAY, "cache-memory", "p/m", ""): Amount(2, 10, 5, 2.9),
            Line(DAY, "flights", "p/m", ""): Amount(1, 10, 5, 0.0),
        }


@pytest.mark.virtual
async def test_a_call_and_its_hit_are_counted_end_to_end(tmp_path: Path) -> None:
    """Through a client: whole answers and streams, and three identical calls at the same time."""
    fake = fake_provider_plugin(Reply("hello", after=2.0, usage=Usage(3, 2, 5)))
    settings = {"state_folder": str(tmp_path)}
    async with Client(settings, plugins=[fake, Shelf, SavingsPlugin], environment={}) as client:
        savings = (await client.runtime()).pipeline.plugins["metrics-savings"]
        assert isinstance(savings, SavingsPlugin)
        for _ in range(2):
            await client.chat("Hello.", temperature=0)
        async with client.stream("Hello.", temperature=0) as stream:
            assert "".join([chunk.text async for chunk in stream]) == "hello"
        await asyncio.gather(*(client.chat("Again.", temperature=0) for _ in range(3)))
        lines = {(line.plugin, line.model): amount for line, amount in (await savings.saved(1)).items()}
        (model,) = {line[1] for line in lines}
    assert lines["cache-shelf", model] == Amount(2, 6, 4, pytest.approx(4.0))
    assert lines["flights", model] == Amount(2, 6, 4, 0.0)
    assert lines["", model] == Amount(2, 6, 4, pytest.approx(4.0))


@pytest.mark.virtual
async def test_figures_reach_the_file_by_themselves(tmp_path: Path) -> None:
    """After the interval, and at the end."""
    settings = SavingsSettings(interval=5.0)
    async with FakeCore(folder=tmp_path, wall_time=Wall()) as core, core.plugged(SavingsPlugin, settings) as plugged:
        await plugged.ask("record_metric", core.call(), METRIC)
        await asyncio.sleep(4.0)
        assert read(tmp_path / FILE_NAME, 0) == {}
        await asyncio.sleep(1.5)
        assert core.spawned == ["keep savings"]
        await plugged.plugin.flushed()  # waits for the one that is under way
        assert read(tmp_path / FILE_NAME, 0)[Line(DAY, "", "p/m", "")].calls == 1
        await plugged.ask("record_metric", core.call(), METRIC)
    assert read(tmp_path / FILE_NAME, 0)[Line(DAY, "", "p/m", "")].calls == 2


@pytest.mark.virtual
async def test_days_and_tenants_are_apart(tmp_path: Path) -> None:
    """A day ends at midnight UTC; old days are asked for by their number and forgotten at last."""
    wall_time = Wall()
    settings = SavingsSettings(days=3)
    async with FakeCore(folder=tmp_path, wall_time=wall_time) as core, core.plugged(SavingsPlugin, settings) as plugged:
        for _ in range(5):
            for tenant in ("a", "b"):
                await plugged.ask("record_metric", core.call(), metric(cached="c", tenant=tenant))
            wall_time.now += 86400.0
            await plugged.plugin.flushed()
        wall_time.now -= 86400.0
        assert {(line.day, line.tenant) for line in await plugged.plugin.saved(2)} == {
            (DAY + day, tenant) for day in (3, 4) for tenant in ("a", "b")
        }
        assert min(line.day for line in await plugged.plugin.saved(100)) == DAY + 2


@pytest.mark.virtual
async def test_lines_are_bounded(tmp_path: Path) -> None:
    """A thousand tenants do not make a thousand lines, and no call is lost."""
    settings = SavingsSettings(lines=10)
    async with FakeCore(folder=tmp_path, wall_time=Wall()) as core, core.plugged(SavingsPlugin, settings) as plugged:
        for number in range(100):
            await plugged.ask("record_metric", core.call(), metric(cached="c", tenant=f"t{number}"))
            if number % 7 == 0:
                await plugged.plugin.flushed()
        counted = await plugged.plugin.saved(1)
    assert sum(amount.calls for amount in counted.values()) == 100
    assert len(counted) == 11
    assert counted[Line(DAY, "c", OTHERS, OTHERS)].calls == 90


@settings(deadline=None)  # a slow disk is not a failure
@given(
    calls=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "b"]), st.integers(0, 9), st.booleans())),
)
def test_the_sum_of_all_lines_is_that_of_all_calls(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, str, int, bool]]
) -> None:
    """Whenever it is written in between, and by however many processes."""
    path = tmp_path_factory.mktemp("books") / FILE_NAME
    pending: list[dict[Line, Amount]] = [{}, {}, {}]
    for process, plugin, tokens, written in calls:
        pending[process].setdefault(Line(DAY, plugin, "m", ""), Amount()).add(Amount(1, tokens, 1, 0.5))
        if written:
            add(path, pending[process], oldest=0, most=100)
            pending[process] = {}
    for rest in pending:
        add(path, rest, oldest=0, most=100)
    counted = read(path, 0)
    for plugin in ("", "a", "b"):
        own = [tokens for _, name, tokens, _ in calls if name == plugin]
        amount = counted.get(Line(DAY, plugin, "m", ""), Amount())
        assert amount == Amount(len(own), sum(own), len(own), len(own) * 0.5)


def _add_many(path: Path, name: str) -> None:
    for _ in range(50):
        add(
            path,
            {Line(DAY, "c", "m", ""): Amount(1, 2, 3, 0.25), Line(DAY, name, "m", ""): Amount(1)},
            oldest=0,
            most=9,
        )


ADDING = """
import sys
from pathlib import Path
from localagent_metrics_savings.ledger import Amount, Line, add

day = int(sys.argv[2])
lines = {Line(day, "c", "m", ""): Amount(1, 2, 3, 0.25), Line(day, sys.argv[3], "m", ""): Amount(1)}
for _ in range(50):
    add(Path(sys.argv[1]), lines, oldest=0, most=9)
"""


def adding(path: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a process that does what ``_add_many`` does."""
    return subprocess.Popen([sys.executable, "-c", ADDING, path, str(DAY), name])


COMMAND = """
import sys
from localagent_cli import main
try:
    main(sys.argv[1:])
finally:
    print("localagent_metrics_savings" in sys.modules, file=sys.stderr)
"""


def run_command(folder: Path, *words: str) -> tuple[int, str, list[str]]:
    """Run ``localagent``; return exit code, output and the lines of errors, and whether the plugin was imported."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [sys.executable, "-c", COMMAND, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_the_command_is_listed_without_an_import(tmp_path: Path) -> None:
    """With the line that click shows, also where a wheel is installed."""
    code, out, reported = run_command(tmp_path, "--help")
    (command,) = entry_points(group="localagent.commands", name="savings")
    assert (code, reported) == (0, ["False"])
    assert f"savings {command.load().get_short_help_str(200)}" in " ".join(out.split())


def test_the_command_runs(tmp_path: Path) -> None:
    """Nothing was saved yet."""
    code, out, reported = run_command(tmp_path, "savings", "--json")
    assert (code, reported) == (0, ["True"])
    assert msgspec.json.decode(out)["total"]["calls"] == 0


def test_the_command_without_the_active_plugin_is_one_sentence(tmp_path: Path) -> None:
    """A plugin that is not active counts nothing."""
    (tmp_path / "localagent.toml").write_text("use = []")
    code, out, (sentence, _) = run_command(tmp_path, "savings")
    assert (code, out) == (2, "")
    assert sentence == "error: metrics-savings is not active, so nothing is counted. Name it in use = [...]."


def test_processes_add_to_one_file(tmp_path: Path) -> None:
    """Three at the same time, and nothing is lost."""
    path = tmp_path / FILE_NAME
    assert [process.wait() for process in [adding(path, name) for name in "xyz"]] == [0, 0, 0]
    counted = read(path, 0)
    assert counted[Line(DAY, "c", "m", "")] == Amount(150, 300, 450, 37.5)
    assert [counted[Line(DAY, name, "m", "")].calls for name in "xyz"] == [50] * 3


def test_a_line_that_cannot_be_written_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a surrogate pair in a name, a number of more than 64 bits; the log reports it without the name."""
    path = tmp_path / FILE_NAME
    bad = {
        Line(DAY, "c", "\ud800", ""): Amount(1), Line(DAY, "c", "m", "\ud800"): Amount(1),
        Line(2**70, "c", "m", ""): Amount(1), Line(DAY, "c", "n", ""): Amount(2**70),
    }  # fmt: skip
    good = {Line(DAY, "c", f"m{number}", ""): Amount(number) for number in range(1, 5)}
    mixed = {line: amount for pair in zip(bad.items(), good.items(), strict=True) for line, amount in pair}
    add(path, mixed, oldest=0, most=100)
    assert read(path, 0) == good
    assert len(caplog.records) == len(bad)


@pytest.mark.parametrize("lines", [999, 1001])
def test_any_number_of_lines_is_added_at_once(lines: int, tmp_path: Path) -> None:
    """No statement grows with them."""
    path = tmp_path / FILE_NAME
    amounts = {Line(DAY, "c", f"m{number}", ""): Amount(1) for number in range(lines)}
    add(path, amounts, oldest=0, most=lines)
    assert len(read(path, 0)) == lines


LOCK = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0x40000001)"


@pytest.mark.skipif(os.name != "posix", reason="locks that a close drops are those of POSIX")
@pytest.mark.parametrize("way", [FILE_NAME, "link", "../books/" + FILE_NAME])
def test_adding_takes_no_lock_from_others_in_the_process(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one thread writes, another one that waits for it lets no other process in."""
    monkeypatch.setattr("localagent.settings.databases.BUSY_SECONDS", 0.01)
    folder = tmp_path / "books"
    folder.mkdir()
    add(folder / FILE_NAME, {Line(DAY, "c", "m", ""): Amount(1)}, oldest=0, most=9)
    (folder / "link").symlink_to(FILE_NAME)
    writing = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    writing.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        add(folder / way, {Line(DAY, "c", "m", ""): Amount(1)}, oldest=0, most=9)
    other = subprocess.run([sys.executable, "-c", LOCK, folder / FILE_NAME], stderr=subprocess.PIPE, check=False)
    assert b"BlockingIOError" in other.stderr
    writing.close()


def test_threads_and_processes_add_to_one_new_file(tmp_path: Path) -> None:
    """Two clients of one process, each with a thread that writes, next to another process: nothing is lost."""
    path = tmp_path / FILE_NAME
    process = adding(path, "x")
    threads = [threading.Thread(target=_add_many, args=(path, name)) for name in "yz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.wait() == 0
    assert read(path, 0)[Line(DAY, "c", "m", "")] == Amount(150, 300, 450, 37.5)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_inherits_no_open_file(tmp_path: Path) -> None:
    """A fork waits until no thread has the file open."""
    path = tmp_path / FILE_NAME
    thread = threading.Thread(target=_add_many, args=(path, "x"))
    thread.start()
    codes: list[int] = []
    while thread.is_alive() and len(codes) < 100:
        if (child := os.fork()) == 0:
            os._exit(any(os.path.realpath(f"/proc/self/fd/{number}") == str(path) for number in range(3, 64)))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    thread.join()
    assert set(codes) == {0}
    assert read(path, 0)[Line(DAY, "c", "m", "")].calls == 50


@pytest.mark.virtual
async def test_a_damaged_file_costs_nothing_but_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once; figures stay in memory and are written as soon as they can be."""
    path = tmp_path / FILE_NAME
    path.write_bytes(b"no database " * 100)
    async with FakeCore(folder=tmp_path, wall_time=Wall()) as core, core.plugged(SavingsPlugin) as plugged:
        for _ in range(3):
            await plugged.ask("record_metric", core.call(), METRIC)
            await plugged.plugin.flushed()
        with pytest.raises(sqlite3.Error):
            await plugged.plugin.saved(1)
        assert len([record for record in caplog.records if "Savings" in record.message]) == 1
        os.unlink(path)  # noqa: PTH108 - a test has time
        assert (await plugged.plugin.saved(1))[Line(DAY, "", "p/m", "")].calls == 3


@pytest.mark.virtual
async def test_only_the_user_may_read_the_file(tmp_path: Path) -> None:
    """Names of tenants stand in it."""
    async with FakeCore(folder=tmp_path, wall_time=Wall()) as core, core.plugged(SavingsPlugin) as plugged:
        await plugged.ask("record_metric", core.call(), METRIC)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


async def test_without_a_state_folder_savings_are_counted_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning; the savings of this process can still be read."""
    (tmp_path / "file").touch()
    settings = {"state_folder": tmp_path / "file" / "below", "health": {"enabled": False}}
    async with Client(settings, plugins=[fake_provider_plugin(), SavingsPlugin], environment={}) as client:
        plugin = (await client.runtime()).pipeline.plugins["metrics-savings"]
        assert isinstance(plugin, SavingsPlugin)
        for number in (1, 2):
            await client.chat("Hello.")
            await plugin.flushed()
            assert sum(amount.calls for amount in (await plugin.saved(1)).values()) == number
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1

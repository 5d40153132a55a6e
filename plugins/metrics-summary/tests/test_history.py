"""The history: every operation once, over intervals, processes, restarts and failures of the disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localagent import Histogram, Instrument, Metric, Stats, Usage
from localagent_metrics_summary import SummaryPlugin, SummarySettings, summaries
from localagent_metrics_summary.history import FILE_NAME, difference, read, write
from localagent_testing import FakeCore

CHAT = Metric("chat", "ok", "one/m", "one#1", 2.0, None, 1, Usage(10, 5, 15), "", False, "", "la-1", "", "team")
KEPT = SummarySettings(history=True, interval=60.0)
COUNT = Instrument("operations", "counter", "Operations.", labels=("status",))
SECONDS = Instrument("operation.duration", "histogram", "Seconds.")
COMMAND = "from localagent_cli import main; main()"


def like(**fields: Any) -> Metric:
    return msgspec.structs.replace(CHAT, **fields)


@pytest.mark.virtual
async def test_every_operation_is_in_one_interval(tmp_path: Path) -> None:
    """Written after the interval and at the end; a second run goes on in the same file."""
    for run in range(2):
        async with FakeCore(folder=tmp_path) as core, core.plugged(SummaryPlugin, KEPT) as plugged:
            for number in range(10):
                await plugged.ask("record_metric", core.call(), like(seconds=1.0 + number))
                await asyncio.sleep(20)
            await core.settled()
            recorder = plugged.plugin.recorder
            assert recorder is not None
            found = summaries(await recorder.read(1.0))[""]
            assert found.total_operations == 10 * (run + 1)
    whole = summaries(read(tmp_path / FILE_NAME, 0.0), "model")["one/m"]
    assert (whole.total_operations, whole.total_tokens_processed) == (20, 300)
    assert whole.latency is not None
    assert (whole.latency.count, whole.latency.mean, whole.latency.max) == (20, 5.5, 10.0)
    assert whole.latency.p50 == pytest.approx(5.0, rel=0.11)


@pytest.mark.virtual
async def test_without_the_setting_nothing_is_written(tmp_path: Path) -> None:
    """No file, and no timer."""
    async with FakeCore(folder=tmp_path) as core, core.plugged(SummaryPlugin) as plugged:
        await plugged.ask("record_metric", core.call(), CHAT)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.virtual
async def test_a_disk_that_fails_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning; what could not be written is part of the next interval."""
    (tmp_path / FILE_NAME).write_bytes(b"not a database, but long enough to be read as one" * 10)
    async with FakeCore(folder=tmp_path) as core, core.plugged(SummaryPlugin, KEPT) as plugged:
        for _ in range(2):
            await plugged.ask("record_metric", core.call(), CHAT)
            await asyncio.sleep(61)
            await core.settled()
        (tmp_path / FILE_NAME).unlink()
        await plugged.ask("record_metric", core.call(), CHAT)
    assert summaries(read(tmp_path / FILE_NAME, 0.0))[""].total_operations == 3
    assert [record.message for record in caplog.records if "history" in record.message] == [
        "The history of operations cannot be written: file is not a database."
    ]


def test_old_intervals_are_deleted(tmp_path: Path) -> None:
    """And those before a time are not read."""
    path = tmp_path / FILE_NAME
    for day in range(5):
        write(path, day * 86400.0, Stats([COUNT.sample(1, "ok")]), (day - 2) * 86400.0)
    assert read(path, -1.0).value("operations") == 3
    assert read(path, 3 * 86400.0).value("operations") == 1
    assert path.stat().st_mode & 0o077 == 0


def test_the_difference_of_two_states() -> None:
    """Counters and histograms that grew; gauges and what stayed the same are left out."""
    first, second = Histogram(), Histogram()
    first.observe(1.0)
    for value in (1.0, 3.0):
        second.observe(value)
    before = Stats([COUNT.sample(3, "ok"), COUNT.sample(1, "failed"), SECONDS.sample(first)])
    now = Stats([COUNT.sample(5, "ok"), COUNT.sample(1, "failed"), COUNT.sample(2, "refused"), SECONDS.sample(second)])
    news = difference(now, before)
    counts = {sample.labels: sample.value for sample in news if sample.instrument is COUNT}
    assert counts == {("ok",): 2, ("refused",): 2}
    assert (news.value("operation.duration").count, news.value("operation.duration").sum) == (1, 3.0)


def command(folder: Path, *words: str) -> tuple[int, str, str]:
    """Run the command line with settings in a folder; return exit code, standard output and standard error."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_shows_the_history(tmp_path: Path) -> None:
    """As a table, and as JSON; without the setting one sentence says what to do."""
    pytest.importorskip("localagent_cli")
    settings = tmp_path / "localagent.toml"
    settings.write_text(f'use = ["metrics-summary"]\nstate_folder = "{tmp_path}/state"\n')
    code, _, error = command(tmp_path, "--config", str(settings), "history")
    assert (code, "Set history = true in [plugins.metrics-summary]" in error) == (2, True)
    settings.write_text(settings.read_text() + "[plugins.metrics-summary]\nhistory = true\n")
    assert command(tmp_path, "--config", str(settings), "history")[1] == "No operation was recorded in 7 days.\n"

    async def record() -> None:
        folder = tmp_path / "state/metrics-summary"
        folder.mkdir(parents=True, exist_ok=True)
        clock = time.time
        async with FakeCore(folder=folder, wall_time=clock) as core, core.plugged(SummaryPlugin, KEPT) as plugged:
            for _ in range(3):
                await plugged.ask("record_metric", core.call(), CHAT)

    asyncio.run(record())
    code, out, error = command(tmp_path, "--config", str(settings), "history")
    assert (code, out.split("\t")[:2], error) == (0, ["one/m", "3"], "")
    document = json.loads(command(tmp_path, "--config", str(settings), "history", "--json", "--by", "tenant")[1])
    assert document["summaries"]["team"]["total_operations"] == document["total"]["total_operations"] == 3

"""``/metrics`` beside real processes: what it shows equals what the model server itself has counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from counting_server import ask, counting_server, leave
from processes import Process, serving, write_settings

pytest.importorskip("localagent_metrics_summary")
pytest.importorskip("localagent_cache_memory")
parser = pytest.importorskip("prometheus_client.parser")

USE = '"cache-memory", "metrics-summary", "metrics-prometheus", "gateway"'
ROUNDS = 40


async def shown(process: Process) -> dict[str, Counter[tuple[str, ...]]]:
    """Return what ``/metrics`` shows: the values of each name by the values of its labels."""
    async with httpx.AsyncClient(timeout=30) as http:
        text = (await http.get(f"{process.url}/metrics")).text
    found: dict[str, Counter[tuple[str, ...]]] = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, Counter())[tuple(sample.labels.values())] = sample.value
    return found


def with_label(row: Counter[tuple[str, ...]], *values: str) -> float:
    """Return the sum of the values of a name that have all these values of labels."""
    return sum(value for labels, value in row.items() if set(values) <= {*labels})


async def until_cancelled(process: Process, count: int) -> dict[str, Counter[tuple[str, ...]]]:
    """Return what is shown as soon as the gateway has noticed that the clients have left."""
    async with asyncio.timeout(20):
        while with_label((seen := await shown(process))["localagent_operations_total"], "cancelled") < count:  # noqa: ASYNC110 - a foreign process
            await asyncio.sleep(0.02)
    return seen


@pytest.mark.parametrize("workers", [1, 4])
async def test_what_is_shown_is_what_the_server_has_seen(workers: int, tmp_path: Path) -> None:
    """Requests, tokens, errors, cached, refused and cancelled, over a reload and a replacement of all workers."""
    async with counting_server() as server:
        settings = write_settings(tmp_path, server.url)
        settings.write_text(settings.read_text().replace('"gateway"', USE, 1))
        sent: Counter[int] = Counter()
        async with serving(settings, "--workers", str(workers)) as process:
            for turn in range(2):
                for number in range(ROUNDS):
                    sent[await ask(process, f"question {number % 10}", stream=number % 3 == 0)] += 1
                for _ in range(5):
                    sent[await ask(process, "fail")] += 1
                    sent[await ask(process, "hi", model="nowhere/x")] += 1
                    await leave(process, server)
                before = await until_cancelled(process, 5 + 5 * turn)
                if turn == 0:
                    process.signal(signal.SIGHUP)
                    await process.line("settings were read again|The settings")
                    if workers > 1:
                        process.signal(signal.SIGUSR2)
                        await process.line("Replaced|replaced")
                    after = await shown(process)
                    for name in ("localagent_operations_total", "localagent_tokens_total", "localagent_attempts_total"):
                        assert after[name] == before[name]
            final = await shown(process)
    operations = final["localagent_operations_total"]
    assert server.counts["answered"] < sent[200] == 2 * ROUNDS
    assert with_label(operations, "ok") == sent[200]
    assert with_label(operations, "ok", "model") == server.counts["answered"]
    assert with_label(operations, "ok", "cache-memory") == sent[200] - server.counts["answered"]
    assert with_label(operations, "failed") == server.counts["failed"] == 10
    assert with_label(operations, "refused") == 10
    assert with_label(operations, "cancelled") == 10
    assert sum(final["localagent_attempts_total"].values()) == server.counts["asked"]
    assert with_label(final["localagent_instance_attempts_total"], "up") == server.counts["asked"]
    tokens = final["localagent_tokens_total"]
    assert with_label(tokens, "prompt") == server.counts["prompt_tokens"]
    assert with_label(tokens, "completion") == server.counts["completion_tokens"]
    assert with_label(final["localagent_cache_hits_total"], "cache-memory") == sent[200] - server.counts["answered"]
    assert final["localagent_operation_duration_seconds_count"].total() == sent[200]
    assert with_label(final["localagent_http_requests_total"], "2xx") >= sent[200]


async def stats(settings: Path, *options: str) -> tuple[int, str, str]:
    """Run ``localagent stats``; return its exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent_cli", "--config", str(settings), "stats", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def on_a_terminal(settings: Path, *options: str, until: bytes) -> tuple[int, str]:
    """Run ``localagent stats`` on a terminal, press Ctrl-C once it has shown something; return exit code and output."""
    master, slave = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent_cli", "--config", str(settings), "stats", *options,
        stdout=slave, stderr=slave, stdin=asyncio.subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while until not in shown:
        shown += await asyncio.to_thread(os.read, master, 4096)
    process.send_signal(signal.SIGINT)
    code = await process.wait()
    with contextlib.suppress(OSError):  # the terminal is closed
        while more := await asyncio.to_thread(os.read, master, 4096):
            shown += more
    os.close(master)
    return code, shown.decode()


async def test_stats_shows_the_summary(tmp_path: Path) -> None:
    """Grouped, as JSON, and live on a terminal until Ctrl-C; in a pipe live is refused."""
    async with counting_server() as server:
        settings = write_settings(tmp_path, server.url)
        settings.write_text(settings.read_text().replace('"gateway"', USE, 1))
        async with serving(settings, "--workers", "2") as process:
            for number in range(6):
                assert await ask(process, f"question {number}") == 200
            assert await ask(process, "fail") == 502
            document = json.loads((await stats(settings, "--json"))[1])
            _, by_model, _ = await stats(settings, "--by", "model")
            refused = await stats(settings, "--live")
            code, live = await on_a_terminal(settings, "--live", until=b"up/m")
    (gateway,) = document["gateways"]
    operations = [one for one in gateway["stats"] if one["name"] == "operations"]
    assert sum(one["value"] for one in operations if one["labels"]["status"] == "ok") == 6
    (duration,) = [one for one in gateway["stats"] if one["name"] == "operation.duration"]
    assert duration["value"]["count"] == 6
    assert 0 < duration["value"]["p50"] <= duration["value"]["max"]
    assert [line.split("\t")[:3] for line in by_model.splitlines()] == [["up/m", "7", "14.3%"]]
    assert refused[0] == 2
    assert "--live needs a terminal" in refused[2]
    assert code == 0
    assert all(heading in live for heading in ("Serves", "Operations", "First token p50"))


async def test_a_killed_worker_keeps_its_counts(tmp_path: Path) -> None:
    """What a worker has reported counts for ever, also when it was killed and another one was started."""
    async with counting_server() as server:
        settings = write_settings(tmp_path, server.url)
        settings.write_text(settings.read_text().replace('"gateway"', USE, 1))
        async with serving(settings, "--workers", "2") as process:
            for number in range(10):
                assert await ask(process, f"question {number}") == 200
            before = await shown(process)
            for pid in [int(worker["process"]) for worker in await workers(settings)]:
                os.kill(pid, signal.SIGKILL)
            await process.line("died|ended", 2)
            async with asyncio.timeout(30):
                while (await shown_or_none(process)) is None:  # noqa: ASYNC110 - a foreign process
                    await asyncio.sleep(0.05)
            after = await shown(process)
            assert await ask(process, "another question") == 200
            last = await shown(process)
    assert after["localagent_operations_total"] == before["localagent_operations_total"]
    assert with_label(last["localagent_operations_total"], "ok") == 11


async def workers(settings: Path) -> list[dict[str, Any]]:
    """Return the workers that ``localagent stats`` shows."""
    (gateway,) = json.loads((await stats(settings, "--json"))[1])["gateways"]
    found: list[dict[str, Any]] = gateway["workers"]
    return found


async def shown_or_none(process: Process) -> dict[str, Counter[tuple[str, ...]]] | None:
    """Return what ``/metrics`` shows; None while no worker serves."""
    try:
        return await shown(process)
    except (httpx.HTTPError, ValueError):
        return None

"""A real Prometheus server reads a gateway with two workers, and knows every series of the dashboard and the rules."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from counting_server import ask, counting_server, leave
from processes import serving, write_settings
from programs import Program

plugin = pytest.importorskip("localagent_metrics_prometheus")

USE = '"cache-memory", "metrics-summary", "metrics-prometheus", "gateway"'
WITHOUT_SERIES = {
    "localagent_plugin_failures_total": "no plugin fails in this test",
}
"""Metrics without a value here, and why."""


def dashboard_queries() -> Iterator[str]:
    """Yield the queries of all panels, with the intervals that Grafana would put in."""
    for panel in json.loads(plugin.dashboard_path().read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "1m")


def rule_queries() -> Iterator[str]:
    """Yield the queries of the rules; of alerts only the values, because none of them may fire."""
    text = re.sub(r">-\n\s+", "", plugin.rules_path().read_text())
    text = re.sub(r"\n\s+/ ", " / ", text)
    for query in re.findall(r"expr: (.+)", text):
        for part in query.split(" or "):
            yield re.sub(r" [<>] [\d.e]+$", "", part).replace("[1h]", "[1m]").replace("[15m]", "[1m]")


async def checked(command: list[str], text: bytes | None = None) -> tuple[int, str]:
    """Run a command; return its exit code and what it has written."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate(text)
    return process.returncode or 0, out.decode()


@contextlib.asynccontextmanager
async def prometheus(program: str, folder: Path, target: str) -> AsyncIterator[str]:
    """Run Prometheus on a free port; it reads ``target`` twice a second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    scraped = {"job_name": "localagent", "static_configs": [{"targets": [target]}]}
    settings = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
        "scrape_configs": [scraped], "rule_files": [str(plugin.rules_path())],
    }  # fmt: skip
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    process = await asyncio.create_subprocess_exec(
        program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://{address}"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def found(http: httpx.AsyncClient, query: str) -> list[Any]:
    """Return the series with a number that a query finds; an empty list also while the server starts."""
    try:
        answer = await http.get("/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return []
    if answer.status_code == 503:  # it starts
        return []
    document = answer.json()
    assert document["status"] == "success", (query, document)
    return [one for one in document["data"]["result"] if one["value"][1] != "NaN"]


async def test_the_rules_are_valid(program: Program) -> None:
    """``promtool check rules``."""
    code, out = await checked([program("promtool"), "check", "rules", str(plugin.rules_path())])
    assert code == 0, out


@pytest.mark.timeout(180)
async def test_every_query_of_dashboard_and_rules_answers(program: Program, tmp_path: Path) -> None:
    """After some answers, failures, hits and cancellations each query has at least one series, with a number."""
    server_program, tool = program("prometheus"), program("promtool")
    async with counting_server() as server:
        settings = write_settings(tmp_path, server.url)
        settings.write_text(settings.read_text().replace('"gateway"', USE, 1))
        async with serving(settings, "--workers", "2") as process:
            target = process.url.removeprefix("http://")
            async with (
                prometheus(server_program, tmp_path, target) as url,
                httpx.AsyncClient(base_url=url, timeout=30) as http,
            ):
                queries = [*dashboard_queries(), *rule_queries()]
                empty = list(queries)
                async with asyncio.timeout(120):
                    while empty:
                        for number in range(6):
                            new = f"a question that nobody has asked before: {time.monotonic()}"
                            await ask(process, new if number % 3 else "the same question", stream=number % 2 == 0)
                        await ask(process, "fail")
                        await leave(process, server)
                        await asyncio.sleep(0.5)  # Prometheus reads once more
                        empty = [query for query in empty if not await found(http, query) and not excused(query)]
                alerts = (await http.get("/api/v1/alerts")).json()["data"]["alerts"]
                (up,) = await found(http, "up")
            async with httpx.AsyncClient(timeout=30) as direct:
                text = (await direct.get(f"{process.url}/metrics")).content
    assert up["value"][1] == "1"
    assert {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"} == set()
    assert await checked([tool, "check", "metrics"], text) == (0, "")
    assert len(queries) > 35


def excused(query: str) -> bool:
    """Whether a query is about a metric that has no value here."""
    return any(name in query for name in WITHOUT_SERIES)

"""Run the benchmarks, write ``build/bench/report.json`` and print the table.

``--quick`` runs fewer rounds; ``--instructions`` counts instructions instead of time; ``--help`` lists the rest. A
missed target is a word in the table, never a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import counted
import instructions
import machine
from bench import Bench
from cases import (
    bounds,
    caches,
    chat,
    fast,
    gateway,
    imports,
    other_gateways,
    pool,
    recorded,
    slow_clients,
    steps,
    streams,
    valkey,
)
from loopback_server import serving
from report import Report, Row, write_into

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "build/bench/report.json"
PAGE = ROOT / "docs/explanation/benchmarks.md"
CASES: dict[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "chat": chat.rows,
    "stream": streams.rows,
    "fast": fast.rows,
    "pool": pool.rows,
    "recorded": recorded.rows,
    "steps": steps.rows,
    "import": imports.rows,
    "cache": caches.rows,
    "valkey": valkey.rows,
    "gateway": gateway.rows,
    "slow-clients": slow_clients.rows,
    "bounds": bounds.rows,
    "peers": other_gateways.rows,
}
ROUNDS, QUICK_ROUNDS = 61, 15


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    names = sorted({*CASES, *counted.CASES})  # those that the other way of measuring lacks are refused below
    parser.add_argument("--only", action="append", choices=names, metavar="CASE", help=f"one of: {', '.join(CASES)}")
    parser.add_argument(
        "--instructions",
        action="store_true",
        help=f"count instructions of: {', '.join([*counted.CASES, *counted.ADDED])} (needs valgrind)",
    )
    parser.add_argument("--peers", action="store_true", help="other gateways too, installed when they are first needed")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes")
    parser.add_argument("--write-docs", action="store_true", help="put the table into the documentation's page")
    options = parser.parse_args(given)
    for name in options.only or ():
        if name not in ({**counted.CASES, **counted.ADDED} if options.instructions else CASES):
            parser.error(f"{name} is no case of {'instructions' if options.instructions else 'time'}.")
    return options


async def measured(cases: Sequence[str], rounds: int, *, peers: bool) -> Report:
    """Run cases and return their report."""
    load = machine.load()
    rows: list[Row] = []
    with serving() as server:
        bench = Bench(server, rounds, peers)
        for name in cases:
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows += await CASES[name](bench)
    return Report(await machine.look(load), rounds, rows)


def forget_proxies() -> None:
    """Take proxies out of the environment: some peers would send even loopback requests through them."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]


def main() -> None:
    """Run what the command line asks for."""
    options = arguments()
    if options.instructions:
        instructions.count(options.only, write_docs=options.write_docs)
        return
    forget_proxies()
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    report = asyncio.run(measured(options.only or list(CASES), rounds, peers=options.peers))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(report.json())
    print(report.markdown())
    if options.write_docs:
        write_into(PAGE, report)


if __name__ == "__main__":
    main()

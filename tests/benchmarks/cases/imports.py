"""``import localagent`` beside ``import httpx``, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from bench import Bench
from measure import Contender, Spread, compare
from report import Row

CASE = "import"
OURS, HTTPX = "import localagent", "import httpx"
FIRST_USE = "from localagent import Client"
OTHERS = ("import aiohttp", "import openai")
TARGET = 0.5
HEAVY = ("aiohttp", "click", "rich")
CPU_OF = "import time; begin = time.process_time(); {}; print((time.process_time() - begin) * 1e6)"
HEAVY_OF = "{}; import sys; print(*sorted({{{}}} & sys.modules.keys()))"


async def rows(bench: Bench) -> list[Row]:
    """Compare what importing costs, and look for heavy modules."""
    statements = (OURS, FIRST_USE, HTTPX, *OTHERS)
    samples = await compare([_importing(one) for one in statements], rounds=max(7, bench.rounds // 3), turns=1, size=1)
    ours = Row(case=CASE, what=OURS, cost=samples.cost(OURS), figure=samples.ratio(OURS, HTTPX), target=TARGET,
               note="against import httpx")  # fmt: skip
    others = [
        Row(case=CASE, what=one, cost=samples.cost(one), figure=samples.ratio(one, HTTPX)) for one in statements[1:]
    ]
    return [ours, *others, *(_heavy_row(one, target) for one, target in ((OURS, 0.0), (FIRST_USE, None)))]


def _heavy_row(statement: str, target: float | None) -> Row:
    loaded = output_of(HEAVY_OF.format(statement, ", ".join(map(repr, HEAVY)))).split()
    return Row(case=CASE, what=f"{statement}: {', '.join(HEAVY)} loaded", figure=Spread.of([len(loaded)]),
               unit="modules", target=target, note=" ".join(loaded))  # fmt: skip


def _importing(statement: str) -> Contender:
    """Return a contender that says itself what it took: only the statement is timed, not the interpreter's start."""

    async def spend(number: int, before: int) -> float:
        return sum(float(output_of(CPU_OF.format(statement))) for _ in range(number))

    return Contender(statement, spend)


def output_of(program: str, options: Sequence[str] = ("-I",)) -> str:
    """Run a program in a clean process and return what it prints."""
    command = [sys.executable, *options, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

"""Attack a real ``localagent serve`` and print a table: what each attack makes it hold, and how long others wait.

Run as ``python tests/acceptance/attacks.py``, with ``--only NAME`` for some. For each attack a gateway of its own is
started; its memory is read before, at its highest and afterwards, and another process asks ``/healthz`` meanwhile. It
fails when an attack is answered in another way than it should be, or takes more than 200 MB. Times depend on the
machine; those above 100 ms are marked. Linux only: memory is read from ``/proc``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attack_kinds import (
    CHAT,
    Play,
    Stage,
    as_many_blocks_as_pass,
    blocks,
    body,
    fields,
    idle_connections,
    long_name,
    long_names,
    many,
    model,
    names,
    nothing,
    prompt,
    short_names,
    steady_reader,
    stopped_readers,
    tool_answers,
    unfinished_bodies,
)
from evil_upstream import evil_upstream
from probe import Health, probing
from processes import serving, write_settings

MOST_BYTES = 200 * 1_000_000
MOST_MILLISECONDS = 100.0


@attrs.frozen
class Attack:
    """One attack.

    Attributes:
        name: What it does.
        play: Does it.
        right: The statuses that it may be answered with; 0 is a connection that was cut, -1 one that is left waiting.
        settings: Settings of the gateway.
        descriptors: The most files and sockets of the gateway.
        keyed: Whether the gateway asks for keys.
    """

    name: str
    play: Play
    right: frozenset[int]
    settings: Mapping[str, Any] = {}
    descriptors: int | None = None
    keyed: bool = False


def attack(
    name: str, play: Play, *right: int, keyed: bool = False, descriptors: int | None = None, **settings: Any
) -> Attack:
    """Return an attack; see ``Attack``."""
    return Attack(name, play, frozenset(right), settings, descriptors, keyed)


ATTACKS = (
    attack("none: the machine's own unrest", nothing, 200),
    attack("whole JSON without end as a stream", model("endless", stream=True), 200, 502),
    attack("whole JSON without end", model("endless", stream=False), 502),
    attack("a gzip bomb as a stream", model("bomb", stream=True), 200, 502),
    attack("a gzip bomb", model("bomb", stream=False), 502),
    attack("small values", body(CHAT, fields(many(b"1"))), 413),
    attack("fractions", body(CHAT, fields(many(b"1e300"))), 413),
    attack("empty lists", body(CHAT, fields(many(b"[]"))), 413),
    attack("distinct keys", body(CHAT, fields(names, b"{}")), 413),
    attack("content blocks", body("/v1/messages", blocks), 413),
    attack("as many content blocks as pass", body("/v1/messages", as_many_blocks_as_pass), 200),
    attack("lists in lists", body(CHAT, fields(lambda stage: [b"[" * stage.mebibytes(31)])), 413),
    attack("tools that answer nobody", body("/api/chat", tool_answers), 200),
    attack("escapes", body(CHAT, prompt(rb"\"")), 413),
    attack("a prompt of 31 MiB", body(CHAT, prompt(b"Hi, you. ")), 200),
    attack("a prompt of structure", body(CHAT, prompt(b",[{:")), 200),
    attack("a model's name of 31 MiB", body(CHAT, long_name), 400),
    attack("300 names of 1 MB", long_names, 400),
    attack("5,000 names of 256 characters", short_names, 200),
    attack("60 unfinished bodies without a key", unfinished_bodies, 401, 200, keyed=True),
    attack("60 unfinished bodies where none is needed", unfinished_bodies, -1, 503, 200),
    attack("100 idle connections at 64 descriptors", idle_connections, 200, descriptors=64, keyed=True),
    attack("two readers of 30 MB that stop", stopped_readers, 0, send_timeout="1 s"),
    attack("a steady reader", steady_reader, 200, send_timeout="2 s"),
)


@attrs.frozen
class Row:
    """What an attack came to.

    Attributes:
        name: The attack.
        memory: Bytes of the serving process before, at its highest and afterwards.
        health: How others were answered meanwhile.
        outcome: The statuses and how often each came.
        right: Whether it was answered as it should be.
    """

    name: str
    memory: tuple[int, int, int]
    health: Health
    outcome: Mapping[int, int]
    right: bool

    @property
    def grown(self) -> int:
        """How many bytes the process had taken at its highest."""
        return self.memory[1] - self.memory[0]

    def line(self) -> str:
        """Return it as a line of the table."""
        before, highest, after = (round(size / 1_000_000) for size in self.memory)
        verdict = "ok" if self.right else "WRONG ANSWER"
        if self.health.failed:
            verdict = f"{self.health.failed} WITHOUT ANSWER"
        verdict += ", TOO MUCH MEMORY" if self.grown > MOST_BYTES else ""
        verdict += ", slow" if self.health.worst > MOST_MILLISECONDS else ""
        reported = " ".join(f"{status}x{count}" for status, count in sorted(self.outcome.items()))
        sizes = f"{before:9} | {highest:7} | {after:5}"
        return f"| {self.name:43} | {sizes} | {self.health.worst:10.1f} | {reported:16} | {verdict} |"


HEADER = f"| {'attack':43} | MB before | highest | after | healthz ms | {'answers':16} | verdict |"
RULE = "|---|--:|--:|--:|--:|---|---|"


def _memory(process: int, name: str) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{name}:"))


def _forget_highest(process: int) -> int:
    """Have the highest memory counted from now on; return what it is now."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return _memory(process, "VmRSS")


async def _create_key(settings: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent_cli", "--config", str(settings), "keys", "create", "--name", "attacks",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    reported, _ = await process.communicate()
    return next(word for word in reported.decode().split() if word.startswith("la-"))


async def played(one: Attack, upstream: str, folder: Path, size: float = 1.0) -> Row:
    """Start a gateway, attack it, and return what came of it."""
    settings = write_settings(folder, upstream, "", **one.settings)
    key = await _create_key(settings) if one.keyed else ""
    async with serving(settings, descriptors=one.descriptors) as process:
        host, _, port = process.url.removeprefix("http://").rpartition(":")
        stage = Stage(host, int(port), size, key)
        for _ in range(20):
            assert await stage.chat() == 200
        before = _forget_highest(process.pid)
        async with probing(host, int(port)) as health:
            outcome = await one.play(stage)
        assert not process.closed, f"The gateway ended: {process.lines}"
        memory = before, _memory(process.pid, "VmHWM"), _memory(process.pid, "VmRSS")
    return Row(one.name, memory, health, outcome, one.right >= outcome.keys())


async def table(names: Sequence[str]) -> bool:
    """Print the rows of some attacks, or of all; return whether all went as they should."""
    good = True
    print(HEADER, RULE, sep="\n")
    with evil_upstream() as upstream:
        for one in ATTACKS:
            if names and one.name not in names:
                continue
            with tempfile.TemporaryDirectory() as folder:
                row = await played(one, upstream, Path(folder))
            print(row.line(), flush=True)
            good = good and row.right and not row.health.failed and row.grown <= MOST_BYTES
    return good


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=[one.name for one in ATTACKS], metavar="NAME", default=[])
    sys.exit(0 if asyncio.run(table(parser.parse_args().only)) else 1)


if __name__ == "__main__":
    main()

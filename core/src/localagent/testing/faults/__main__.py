"""``python -m localagent.testing.faults [ID ...]``: play the fault table through the installed providers, print it."""

from __future__ import annotations

import asyncio
import sys

from localagent.plugins import find_plugins
from localagent.testing.faults import FAULTS, Fault, ProtocolName, Verdict
from localagent.testing.faults.through_client import play_through_client


async def _play_all(plays: list[tuple[Fault, ProtocolName]]) -> list[Verdict]:
    verdicts = []
    for fault, protocol in plays:
        verdict = await play_through_client(fault, protocol)
        word = "ok" if verdict.passed else ("FAILED" if verdict.shown else "not shown")
        sys.stdout.write(
            f"{fault.id:<16} {protocol:<7} {word:<10} {fault.title}{f': {verdict.detail}' if verdict.detail else ''}\n"
        )
        verdicts.append(verdict)
    return verdicts


def main(names: list[str]) -> int:
    """Play the rows of these ids, or all; return 1 when one failed."""
    installed = find_plugins()
    plays = [
        (fault, protocol)
        for fault in FAULTS
        if not names or fault.id in names or fault.id.partition(".")[0] in names
        for protocol in fault.protocols
        if f"provider-{protocol}" in installed
    ]
    verdicts = asyncio.run(_play_all(plays))
    failed = sum(verdict.shown and not verdict.passed for verdict in verdicts)
    hidden = sum(not verdict.shown for verdict in verdicts)
    sys.stdout.write(f"{len(verdicts) - failed - hidden} passed, {failed} failed, {hidden} skipped\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

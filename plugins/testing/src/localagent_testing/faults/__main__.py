"""Play the fault table through the installed providers and print it.

``python -m localagent_testing.faults [--with PLUGIN] [ID ...]``; the plugin, such as a transport, is used in addition.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from localagent.plugin_api import find_plugins
from localagent_testing.faults import FAULTS, Fault, ProtocolName, Verdict
from localagent_testing.faults.through_client import play_through_client


async def _play_all(plays: list[tuple[Fault, ProtocolName]], plugins: list[str]) -> list[Verdict]:
    verdicts = []
    for fault, protocol in plays:
        verdict = await play_through_client(fault, protocol, *plugins)
        word = "ok" if verdict.passed else ("FAILED" if verdict.shown else "not shown")
        sys.stdout.write(
            f"{fault.id:<16} {protocol:<7} {word:<10} {fault.title}{f': {verdict.detail}' if verdict.detail else ''}\n"
        )
        verdicts.append(verdict)
    return verdicts


def main(given: list[str]) -> int:
    """Play the rows of these ids, or all; return 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m localagent_testing.faults")
    parser.add_argument("names", nargs="*", metavar="ID", help="rows to play; all by default")
    parser.add_argument(
        "--with", dest="plugins", action="append", default=[], metavar="PLUGIN", help="an additional plugin to use"
    )
    options = parser.parse_args(given)
    names: list[str] = options.names
    installed = find_plugins()
    plays = [
        (fault, protocol)
        for fault in FAULTS
        if not names or fault.id in names or fault.id.partition(".")[0] in names
        for protocol in fault.protocols
        if f"provider-{protocol}" in installed
    ]
    verdicts = asyncio.run(_play_all(plays, options.plugins))
    failed = sum(verdict.shown and not verdict.passed for verdict in verdicts)
    hidden = sum(not verdict.shown for verdict in verdicts)
    sys.stdout.write(f"{len(verdicts) - failed - hidden} passed, {failed} failed, {hidden} skipped\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

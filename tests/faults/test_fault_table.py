"""Every row of the fault table, through a whole client, the real provider plugins, and both transports.

``python -m localagent_testing.faults`` prints the same table with its results, ``--with connect-fast`` through that
transport, ``--with failure-retry`` with retries.
"""

from __future__ import annotations

import pytest

from localagent_testing.faults import FAULTS, Fault, ProtocolName
from localagent_testing.faults.through_client import play_through_client

TRANSPORTS = [pytest.param((), id="aiohttp"), pytest.param(("connect-fast",), id="fast")]
PLAYS = [pytest.param(fault, protocol, id=f"{fault.id}-{protocol}") for fault in FAULTS for protocol in fault.protocols]
BREAKS = [play for play in PLAYS if play.values[0].row in range(60, 65)]


@pytest.mark.parametrize("plugins", TRANSPORTS)
@pytest.mark.parametrize(("fault", "protocol"), PLAYS)
async def test_fault_has_its_typed_outcome(fault: Fault, protocol: ProtocolName, plugins: tuple[str, ...]) -> None:
    """A fault on the wire becomes what its row says: the type, the timeout, the advice, and nothing that leaks."""
    await played(fault, protocol, *plugins)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("fault", "protocol"), BREAKS)
async def test_a_broken_connection_is_repeated_by_the_plugin_alone(
    fault: Fault, protocol: ProtocolName, transport: tuple[str, ...]
) -> None:
    """With failure-retry a kept connection that broke costs one more counted attempt; a new one is not repeated."""
    await played(fault, protocol, *transport, "failure-retry")


async def played(fault: Fault, protocol: ProtocolName, *plugins: str) -> None:
    """Play a row; what this machine cannot show is skipped."""
    verdict = await play_through_client(fault, protocol, *plugins)
    if not verdict.shown:
        pytest.skip(verdict.detail)
    assert verdict.passed, verdict.detail

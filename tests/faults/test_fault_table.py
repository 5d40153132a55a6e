"""Every row of the fault table, through a whole client, the real provider plugins, and both transports.

``python -m localagent.testing.faults`` prints the same table with its results, ``--with connect-fast`` through that
transport.
"""

from __future__ import annotations

import pytest

from localagent.testing.faults import FAULTS, Fault, ProtocolName
from localagent.testing.faults.through_client import play_through_client

TRANSPORTS = [pytest.param((), id="aiohttp"), pytest.param(("connect-fast",), id="fast")]
PLAYS = [pytest.param(fault, protocol, id=f"{fault.id}-{protocol}") for fault in FAULTS for protocol in fault.protocols]


@pytest.mark.parametrize("plugins", TRANSPORTS)
@pytest.mark.parametrize(("fault", "protocol"), PLAYS)
async def test_fault_has_its_typed_outcome(fault: Fault, protocol: ProtocolName, plugins: tuple[str, ...]) -> None:
    """A fault on the wire becomes what its row says: the type, the clock, the advice, and nothing that leaks."""
    verdict = await play_through_client(fault, protocol, *plugins)
    if not verdict.shown:
        pytest.skip(verdict.detail)
    assert verdict.passed, verdict.detail

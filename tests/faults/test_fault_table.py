"""Every row of the fault table, through a whole client and the real provider plugins.

``python -m localagent.testing.faults`` prints the same table with its results.
"""

from __future__ import annotations

import pytest

from localagent.testing.faults import FAULTS, Fault, ProtocolName
from localagent.testing.faults.through_client import play_through_client

PLAYS = [pytest.param(fault, protocol, id=f"{fault.id}-{protocol}") for fault in FAULTS for protocol in fault.protocols]


@pytest.mark.parametrize(("fault", "protocol"), PLAYS)
async def test_fault_has_its_typed_outcome(fault: Fault, protocol: ProtocolName) -> None:
    """A fault on the wire becomes what its row says: the type, the clock, the advice, and nothing that leaks."""
    verdict = await play_through_client(fault, protocol)
    if not verdict.shown:
        pytest.skip(verdict.detail)
    assert verdict.passed, verdict.detail

"""The test kit for plugin authors, with which LocalAgent itself is tested, too.

* ``FaultServer`` sends byte for byte what a script of steps defines: ``ReadRequest``, ``Send``, ``Drip``, ``Stall``,
  ``Reset`` ... ``answer``, ``chunked``, ``sse`` and ``ndjson`` make the bytes; ``Authority`` makes certificates.
* ``localagent_testing.faults`` is the table of what can go wrong on a connection, with the expected results.
* ``run_virtual`` runs a coroutine on a virtual clock, where waiting takes no time.
* ``CANARY_KEY`` and ``CANARY_PROMPT`` are a key and a prompt that tests send and search for where they must not be.
* ``SSE_VECTORS`` are event streams with their events; ``tiny_gguf`` is a model file of 1.4 MB for real servers.
* ``FakeCore`` replaces the core, so that hooks can be called one by one; ``fake_provider_plugin`` brings a
  provider whose answers a test defines, ``WirePlugin`` one for servers on real sockets; ``RecordedTransport``,
  ``recording`` and ``replay`` replace the network.
* ``ProviderContract``, ``ConnectContract``, ``TransportContract``, ``CacheContract`` and ``MetricsContract`` have a
  test for each promise of their role.
* ``localagent_testing.pytest_plugin`` fails tests that leak or show a canary, and runs ``async def`` tests. pytest
  finds it by itself.

Nothing here imports pytest, trustme, gguf or tokenizers before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from localagent_testing.authority import Authority
from localagent_testing.canaries import CANARY_KEY, CANARY_PROMPT, Canaries
from localagent_testing.clock import VirtualClockLoop, VirtualDeadlock, run_virtual
from localagent_testing.connection import ReceivedRequest
from localagent_testing.fault_server import Connections, FaultServer, Scripts
from localagent_testing.http_bytes import answer, chunk, chunked, head, ndjson, sse
from localagent_testing.sse_vectors import SSE_VECTORS, SSEVector
from localagent_testing.steps import (
    Close,
    Drip,
    Fin,
    Hold,
    Pause,
    ReadBytes,
    ReadHead,
    ReadRequest,
    Repeat,
    Reset,
    Script,
    Send,
    Stall,
    Step,
)
from localagent_testing.tiny_gguf import tiny_gguf, write_tiny_gguf

if TYPE_CHECKING:
    from localagent_testing.cassettes import Recorder, recording, replay
    from localagent_testing.contracts import (
        CacheContract,
        ConnectContract,
        Contract,
        MetricsContract,
        OllamaServer,
        OpenAIServer,
        ProtocolServer,
        ProviderContract,
        TransportContract,
    )
    from localagent_testing.fake_core import FakeCore, ManualClock
    from localagent_testing.fake_provider import Reply, fake_provider_plugin
    from localagent_testing.recorded import Exchange, RecordedTransport
    from localagent_testing.wire_plugin import WirePlugin

# Imported when they are first used: the contracts need pytest, the others the whole core.
_LATER = {
    "CacheContract": "contracts",
    "ConnectContract": "contracts",
    "Contract": "contracts",
    "Exchange": "recorded",
    "FakeCore": "fake_core",
    "ManualClock": "fake_core",
    "MetricsContract": "contracts",
    "OllamaServer": "contracts",
    "OpenAIServer": "contracts",
    "ProtocolServer": "contracts",
    "ProviderContract": "contracts",
    "RecordedTransport": "recorded",
    "Recorder": "cassettes",
    "Reply": "fake_provider",
    "TransportContract": "contracts",
    "WirePlugin": "wire_plugin",
    "fake_provider_plugin": "fake_provider",
    "recording": "cassettes",
    "replay": "cassettes",
}

__all__ = [
    "CANARY_KEY",
    "CANARY_PROMPT",
    "SSE_VECTORS",
    "Authority",
    "CacheContract",
    "Canaries",
    "Close",
    "ConnectContract",
    "Connections",
    "Contract",
    "Drip",
    "Exchange",
    "FakeCore",
    "FaultServer",
    "Fin",
    "Hold",
    "ManualClock",
    "MetricsContract",
    "OllamaServer",
    "OpenAIServer",
    "Pause",
    "ProtocolServer",
    "ProviderContract",
    "ReadBytes",
    "ReadHead",
    "ReadRequest",
    "ReceivedRequest",
    "RecordedTransport",
    "Recorder",
    "Repeat",
    "Reply",
    "Reset",
    "SSEVector",
    "Script",
    "Scripts",
    "Send",
    "Stall",
    "Step",
    "TransportContract",
    "VirtualClockLoop",
    "VirtualDeadlock",
    "WirePlugin",
    "answer",
    "chunk",
    "chunked",
    "fake_provider_plugin",
    "head",
    "ndjson",
    "recording",
    "replay",
    "run_virtual",
    "sse",
    "tiny_gguf",
    "write_tiny_gguf",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)

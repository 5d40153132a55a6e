"""The test kit: what plugin authors test with, and what LocalAgent itself is tested with.

* ``FaultServer`` speaks byte for byte what a script of steps says: ``ReadRequest``, ``Send``, ``Drip``, ``Stall``,
  ``Reset`` ... ``answer``, ``chunked``, ``sse`` and ``ndjson`` make the bytes; ``Authority`` makes certificates.
* ``localagent.testing.faults`` is the table of everything that goes wrong on a wire, with what must come of it.
* ``run_virtual`` runs a coroutine on a virtual clock, where waiting takes no time.
* ``CANARY_KEY`` and ``CANARY_PROMPT`` are what tests send, so that they can be searched for where they may not be.
* ``SSE_VECTORS`` are event streams with their events; ``tiny_gguf`` is a model file of 1.4 MB for real servers.
* ``localagent.testing.pytest_plugin`` fails tests that leak or show a canary, and runs ``async def`` tests. Load it
  in the top-level ``conftest.py``: ``pytest_plugins = ["localagent.testing.pytest_plugin"]``.

Nothing here imports pytest, trustme, gguf or tokenizers before it is used.
"""

from __future__ import annotations

from localagent.testing.authority import Authority
from localagent.testing.canaries import CANARY_KEY, CANARY_PROMPT, Canaries
from localagent.testing.clock import VirtualClockLoop, VirtualDeadlock, run_virtual
from localagent.testing.connection import ReceivedRequest
from localagent.testing.fault_server import Connections, FaultServer, Scripts
from localagent.testing.http_bytes import answer, chunk, chunked, head, ndjson, sse
from localagent.testing.sse_vectors import SSE_VECTORS, SSEVector
from localagent.testing.steps import (
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
from localagent.testing.tiny_gguf import tiny_gguf, write_tiny_gguf

__all__ = [
    "CANARY_KEY",
    "CANARY_PROMPT",
    "SSE_VECTORS",
    "Authority",
    "Canaries",
    "Close",
    "Connections",
    "Drip",
    "FaultServer",
    "Fin",
    "Hold",
    "Pause",
    "ReadBytes",
    "ReadHead",
    "ReadRequest",
    "ReceivedRequest",
    "Repeat",
    "Reset",
    "SSEVector",
    "Script",
    "Scripts",
    "Send",
    "Stall",
    "Step",
    "VirtualClockLoop",
    "VirtualDeadlock",
    "answer",
    "chunk",
    "chunked",
    "head",
    "ndjson",
    "run_virtual",
    "sse",
    "tiny_gguf",
    "write_tiny_gguf",
]

"""Signals reach the main thread, which alone handles them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from localagent_gateway.keys.live_keys import KeyReader, KeyTable
from localagent_gateway.logs.log_writer import LogWriter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads which signals a thread blocks from /proc")


def blocked(thread: threading.Thread) -> int:
    """Return the signals that a thread blocks, one bit each."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")), 16)


def named(name: str) -> threading.Thread:
    return next(thread for thread in threading.enumerate() if thread.name.startswith(name))


async def test_no_thread_that_stays_takes_a_signal(tmp_path: Path) -> None:
    """Those that write the log and read the keys would not wake the main thread from a call that blocks."""
    reading, writing = os.pipe()
    lines = LogWriter(writing, time.time)
    table = KeyTable(KeyReader(tmp_path), time.monotonic)
    try:
        await table.open()
        lines.put(b"{}\n")
        assert os.read(reading, 10) == b"{}\n"  # the thread has begun
        masks = [blocked(named("gateway-keys")), blocked(named("write log lines"))]
    finally:
        lines.close()
        await table.aclose()
        os.close(reading)
        os.close(writing)
    ends = 1 << (signal.SIGTERM - 1) | 1 << (signal.SIGINT - 1)
    assert [mask & ends for mask in masks] == [ends, ends]

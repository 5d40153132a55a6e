"""Fixtures of these tests: a real server, and prefixes that separate the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # servers and entries are imported by their bare names

from valkey_servers import Server, valkey


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    """A server for the tests that leave it as it is; each takes a prefix of its own."""
    with valkey() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may stop, kill and change."""
    with valkey() as server:
        yield server

"""What every case is given."""

from __future__ import annotations

from typing import NamedTuple


class Bench(NamedTuple):
    """The circumstances of one run.

    Attributes:
        server: Address of the loopback server, without a path.
        rounds: Rounds of each comparison.
        peers: Whether other gateways take part, and litellm as a client where it is installed: both take long to load.
    """

    server: str
    rounds: int
    peers: bool = False

"""What every case is given."""

from __future__ import annotations

from typing import NamedTuple


class Bench(NamedTuple):
    """The circumstances of one run.

    Attributes:
        server: Address of the loopback server, without a path.
        rounds: Rounds of each comparison.
        peers: Whether peers that are slow to load take part, where they are installed.
    """

    server: str
    rounds: int
    peers: bool = False

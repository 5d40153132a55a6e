"""What the command ``attacks.py`` plays, scaled down: each attack is answered as it should be; others are served."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import ATTACKS, MOST_BYTES, Attack, played
from evil_upstream import evil_upstream

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

QUICK = (
    "a model's name of 31 MiB",
    "60 unfinished bodies without a key",
    "60 unfinished bodies where none is needed",
    "100 idle connections at 64 descriptors",
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The address of the model server behind the gateway."""
    with evil_upstream() as url:
        yield url


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.name in QUICK], ids=lambda one: one.name)
async def test_an_attack_is_refused_and_others_are_served(attack: Attack, upstream: str, tmp_path: Path) -> None:
    """By a real ``localagent serve``; it takes little memory, and every ``/healthz`` meanwhile is answered."""
    row = await played(attack, upstream, tmp_path, size=0.2)
    assert (row.right, row.health.failed) == (True, 0), row.line()
    assert row.health.asked > 0
    assert row.grown < MOST_BYTES

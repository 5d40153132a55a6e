"""How long a dead server is left alone."""

from __future__ import annotations

import pytest

from localagent_provider_llamacpp.backoff import Backoff


def test_delays_double_up_to_the_cap() -> None:
    """Without jitter: half a second, then twice as long each time, never above the cap."""
    delays = [Backoff().delay(failures, chance=1.0) for failures in range(1, 9)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0)])
def test_half_of_a_delay_is_random(chance: float, delay: float) -> None:
    """Servers that died together do not start together."""
    assert Backoff().delay(4, chance) == delay


def test_a_server_that_has_died_for_a_year_overflows_nothing() -> None:
    """The delay stays at the cap however many failures there were."""
    assert Backoff().delay(10**9, chance=1.0) == 30

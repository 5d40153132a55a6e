"""``LeastBusyPlugin.select_instance``: health, then load by weight, then a lot by speed; aliases keep their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localagent import ChatRequest, Client, Instance, InstanceState, Target
from localagent.runtime import Runtime
from localagent_select_least_busy import LeastBusyPlugin

SEEDS = range(50)
REQUEST = ChatRequest({"messages": [{"role": "user", "content": "Hello"}]})


class Fleet:
    """Instances in a real core whose counts a test has set, as candidates in the order they came."""

    def __init__(self, core: Runtime) -> None:
        self._core = core
        self.candidates: tuple[Target, ...] = ()

    def add(self, *, place: int = 0, weight: float = 1.0, **counts: Any) -> Target:
        """Add an instance; ``counts`` are attributes of its state."""
        number = len(self.candidates)
        instance = Instance(f"test@{number}", "test", "test", f"http://127.0.0.1:{number}", weight)
        self._core.instances.add(instance)
        for name, value in counts.items():
            setattr(self.state(instance), name, value)
        target = Target(instance, "model", place)
        self.candidates = (*self.candidates, target)
        return target

    def state(self, instance: Instance) -> InstanceState:
        """Return an instance's counts."""
        return self._core.instances.state(instance)

    def asked(self) -> tuple[Target, ...] | None:
        """Return what the step answers."""
        step = self._core.pipeline.plugins["select-least-busy"]
        assert isinstance(step, LeastBusyPlugin)
        return step.select_instance(self._core.engine.call(REQUEST), self.candidates)

    def order(self) -> list[int]:
        """Return the order in which the candidates would be tried, by their numbers."""
        return [self.candidates.index(target) for target in self.asked() or self.candidates]

    def firsts(self, times: int) -> Counter[int]:
        """Count who comes first."""
        return Counter(self.order()[0] for _ in range(times))


@asynccontextmanager
async def fleet(*instances: dict[str, Any], seed: int = 0) -> AsyncIterator[Fleet]:
    async with Client({"health": {"enabled": False}}, plugins=[LeastBusyPlugin], environment={}, seed=seed) as client:
        made = Fleet(await client.runtime())
        for instance in instances:
            made.add(**instance)
        yield made


ORDERS: dict[str, tuple[Sequence[dict[str, Any]], list[int]]] = {
    "fewer in flight first": ([{"in_flight": 2}, {"in_flight": 0}, {"in_flight": 1}], [1, 2, 0]),
    "in flight counts by weight": ([{"in_flight": 2}, {"in_flight": 4, "weight": 3.0}], [1, 0]),
    "idle, the greater weight is first": ([{}, {"weight": 2.0}], [1, 0]),
    "a slower one waits until the others are busy": ([{"latency": 2.1}, {"latency": 1.0}], [1, 0]),
    "load comes before speed": ([{"latency": 0.1, "in_flight": 1}, {"latency": 9.0}], [1, 0]),
    "a new one is tried first": ([{"latency": 0.01}, {}], [1, 0]),
    "a new one is not flooded": ([{"in_flight": 1}, {"latency": 5.0}], [1, 0]),
    "errors alone are no speed": ([{"failures": 3}, {"latency": 30.0}], [1, 0]),
    "an unhealthy one is behind, however idle": (
        [{"health": "unhealthy"}, {"health": "healthy", "in_flight": 9}, {"in_flight": 5}], [2, 1, 0],
    ),
    "one that is loading is behind, however idle": (
        [{"health": "loading"}, {"health": "healthy", "in_flight": 9}], [1, 0],
    ),
    "unhealthy ones are ordered too": (
        [{"health": "unhealthy", "in_flight": 1}, {"health": "unhealthy"}, {"health": "healthy"}], [2, 1, 0],
    ),
    "a busy first choice of an alias stays first": ([{"in_flight": 9}, {"place": 1}], [0, 1]),
    "each place of an alias has an order of its own": (
        [{"in_flight": 9}, {}, {"place": 1, "in_flight": 3}, {"place": 1}], [1, 0, 3, 2],
    ),
    "what another step put across places stays across": (
        [{"in_flight": 9}, {"place": 1, "in_flight": 9}, {}], [0, 1, 2],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("instances", "expected"), ORDERS.values(), ids=ORDERS.keys())
async def test_the_order(instances: Sequence[dict[str, Any]], expected: list[int]) -> None:
    """Whatever the lot says, the order is this one."""
    for seed in SEEDS:
        async with fleet(*instances, seed=seed) as made:
            assert made.order() == expected


async def test_a_single_candidate_is_left_alone() -> None:
    """Nothing is looked at where there is nothing to choose."""
    async with fleet({"health": "unhealthy"}) as made:
        assert made.asked() is None


async def test_an_order_that_is_right_already_is_unchanged() -> None:
    """The answer is None."""
    async with fleet({}, {"in_flight": 1}, {"in_flight": 2}) as made:
        assert made.asked() is None


@pytest.mark.parametrize("latency", [None, 0.0, 0.5])
async def test_equals_take_turns_by_lot(latency: float | None) -> None:
    """New ones as well as known ones: nobody is always first."""
    async with fleet(*[{"latency": latency}] * 4) as made:
        firsts = made.firsts(400)
    assert sorted(firsts) == [0, 1, 2, 3]
    assert min(firsts.values()) > 70


async def test_instances_of_about_the_same_speed_share() -> None:
    """A little slower means a little less often, not never; more than twice as slow means never."""
    async with fleet({"latency": 1.0}, {"latency": 1.4}, {"latency": 2.5}) as made:
        firsts = made.firsts(400)
    assert firsts[0] > firsts[1] > 20
    assert firsts[2] == 0


async def test_a_seed_repeats_the_lots() -> None:
    """The source of randomness is the core's."""
    orders = []
    for _ in range(2):
        async with fleet(*[{}] * 6, seed=7) as made:
            orders.append([made.order() for _ in range(10)])
    assert orders[0] == orders[1]


COUNTS = st.fixed_dictionaries(
    {
        "place": st.integers(0, 2),
        "weight": st.floats(0.1, 10),
        "in_flight": st.integers(0, 5),
        "latency": st.none() | st.floats(0, 1e4),
        "failures": st.integers(0, 1),
        "health": st.sampled_from(["unknown", "loading", "healthy", "unhealthy"]),
    }
)


@settings(max_examples=50, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=8), st.integers(0, 2**32))
async def test_nobody_is_lost_and_no_place_changes(instances: list[dict[str, Any]], seed: int) -> None:
    """The answer holds the same targets, with the same places in the same sequence, well and idle ones first."""
    async with fleet(*instances, seed=seed) as made:
        chosen = made.asked() or made.candidates
        ranks = [_rank(made.state(target.instance), target) for target in chosen]

    assert Counter(chosen) == Counter(made.candidates)
    assert [target.place for target in chosen] == [target.place for target in made.candidates]
    for one, other, first, second in zip(chosen, chosen[1:], ranks, ranks[1:], strict=False):
        assert one.place != other.place or first <= second


def _rank(state: InstanceState, target: Target) -> tuple[bool, float]:
    return state.health in ("loading", "unhealthy"), (state.in_flight + 1) / target.instance.weight

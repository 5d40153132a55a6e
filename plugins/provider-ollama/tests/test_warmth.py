"""A model counts as loaded for as long as Ollama keeps it after the last answer that was seen."""

from __future__ import annotations

from typing import Any

import pytest

from localagent import Instance, Target
from localagent_provider_ollama import warmth as module
from localagent_provider_ollama.warmth import Warmth

HERE = Instance("here", "ollama", "ollama", "http://here")
THERE = Instance("there", "ollama", "ollama", "http://there")


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 1,000 seconds."""
    return Clock()


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({}, 300.0),
        ({"keep_alive": "10s"}, 10.0),
        ({"keep_alive": 20}, 20.0),
        ({"keep_alive": "whatever"}, 300.0),
    ],
)
def test_a_model_is_known_until_its_time_is_over(clock: Clock, body: dict[str, Any], kept: float) -> None:
    """Five minutes are Ollama's own default."""
    warmth = Warmth(clock)
    target = Target(HERE, "m")

    assert not warmth.knows(target, body)
    warmth.answered(target, body)
    clock.now += kept - 1
    assert warmth.knows(target, body)
    clock.now += 1
    assert not warmth.knows(target, body)


def test_a_model_that_is_kept_for_ever_stays_known(clock: Clock) -> None:
    """Negative durations mean for ever."""
    warmth = Warmth(clock)
    warmth.answered(Target(HERE, "m"), {"keep_alive": "-1s"})
    clock.now += 1e9

    assert warmth.knows(Target(HERE, "m"), {})


def test_a_model_that_is_not_kept_is_never_known(clock: Clock) -> None:
    """``keep_alive = 0`` puts it out of memory at once."""
    warmth = Warmth(clock)
    warmth.answered(Target(HERE, "m"), {"keep_alive": 0})

    assert not warmth.knows(Target(HERE, "m"), {})


def test_instances_and_models_are_known_apart(clock: Clock) -> None:
    """Another instance, or another model, has to load."""
    warmth = Warmth(clock)
    warmth.answered(Target(HERE, "m"), {})

    assert warmth.knows(Target(HERE, "m", place=1), {})
    assert not warmth.knows(Target(THERE, "m"), {})
    assert not warmth.knows(Target(HERE, "n"), {})


def test_another_window_makes_the_model_load_again(clock: Clock) -> None:
    """So does any other option that Ollama reads when it loads; one of sampling does not."""
    warmth = Warmth(clock)
    target = Target(HERE, "m")
    warmth.answered(target, {"options": {"num_ctx": 4096, "temperature": 1}})

    assert warmth.knows(target, {"options": {"num_ctx": 4096, "temperature": 0}})
    assert not warmth.knows(target, {"options": {"num_ctx": 8192}})
    assert not warmth.knows(target, {})


def test_the_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of models come from outside; when there are too many all are forgotten, which costs a guess."""
    monkeypatch.setattr(module, "KNOWN_AT_MOST", 3)
    warmth = Warmth(clock)
    for number in range(4):
        warmth.answered(Target(HERE, str(number)), {})

    assert not warmth.knows(Target(HERE, "2"), {})
    assert warmth.knows(Target(HERE, "3"), {})

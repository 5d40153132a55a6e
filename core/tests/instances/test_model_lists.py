"""Model lists: questions to an instance are shared, no matter who leaves; what rows tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from localagent import Client, Instance, LocalAgentError, ModelInfo
from localagent.errors import Advice, UpstreamServerError, UpstreamTimeout
from localagent_testing import fake_provider_plugin

STALE = UpstreamServerError("closed", advice=Advice(same=True, next=True, stale=True))


class Breaks:
    """Stands in for a provider's ``list_models``: kept connections break, as often as is said; notes who asks freshly.

    Args:
        times: How often they break.
    """

    def __init__(self, times: int, error: LocalAgentError = STALE) -> None:
        self.fresh: list[bool] = []
        self._times = times
        self._error = error

    async def __call__(self, instance: Instance, transport: Any, phases: Any) -> Sequence[ModelInfo]:
        self.fresh.append(phases.fresh)
        if len(self.fresh) <= self._times:
            raise self._error
        return [ModelInfo("m")]


class Slow:
    """Stands in for a provider's ``list_models``: takes a second, and counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = self.cancelled = 0
        self._error = error

    async def __call__(self, instance: Instance, transport: Any, phases: Any) -> Sequence[ModelInfo]:
        self.asked += 1
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self._error is not None:
            raise self._error
        return [ModelInfo("m")]


async def _open(client: Client, slow: Slow | Breaks) -> tuple[Any, Instance]:
    runtime = await client.runtime()
    (instance,) = runtime.instances
    source = runtime.fleet.registry.provider_of(instance)
    await source.open()
    source.provider.list_models = slow
    return runtime.models, instance


@pytest.mark.virtual
async def test_questions_at_the_same_time_are_one() -> None:
    """A hundred callers, half of whom leave, cost one request."""
    slow = Slow()
    async with Client({}, plugins=[fake_provider_plugin("ok")], environment={}) as client:
        models, instance = await _open(client, slow)
        tasks = [asyncio.create_task(models.of(instance)) for _ in range(100)]
        await asyncio.sleep(0.5)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert answers[1::2] == [[ModelInfo("m")]] * 50
        assert (slow.asked, slow.cancelled) == (1, 0)
        await models.of(instance)
        assert slow.asked == 2


@pytest.mark.virtual
async def test_a_question_ends_with_its_last_caller() -> None:
    """Nobody waits any more, so nothing is asked any more."""
    slow = Slow()
    async with Client({}, plugins=[fake_provider_plugin("ok")], environment={}) as client:
        models, instance = await _open(client, slow)
        with pytest.raises(UpstreamTimeout):
            await models.of(instance, 0.5)
        await asyncio.sleep(0.1)
        assert (slow.asked, slow.cancelled) == (1, 1)


@pytest.mark.virtual
async def test_a_failure_reaches_all_as_errors_of_their_own() -> None:
    """What one caller writes into its error, the others do not see."""
    slow = Slow(UpstreamServerError("It failed."))
    async with Client({}, plugins=[fake_provider_plugin("ok")], environment={}) as client:
        models, instance = await _open(client, slow)
        errors = await asyncio.gather(*(models.of(instance) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in errors] == [str(errors[0])] * 3
        assert len({id(error) for error in errors}) == 3
        assert all(isinstance(error, UpstreamServerError) for error in errors)


@pytest.mark.virtual
async def test_closing_ends_questions() -> None:
    """Callers that wait get an error; closing does not wait for a server."""
    slow = Slow()
    client = Client({}, plugins=[fake_provider_plugin("ok")], environment={})
    async with client:
        models, instance = await _open(client, slow)
        waiting = asyncio.create_task(models.of(instance))
        await asyncio.sleep(0.1)
    with pytest.raises(LocalAgentError):
        await waiting
    assert slow.cancelled == 1


async def test_a_kept_connection_that_breaks_is_asked_again_over_a_new_one() -> None:
    """Once: asking for a list changes nothing. What breaks otherwise is not asked again."""
    for times, error, fresh in (
        (1, STALE, [False, True]),
        (2, STALE, [False, True]),
        (1, UpstreamServerError("broke"), [False]),
    ):
        breaks = Breaks(times, error)
        async with Client({}, plugins=[fake_provider_plugin("ok")], environment={}) as client:
            models, instance = await _open(client, breaks)
            if len(fresh) > times:
                assert await models.of(instance) == [ModelInfo("m")]
            else:
                with pytest.raises(UpstreamServerError):
                    await models.of(instance)
        assert breaks.fresh == fresh


async def test_a_check_does_not_rely_on_a_kept_connection() -> None:
    """One that breaks because it was idle would say nothing about the server's health."""
    fresh: list[bool] = []

    async def check(instance: Any, transport: Any, phases: Any) -> None:
        fresh.append(phases.fresh)

    async with Client({}, plugins=[fake_provider_plugin("ok")], environment={}) as client:
        runtime = await client.runtime()
        (instance,) = runtime.instances
        runtime.fleet.registry.provider_of(instance).provider.check = check  # type: ignore[method-assign]
        assert (await runtime.fleet.health.check(instance)).health == "healthy"
    assert fresh == [True]

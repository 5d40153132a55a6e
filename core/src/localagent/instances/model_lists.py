"""The model lists of instances: from a catalogue if there is one, otherwise from the instances themselves."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING

from localagent.errors import Draining, LocalAgentError
from localagent.pipeline.dispatch import first, notify
from localagent.pipeline.guard import defect, own_error
from localagent.records.instances import Instance, removed
from localagent.records.responses import ModelInfo
from localagent.timing.phases import phase_error

if TYPE_CHECKING:
    from localagent.instances.asking import Asking
    from localagent.instances.registry import Registry
    from localagent.pipeline.pipeline import Pipeline
    from localagent.plugin_api.providers import Provider
    from localagent.records.transport import Transport
    from localagent.settings.model import Settings
    from localagent.timing.phases import PhaseTimer
    from localagent.timing.services import LoopServices

SECONDS = 30.0

Ask = Callable[["Instance"], Awaitable[Sequence[ModelInfo]]]


class ModelLists:
    """The model lists of one client.

    Args:
        services: The services of the event loop.
        settings: The settings, for the models that they name.
        pipeline: The plugins' steps: catalogues, and observers of model lists.
        registry: The configured providers and their instances.
        asking: Sends the queries.
    """

    def __init__(
        self, services: LoopServices, settings: Settings, pipeline: Pipeline, registry: Registry, asking: Asking
    ) -> None:
        self._services = services
        self._settings = settings
        self._steps = pipeline.steps
        self._registry = registry
        self._instances = registry.instances
        self._asking = asking
        self._questions: dict[Instance, _Question] = {}

    async def all(
        self, timeout: float = SECONDS, providers: Collection[str] | None = None
    ) -> tuple[list[ModelInfo], dict[str, LocalAgentError]]:
        """Return the models of all instances, and by instance id the errors of those that did not answer.

        Args:
            timeout: Seconds for each instance; all are queried at the same time.
            providers: The providers whose instances are queried; None means all.
        """
        instances = [one for one in self._instances if providers is None or one.provider in providers]
        answers = await asyncio.gather(*(self.of(instance, timeout) for instance in instances), return_exceptions=True)
        models: list[ModelInfo] = []
        errors: dict[str, LocalAgentError] = {}
        for instance, answer in zip(instances, answers, strict=True):
            if isinstance(answer, LocalAgentError):
                if self._instances.find(instance) is not None:
                    errors[instance.id] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                models += answer
        return models, errors

    def configured(self, unanswered: Collection[str]) -> list[ModelInfo]:
        """Return the models that the settings name for providers that returned no list.

        Args:
            unanswered: The ids of the instances that were queried and returned none.
        """
        registry, settings = self._registry, self._settings
        named = [target for alias in settings.models.values() for target in alias.targets]
        if registry.default_model is not None:
            named.append(registry.default_model)
        instances = list(self._instances)
        silent = {instance.provider for instance in instances if instance.id in unanswered}
        silent -= {instance.provider for instance in instances if instance.id not in unanswered}
        parts = [name.partition("/") for name in dict.fromkeys(named)]
        return [ModelInfo(model, provider) for provider, _, model in parts if provider in silent and model]

    async def of(self, instance: Instance, timeout: float = SECONDS) -> Sequence[ModelInfo]:
        """Return the models of an instance, from a catalogue or from the instance itself."""
        steps = self._steps["list_models"]
        if steps:
            with self._services.timer(self._services.clock() + timeout) as timer:
                answer, _ = await first(steps, timer, instance)
            if answer is not None:
                return answer  # type: ignore[no-any-return]
        return await self.refresh(instance, timeout)

    async def refresh(self, instance: Instance, timeout: float = SECONDS) -> Sequence[ModelInfo]:
        """Query the instance itself, and pass the answer to every ``models_listed`` step.

        Concurrent callers share one query. A query without waiting callers is cancelled.

        Args:
            instance: The instance.
            timeout: Seconds that the caller waits.

        Raises:
            LocalAgentError: The instance did not answer.
        """
        question = self._questions.get(instance)
        if question is None:
            question = self._questions[instance] = _Question(self._services, instance, self._ask)
            question.task.add_done_callback(functools.partial(self._forget, instance, question))
        question.waiters += 1
        question.in_background &= asyncio.current_task() in self._services.background
        try:
            await asyncio.wait([question.task], timeout=timeout)
        finally:
            question.waiters -= 1
            if not question.waiters:
                self._forget(instance, question)  # now: cancelling takes time; a new caller needs a new query
                question.task.cancel()
        if not question.task.done():
            raise phase_error("total", instance.id)
        return question.answer()

    async def _ask(self, instance: Instance) -> Sequence[ModelInfo]:
        """Query an instance, store its models, and call the ``models_listed`` steps."""
        models = await self._asking.ask(instance, SECONDS, _list)
        state = self._instances.find(instance)
        if state is None:
            raise removed(instance)
        state.models = {model.id: model for model in models}
        notify(self._steps["models_listed"], instance, models)
        return models

    def _forget(self, instance: Instance, question: _Question, task: object = None) -> None:
        """Allow no more callers to join a query. Another query to the same instance is not affected."""
        if self._questions.get(instance) is question:
            del self._questions[instance]

    def stop(self) -> None:
        """Cancel the queries for which callers wait, because the client closes; those of background work may finish."""
        for question in list(self._questions.values()):
            if not question.in_background:
                question.task.cancel()


class _Question:
    """A query to an instance, and its result.

    Attributes:
        task: The task that runs the query.
        waiters: The number of waiting callers.
        in_background: Whether all callers so far are background work.
    """

    def __init__(self, services: LoopServices, instance: Instance, ask: Ask) -> None:
        self.waiters = 0
        self.in_background = True
        self._answer: Sequence[ModelInfo] | LocalAgentError = Draining("The client was closed.")
        self.task = services.background.begin(self._run(ask, instance), "list models")

    def answer(self) -> Sequence[ModelInfo]:
        """Return the models.

        Raises:
            LocalAgentError: The query failed; each caller gets its own copy of the error.
        """
        if isinstance(self._answer, LocalAgentError):
            raise own_error(self._answer)
        return self._answer

    async def _run(self, ask: Ask, instance: Instance) -> None:
        try:
            self._answer = await ask(instance)
        except LocalAgentError as error:
            self._answer = error
        except Exception as error:  # the provider's code, or its list, may be wrong in any way
            self._answer = defect(error, f"Provider {instance.provider}")


async def _list(
    provider: Provider, instance: Instance, transport: Transport, phases: PhaseTimer
) -> Sequence[ModelInfo]:
    """Query an instance; repeat once if a kept connection broke, which is safe because a query changes nothing."""
    try:
        return await provider.list_models(instance, transport, phases)
    except LocalAgentError as error:
        if not error.advice.stale:
            raise
    phases.fresh = True
    return await provider.list_models(instance, transport, phases)

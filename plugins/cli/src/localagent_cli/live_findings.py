"""The findings of ``doctor`` in a running core: providers, their instances, models, isolated failures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent import LocalAgentError
from localagent.records import NOBODY
from localagent_cli.findings import Finding, broken, install_provider
from localagent_cli.live_processes import process_status
from localagent_cli.server_findings import failures

if TYPE_CHECKING:
    from localagent import Instance
    from localagent.runtime import Runtime
    from localagent_cli.line import CommandLine


async def live_findings(line: CommandLine, timeout: float) -> list[Finding]:
    """Start the core, check the health of every instance, and report the results.

    Args:
        line: The command line.
        timeout: Seconds to wait for an instance.
    """
    try:
        async with line.client() as client:
            runtime = await client.runtime()
            asked = (_instance(runtime, instance, timeout) for instance in runtime.instances)
            instances = await asyncio.gather(*asked)
            return [*_providers(runtime), *instances, *_models(runtime), *failures(process_status([runtime]))]
    except LocalAgentError as error:
        return [broken("start", error)]


def _providers(runtime: Runtime) -> Iterator[Finding]:
    for name, source in runtime.fleet.registry.providers.items():
        named = name in runtime.settings.providers
        yield Finding("ok" if named else "note", f"provider {name}", f"Of type {source.type.name}, {source.why}.")
    for name, missing in runtime.fleet.registry.missing.items():
        yield Finding("warn", f"provider {name}", missing.error.message, missing.error.hint or "")
    if not runtime.fleet.registry.providers:
        hint = next((missing.error.hint for missing in runtime.fleet.registry.missing.values()), install_provider())
        yield Finding("broken", "providers", "There is no provider, so no model is available.", hint or "")


async def _instance(runtime: Runtime, instance: Instance, timeout: float) -> Finding:
    """Ask an instance for its health and its models, which also runs the hooks for both."""
    subject = f"instance {instance.id}"
    state = await runtime.fleet.health.check(instance, timeout)
    if state.health != "healthy":
        # The user already runs the doctor.
        reason = state.error.removesuffix("See: localagent doctor").rstrip()
        return Finding("broken", subject, reason or "It is not healthy.")
    try:
        models = await runtime.models.of(instance, timeout)
    except LocalAgentError as error:
        text = f"It is healthy but does not list its models: {error.message}"
        return Finding("warn", subject, text, error.hint or "")
    return Finding("ok", subject, f"It is healthy. Models: {len(models)}.")


def _models(runtime: Runtime) -> Iterator[Finding]:
    registry = runtime.fleet.registry
    for alias in runtime.settings.models:
        try:
            runtime.fleet.names.targets(alias, NOBODY)
        except LocalAgentError as error:
            yield broken(f"alias {alias}", error)
    if not registry.providers:
        return
    try:
        runtime.fleet.names.targets("", NOBODY)
    except LocalAgentError as error:
        named = runtime.settings.default_model is not None
        hint = error.hint if named else "Set default_model in the settings, or name a model with --model."
        yield Finding("broken" if named else "note", "default model", error.message, hint or "")
    else:
        yield Finding("ok", "default model", registry.default_model or "")

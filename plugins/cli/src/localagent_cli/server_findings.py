"""The findings of ``doctor --live`` in serving processes, and those that it shares with plain ``doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent import LocalAgentError
from localagent.plugin_api import find_plugins
from localagent_cli.findings import Finding, Level, broken
from localagent_cli.live_processes import InstanceStatus, LiveProcesses, ProcessStatus

if TYPE_CHECKING:
    from localagent import Settings
    from localagent.pipeline import Pipeline


async def server_findings(settings: Settings, pipeline: Pipeline) -> list[Finding]:
    """Ask every plugin that serves for the status of its processes, and check it.

    Args:
        settings: The settings.
        pipeline: The plugins; they are not entered.
    """
    serving = {name: plugin for name, plugin in pipeline.plugins.items() if isinstance(plugin, LiveProcesses)}
    if not serving:
        return [Finding("broken", "serving", "No active plugin is a server.", "See: localagent plugins")]
    findings: list[Finding] = []
    for name, plugin in serving.items():
        try:
            found = await plugin.process_statuses(settings)
        except LocalAgentError as error:
            findings.append(broken(f"plugin {name}", error))
            continue
        findings += [finding for one in found for finding in of_process(one)]
    return findings


def of_process(one: ProcessStatus) -> Iterator[Finding]:
    """Check one process."""
    if not one.answers:
        yield Finding("broken", one.where, "It did not report its status in time.", one.restart)
        return
    plugins = ", ".join(f"{name} {version}".rstrip() for name, version in one.versions.items())
    yield Finding("ok", one.where, f"It runs {plugins}.")
    yield from _outdated(one)
    yield from (_instance(one.where, seen) for seen in one.instances)
    yield from failures(one)


def _outdated(one: ProcessStatus) -> Iterator[Finding]:
    installed = {name: plugin.version for name, plugin in find_plugins().items()}
    for name, version in one.versions.items():
        now = installed.get(name)
        if now is not None and version and now != version:
            yield Finding("warn", f"{one.where}, plugin {name}", f"It runs {version}; {now} is installed.", one.restart)


def _instance(where: str, seen: InstanceStatus) -> Finding:
    level: Level = "broken" if seen.health == "unhealthy" else "note" if seen.health == "loading" else "ok"
    reason = seen.error.removesuffix("See: localagent doctor").rstrip()
    return Finding(level, f"{where}, instance {seen.id}", reason or f"Its health is {seen.health}.")


def failures(one: ProcessStatus) -> Iterator[Finding]:
    """Report failures that affected no answer, of another process or of this one."""
    prefix = f"{one.where}, " if one.where else ""
    for failure in one.failures:
        yield Finding(
            "broken", f"{prefix}plugin {failure.plugin}",
            f"Failures in {failure.hook}: {failure.count}. No answer was affected.",
            f"Read the log with --debug, upgrade {failure.plugin}, or deactivate it.",
        )  # fmt: skip
    if one.dropped:
        yield Finding("warn", f"{prefix}background work",
                      f"{one.dropped} background tasks were dropped because too many were running; now "
                      f"{one.background} are running.", "Look for a plugin whose server is slow.")  # fmt: skip

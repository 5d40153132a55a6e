"""The status of running cores: of this process, and of other processes that serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

import localagent

if TYPE_CHECKING:
    from localagent import Settings, Stats
    from localagent.runtime import Runtime
    from localagent_cli.findings import Finding


class PluginFailure(msgspec.Struct, frozen=True):
    """Failures of a plugin that affected no answer.

    Attributes:
        plugin: The plugin's name.
        hook: The hook in which it failed.
        count: The number of failures.
    """

    plugin: str
    hook: str
    count: int


class InstanceStatus(msgspec.Struct, frozen=True):
    """The status of an instance.

    Attributes:
        id: The instance's id.
        health: The instance's health, from checks and traffic.
        error: Its last failure in one sentence; empty while it is healthy.
    """

    id: str
    health: str
    error: str = ""


class ProcessStatus(msgspec.Struct, frozen=True):
    """The status of one process.

    Attributes:
        where: A readable name of the process, such as ``worker 1 of http://127.0.0.1:8400``.
        versions: The versions of the plugins that it runs, by name; ``core`` is the core's version.
        failures: Failures that affected no answer.
        instances: The status of its instances.
        background: The number of background tasks that are running.
        dropped: The number of background tasks that were dropped because too many were running.
        answers: Whether the process answered; False if it did not answer in time.
        restart: How to make it run the installed versions; empty if there is no way.
    """

    where: str = ""
    versions: dict[str, str] = {}
    failures: tuple[PluginFailure, ...] = ()
    instances: tuple[InstanceStatus, ...] = ()
    background: int = 0
    dropped: int = 0
    answers: bool = True
    restart: str = ""


@runtime_checkable
class LiveProcesses(Protocol):
    """A plugin that serves in its own processes and can ask them for their status, for ``localagent doctor --live``."""

    async def process_statuses(self, settings: Settings) -> Sequence[ProcessStatus]:
        """Return the status of every process that is serving now.

        Args:
            settings: All settings; the plugin has not been entered.

        Raises:
            LocalAgentError: No process is serving, or they cannot be asked; the hint says how to start one.
        """


@runtime_checkable
class Summarises(Protocol):
    """A plugin that can sum up what processes report, for ``localagent stats``."""

    def stats_table(self, stats: Stats, by: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return a table: its headings, and its rows.

        Args:
            stats: What all processes of a server report; the plugin has not been entered.
            by: What a row is about: operation, provider, model, instance or tenant.
        """


@runtime_checkable
class Diagnosed(Protocol):
    """A plugin that can check its own files and state, for ``localagent doctor``."""

    def diagnose(self, settings: Settings) -> Sequence[Finding]:
        """Return the findings; nothing is changed.

        Args:
            settings: All settings; the plugin has not been entered.

        Raises:
            LocalAgentError: The check could not be made.
        """


def process_status(runtimes: Sequence[Runtime]) -> ProcessStatus:
    """Return the combined status of the running cores of this process.

    Args:
        runtimes: The current one first, then those with unfinished calls. Instances are those of the first one.
    """
    newest = runtimes[0]
    versions = {name: report.version for name, report in newest.pipeline.reports.items()}
    failures: Counter[tuple[str, str]] = Counter()
    for runtime in runtimes:
        failures.update(runtime.pipeline.failures.counts)
    states = [newest.instances.state(instance) for instance in newest.instances]
    return ProcessStatus(
        versions={"core": localagent.__version__, **versions},
        failures=tuple(PluginFailure(plugin, hook, count) for (plugin, hook), count in failures.items()),
        instances=tuple(InstanceStatus(state.instance.id, state.health, state.error) for state in states),
        background=sum(len(runtime.background) for runtime in runtimes),
        dropped=sum(runtime.background.dropped for runtime in runtimes),
    )

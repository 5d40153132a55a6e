"""How running cores are: what ``doctor`` shows of a program's own, and of those that serve in other processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

import localagent

if TYPE_CHECKING:
    from localagent import Settings
    from localagent.runtime import Runtime
    from localagent_cli.findings import Finding


class PluginFailure(msgspec.Struct, frozen=True):
    """Failures of a plugin that did not reach the user.

    Attributes:
        plugin: The plugin.
        hook: In which hook it failed.
        count: How often.
    """

    plugin: str
    hook: str
    count: int


class InstanceStatus(msgspec.Struct, frozen=True):
    """How an instance is.

    Attributes:
        id: The instance's.
        health: What checks and traffic say of it.
        error: Its last failure in one sentence; empty while all is well.
    """

    id: str
    health: str
    error: str = ""


class ProcessStatus(msgspec.Struct, frozen=True):
    """How one process is.

    Attributes:
        where: What people call the process, such as ``worker 1 of http://127.0.0.1:8400``.
        versions: The versions of the plugins that it runs, by name; ``core`` is the core's.
        failures: Failures that did not reach the user.
        instances: Its instances.
        background: Pieces of background work that are under way.
        dropped: Pieces that were dropped because too much was under way.
        answers: Whether it said so itself; False for one that did not answer in time.
        restart: What has it run what is installed now; empty where nothing has.
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
    """A plugin that serves in processes of its own, and can ask them: ``localagent doctor --live`` does."""

    async def process_statuses(self, settings: Settings) -> Sequence[ProcessStatus]:
        """Return how every process is that serves now.

        Args:
            settings: The settings of everything; the plugin has not been entered.

        Raises:
            LocalAgentError: None serves, or they cannot be asked; it says what starts one.
        """


@runtime_checkable
class Diagnosed(Protocol):
    """A plugin that knows what can be wrong with what is its own, such as its files: ``localagent doctor`` asks it."""

    def diagnose(self, settings: Settings) -> Sequence[Finding]:
        """Return what was found; nothing is changed.

        Args:
            settings: The settings of everything; the plugin has not been entered.

        Raises:
            LocalAgentError: It could not look.
        """


def process_status(runtimes: Sequence[Runtime]) -> ProcessStatus:
    """Return how running cores of this process are, taken together.

    Args:
        runtimes: The one in use first, behind it those whose calls have not ended. Instances are the first one's.
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

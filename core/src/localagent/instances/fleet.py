"""The fleet: the instances of one client, with their names, connections, model lists and health checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent.instances.asking import Asking
from localagent.instances.connections import Connections
from localagent.instances.health import Health
from localagent.instances.model_lists import ModelLists
from localagent.instances.model_names import ModelNames
from localagent.instances.registry import Registry
from localagent.instances.token_counts import TokenCounts
from localagent.records.instances import Instances

if TYPE_CHECKING:
    from localagent.pipeline.pipeline import Pipeline
    from localagent.settings.model import Settings
    from localagent.timing.services import LoopServices


class Fleet:
    """The instances of one client, and everything that belongs to them.

    Args:
        services: The services of the event loop.
        settings: The settings.
        pipeline: The plugins' steps.

    Attributes:
        instances: The instances and their states.
        registry: The configured providers.
        names: Maps model names to targets.
        connections: The transports of the instances.
        models: The model lists of the instances.
        health: The health checks.
        tokens: The tokenizers of the targets.
    """

    def __init__(self, services: LoopServices, settings: Settings, pipeline: Pipeline) -> None:
        self.instances = Instances()
        self.registry = Registry(self.instances)
        self.names = ModelNames(self.registry, settings)
        self.connections = Connections(services, self.instances, pipeline.steps["connect"])
        asking = Asking(services, self.registry, self.connections)
        self.models = ModelLists(services, settings, pipeline, self.registry, asking)
        self.health = Health(services, settings.health, self.instances, asking)
        self.tokens = TokenCounts(pipeline.steps["tokenize"])

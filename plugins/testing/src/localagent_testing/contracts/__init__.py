"""Contracts: the promises of every plugin of a role, one test per promise.

An author writes one small class and gets all of them::

    from localagent_testing import ProviderContract, OpenAIServer

    class TestMyProvider(ProviderContract):
        plugin = MyPlugin
        server = OpenAIServer()

A promise cannot be dropped silently: a class that overrides a contract's test must mark it ``xfail`` or ``skip``
with a reason, see ``Contract``. The tests are ``async def`` and need the kit's pytest plugin.
"""

from __future__ import annotations

import pytest

# Before the modules are imported, so that a failed assertion shows the compared values.
for _module in (
    "base",
    "bringing",
    "cache",
    "connect",
    "metrics",
    "provider",
    "provider_streams",
    "transport",
    "transport_bodies",
    "transport_framing",
    "transport_kept",
    "transport_pool",
    "transport_safety",
):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from localagent_testing.contracts.base import Contract  # noqa: E402
from localagent_testing.contracts.cache import CacheContract  # noqa: E402
from localagent_testing.contracts.connect import ConnectContract  # noqa: E402
from localagent_testing.contracts.metrics import MetricsContract  # noqa: E402
from localagent_testing.contracts.provider import ProviderContract  # noqa: E402
from localagent_testing.contracts.servers import OllamaServer, OpenAIServer, ProtocolServer  # noqa: E402
from localagent_testing.contracts.transport import TransportContract  # noqa: E402

__all__ = [
    "CacheContract",
    "ConnectContract",
    "Contract",
    "MetricsContract",
    "OllamaServer",
    "OpenAIServer",
    "ProtocolServer",
    "ProviderContract",
    "TransportContract",
]

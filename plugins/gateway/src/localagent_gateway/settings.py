"""The settings of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from localagent import Bytes, Count, PositiveSeconds, Seconds
from localagent.settings import state_folder
from localagent_gateway.descriptors import connection_limit

if TYPE_CHECKING:
    from localagent import Settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@attrs.frozen
class GatewaySettings:
    """``[plugins.gateway]``: where and how requests are taken in.

    Attributes:
        host: The address to listen on, or a name: all its addresses. Any other than a loopback address needs keys.
        port: The port; 0 lets the system choose.
        workers: Processes that answer.
        loop: The event loop; ``uvloop`` needs the extra of that name.
        require_keys: ``auto``: as soon as a key was created, and always beyond loopback; ``always``; ``never``: no
            key is looked at, on a loopback address only.
        hosts: Further names by which clients may call the gateway; only asked on a loopback address without keys.
        origins: Web pages that may call the gateway, as ``https://example.org``.
        max_body: The largest body of a request.
        max_depth: The most objects and lists that may be nested in a body.
        max_values: The most values in a body: objects, lists, texts, names of fields and fractions; ten whole numbers
            count as one. What is let in must not hold up other requests while it is decoded.
        max_messages: The most messages of one conversation.
        max_bodies: What the bodies of all requests take together in one worker, from their arrival until the answer has
            ended; beyond it requests are refused with 503. A quarter is left to bodies of at most 64 KiB.
        max_connections: The most connections of clients to one worker, idle ones included; without it, what the
            system's limit of open files allows. When there are more, the one that was idle for longest is closed.
        header_timeout: For the head of a request to arrive, and the longest that a kept connection is idle.
        body_timeout: For the body of a request to arrive.
        send_timeout: For a client to take 16 KiB of what is left to be read, or all of it.
        start_timeout: For a worker to begin to serve, and for a reload to open its new pipeline.
        drain_delay: After the end was asked for, new requests are taken in for this long while ``/readyz`` says no.
        drain_timeout: After that, streams and requests under way are let end for this long.
        log: Which requests are logged.
    """

    host: str = "127.0.0.1"
    port: int = attrs.field(default=8400, validator=[attrs.validators.ge(0), attrs.validators.le(65535)])
    workers: Count = 1
    loop: Literal["asyncio", "uvloop"] = "asyncio"
    require_keys: Literal["auto", "always", "never"] = "auto"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body: Bytes = 32 * 1024 * 1024
    max_bodies: Bytes = 64 * 1024 * 1024
    max_depth: Count = 100
    max_values: Count = 60_000
    max_messages: Count = 10_000
    max_connections: Count | None = None
    header_timeout: PositiveSeconds = 20.0
    body_timeout: PositiveSeconds = 30.0
    send_timeout: PositiveSeconds = 60.0
    start_timeout: PositiveSeconds = 30.0
    drain_delay: Seconds = 0.0
    drain_timeout: Seconds = 30.0
    log: Literal["all", "errors", "none"] = "all"

    @property
    def bodies(self) -> int:
        """``max_bodies``, or more where the largest body would never be let in."""
        return max(self.max_bodies, 2 * self.max_body)

    @property
    def connections(self) -> int:
        """``max_connections``, or what the system allows."""
        return self.max_connections or connection_limit()


def gateway_folder(settings: Settings, environment: Mapping[str, str]) -> Path:
    """Return the gateway's folder in the state folder; it is not made, since most gateways have no keys.

    Args:
        settings: The settings of the core.
        environment: The environment variables.

    Raises:
        SettingsError: Nobody can say where the user's home is.
    """
    return (settings.state_folder or state_folder(environment)) / "gateway"

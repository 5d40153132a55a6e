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
    """``[plugins.gateway]``: where and how requests are accepted.

    Attributes:
        host: The address to listen on, or a name, which means all its addresses. Any address other than loopback needs
            keys.
        port: The port; 0 lets the system choose.
        workers: The number of worker processes.
        loop: The event loop; ``uvloop`` needs the extra of that name.
        require_keys: ``auto``: once a key has been created, and always on an address other than loopback; ``always``;
            ``never``: keys are not checked, on a loopback address only.
        hosts: Further host names under which clients may call the gateway; only checked on a loopback address without
            keys.
        origins: Web pages that may call the gateway, as ``https://example.org``.
        max_body: The largest body of a request, in bytes.
        max_depth: The deepest nesting of objects and lists in a body.
        max_values: The most values in a body: objects, lists, strings, field names and fractions; ten integers count as
            one. This bounds the time for which decoding one body delays other requests.
        max_messages: The most messages of one conversation.
        max_bodies: The most bytes that the bodies of all requests take together in one worker, from their arrival until
            the answer has ended; further requests are refused with 503. A quarter is reserved for bodies of at most
            64 KiB.
        max_connections: The most connections of clients to one worker, idle ones included; by default what the system's
            limit of open files allows. When there are more, the one that has been idle the longest is closed.
        header_timeout: Seconds for the head of a request to arrive; also the longest time a kept connection is idle.
        body_timeout: Seconds for the body of a request to arrive.
        send_timeout: Seconds for a client to read 16 KiB of the data that it has not read yet, or all of it.
        start_timeout: Seconds for a worker to start serving, and for a reload to open its new pipeline.
        drain_delay: Seconds after the start of a shutdown during which new requests are still accepted, while
            ``/readyz`` reports that the gateway is not ready.
        drain_timeout: Seconds after ``drain_delay`` that streams and requests in progress have to finish.
        log: Which requests are logged.
        log_format: How a request is logged: a JSON object per line, or ``name=value`` pairs (logfmt).
        log_file: The file to which requests are logged; by default standard error. A file that was moved away is
            created again.
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
    log_format: Literal["json", "logfmt"] = "json"
    log_file: Path | None = None

    @property
    def bodies(self) -> int:
        """``max_bodies``, or more if the largest body would otherwise never fit."""
        return max(self.max_bodies, 2 * self.max_body)

    @property
    def connections(self) -> int:
        """``max_connections``, or what the system allows."""
        return self.max_connections or connection_limit()


def gateway_folder(settings: Settings, environment: Mapping[str, str]) -> Path:
    """Return the gateway's folder in the state folder; it is not created, since most gateways have no keys.

    Args:
        settings: The settings of the core.
        environment: The environment variables.

    Raises:
        SettingsError: The user's home cannot be determined.
    """
    return (settings.state_folder or state_folder(environment)) / "gateway"

"""How long the parts of an exchange may take: the defaults, and what the settings of a provider may set."""

from __future__ import annotations

import attrs

from localagent.structuring.fields import PositiveSeconds

FIRST_TOKEN_OF_A_STREAM = 300.0
"""Seconds for ``first_token`` of a stream, where the settings name none; a whole answer has no such limit."""


@attrs.frozen
class Timeouts:
    """How long the parts of an exchange may take, in seconds; None means the default of the operation.

    Attributes:
        connect: To open a connection, name resolution and TLS included.
        pool: To wait for a free connection.
        send: To write the request's body.
        load: For a server to load a model into memory, before ``first_token`` applies.
        first_token: From the request being sent to the first content (to the headers, when not streamed).
        idle: Between two events of a stream that carry something; comments do not count.
        total: For the whole call, where the call names no timeout of its own.
    """

    connect: PositiveSeconds = 10.0
    pool: PositiveSeconds = 30.0
    send: PositiveSeconds = 60.0
    load: PositiveSeconds = 300.0
    first_token: PositiveSeconds | None = None
    idle: PositiveSeconds = 120.0
    total: PositiveSeconds | None = None

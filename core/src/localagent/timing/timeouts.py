"""The timeouts of the parts of an exchange: their defaults, and the settings of a provider."""

from __future__ import annotations

import attrs

from localagent.structuring.fields import PositiveSeconds

FIRST_TOKEN_OF_A_STREAM = 300.0
"""Default of ``first_token`` for a stream, in seconds; a whole answer has no such limit by default."""


@attrs.frozen
class Timeouts:
    """Timeouts of the parts of an exchange, in seconds; None means the default of the operation.

    Attributes:
        connect: Opening a connection, name resolution and TLS included.
        pool: Waiting for a free connection.
        send: Writing the request's body.
        load: Loading a model into the server's memory, before ``first_token`` applies.
        first_token: From the end of the request to the first content (to the headers, when not streamed).
        idle: Between two events of a stream with content; comments do not count.
        total: The whole call, unless the call sets its own timeout.
    """

    connect: PositiveSeconds = 10.0
    pool: PositiveSeconds = 30.0
    send: PositiveSeconds = 60.0
    load: PositiveSeconds = 300.0
    first_token: PositiveSeconds | None = None
    idle: PositiveSeconds = 120.0
    total: PositiveSeconds | None = None

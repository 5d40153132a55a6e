"""The steps of a script: what a ``FaultServer`` does on one connection, byte for byte.

A script is a tuple of steps. It ends with its last step, or earlier when the connection is gone. If the connection is
still open then, the next request uses it::

    (ReadRequest(), Send(answer(200, {"ok": True})))            # keep-alive
    (ReadRequest(), Send(head(200)), Send(b"half"), Reset())    # a cut answer
    (ReadHead(), Drip(answer(200), size=1, pause=0.01), Close())
"""

from __future__ import annotations

from typing import TypeAlias

import attrs


@attrs.frozen
class ReadRequest:
    """Read a whole request, head and body, and record it."""


@attrs.frozen
class ReadHead:
    """Read the head of a request and record it; its body stays unread."""


@attrs.frozen
class ReadBytes:
    """Read this many bytes of any kind (fewer at the end of the stream); nothing is recorded.

    Attributes:
        count: How many bytes.
    """

    count: int


@attrs.frozen
class Send:
    """Send bytes.

    Attributes:
        data: The bytes.
    """

    data: bytes


@attrs.frozen
class Drip:
    """Send bytes in small pieces.

    Attributes:
        data: The bytes.
        size: Bytes per piece.
        pause: Seconds between two pieces; 0 gives the event loop one turn.
    """

    data: bytes
    size: int = 1
    pause: float = 0.01


@attrs.frozen
class Pause:
    """Do nothing for a while.

    Attributes:
        seconds: How long.
    """

    seconds: float


@attrs.frozen
class Hold:
    """Continue when ``FaultServer.release()`` was called, or after a while.

    Attributes:
        seconds: Maximum wait.
    """

    seconds: float = 0.5


@attrs.frozen
class Stall:
    """Send nothing more until the client closes the connection or the server ends.

    Attributes:
        reading: Whether further bytes from the client are read (and dropped). If not, a closing client is not noticed.
    """

    reading: bool = True


@attrs.frozen
class Fin:
    """Close the sending half. The client sees the end of the stream; its bytes can still be read.

    Not available with TLS, which has no half-closed connections.
    """


@attrs.frozen
class Reset:
    """Break the connection: unsent bytes are dropped and the client gets a reset. The script ends."""


@attrs.frozen
class Close:
    """Send the remaining bytes and close the connection. The script ends.

    The system turns this into a reset if bytes of the client are unread. ``Fin`` and ``Stall`` avoid that.
    """


@attrs.frozen
class Repeat:
    """Repeat steps.

    Attributes:
        steps: The steps to repeat.
        times: How often; None means until the connection is gone.
    """

    steps: tuple[Step, ...]
    times: int | None = None


Read: TypeAlias = ReadRequest | ReadHead | ReadBytes
Step: TypeAlias = Read | Send | Drip | Pause | Hold | Stall | Fin | Reset | Close | Repeat
Script: TypeAlias = tuple[Step, ...]

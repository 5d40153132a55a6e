"""The access log: one line per request, with the figures of its call, and never a word of a prompt or key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream
from localagent_gateway.logs.addresses import redact_address
from localagent_gateway.logs.call_facts import CallFacts, begin

FLUSH_SECONDS = 0.2
BATCH = 500  # lines that are written at once
MOST_PLAIN = 1000  # paths that are known to contain no key, at most 300 characters each

NOTHING = 1000  # no status is as high

_encode = msgspec.json.Encoder().encode
_PLAIN = re.compile(r'[^\s"=]+')


def logfmt(fields: dict[str, Any]) -> bytes:
    """Return fields as ``name=value`` pairs; a value with spaces, quotes or equals signs is written as in JSON."""
    plain = {name: isinstance(value, str) and _PLAIN.fullmatch(value) for name, value in fields.items()}
    return b" ".join(
        name.encode() + b"=" + (value.encode() if plain[name] else _encode(value)) for name, value in fields.items()
    )


class Ending(NamedTuple):
    """How a request ended.

    Attributes:
        status: The status of the answer, or that of the error if a stream broke off.
        sent: The status that the client saw, if it differs; otherwise 0.
        error: The error's code, if the answer broke off.
    """

    status: int
    sent: int = 0
    error: str = ""


LEFT = Ending(499)
CLOSED = Ending(503, error="server_draining")


def ending_of(answer: HttpResponse | HttpStream) -> Ending:
    """Return the ending of a request whose answer was sent completely."""
    if isinstance(answer, HttpResponse):
        return Ending(answer.status)
    failure = getattr(answer.body, "failure", None)  # optional in other plugins' streams
    return Ending(200) if failure is None else Ending(failure.status, sent=200, error=failure.code)


class AccessLog:
    """Collects lines and writes them in batches.

    Args:
        which: ``all``, ``errors`` (status 400 and above) or ``none``.
        write: Writes the lines of a batch; called in the event loop, so it must not wait for their reader.
        wall_time: Returns the seconds since the epoch.
        line_format: ``json``, or ``logfmt``: ``name=value`` pairs.

    Attributes:
        wall_time: Returns the seconds since the epoch.
        answered: The number of requests by class of status, such as ``2xx``; ``left``: the client left.
    """

    def __init__(
        self, which: str, write: Callable[[bytes], Any], wall_time: Callable[[], float], line_format: str = "json"
    ) -> None:
        self._least = {"all": 0, "errors": 400, "none": NOTHING}[which]
        self._line = {"json": _encode, "logfmt": logfmt}[line_format]
        self._write = write
        self.wall_time = wall_time
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._plain: set[str] = set()
        self.answered: dict[str, int] = {}

    def begin(self) -> CallFacts | None:
        """Return the facts of the request that this task answers from now on; None if no request is logged."""
        return None if self._least == NOTHING else begin()

    def add(
        self, request: HttpRequest, ending: Ending, seconds: float, facts: CallFacts | None = None, size: int = 0
    ) -> None:
        """Log a request that has ended; status 499 means that the client left.

        Args:
            request: The request.
            ending: How it ended.
            seconds: How long it took.
            facts: The figures of its call.
            size: The bytes that were sent, head included.
        """
        status = ending.status
        kind = "left" if status == 499 else f"{status // 100}xx"
        self.answered[kind] = self.answered.get(kind, 0) + 1
        if status < self._least:
            return
        self._lines.append(
            self._line(
                {
                    "time": round(self.wall_time(), 3),
                    "request_id": request.id,
                    "method": self._shown(request.method)[:20],
                    "path": self._shown(request.path)[:200],
                    "status": status,
                    **({"sent": ending.sent} if ending.sent else {}),
                    **({"error": ending.error} if ending.error else {}),
                    "milliseconds": round(seconds * 1000, 2),
                    **(facts.fields() if facts is not None else {}),
                    **({"bytes": size} if size else {}),
                    "peer": request.peer,
                }
            )
        )
        if len(self._lines) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def _shown(self, address: str) -> str:
        """Return a path or a method without parts that look like a key; those without such parts are cached."""
        if address in self._plain:
            return address
        shown = redact_address(address)
        if shown == address and len(self._plain) < MOST_PLAIN:
            self._plain.add(address)
        return shown

    def flush(self) -> None:
        """Write the collected lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"\n".join(lines) + b"\n")

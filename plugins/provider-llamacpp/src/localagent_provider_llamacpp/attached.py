"""A model server that another process runs; ``shared_servers`` describes the other side and the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

from localagent import LocalAgentError, Secret, errors
from localagent.errors import Draining, UpstreamServerError
from localagent.supervision import report_failure
from localagent_provider_llamacpp.loading import Endpoint

_log = logging.getLogger(__name__)


class AttachedServer:
    """Learns the server's endpoint from the process that runs it; the counterpart of ``ModelServer``.

    It connects to that process on the first request.

    Args:
        address: Path of the socket.
        number: Index of the server.
        on_change: Called with the new endpoint when the server becomes ready, with None when it no longer is.
    """

    def __init__(self, address: str, number: int, on_change: Callable[[Endpoint | None], object]) -> None:
        self._address = address
        self._number = number
        self._on_change = on_change
        self._endpoint: Endpoint | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._coming: asyncio.Future[Endpoint] | None = None
        self._closed = False

    @property
    def state(self) -> Literal["new", "starting", "ready", "failed", "closed"]:
        """The last known state of the server."""
        if self._closed:
            return "closed"
        if self._endpoint is not None:
            return "ready"
        if self._hearing is None:
            return "new"
        return "failed" if self._hearing.done() else "starting"

    @property
    def endpoint(self) -> Endpoint | None:
        """The server's endpoint; None while it is not ready, or before the first request."""
        return self._endpoint

    async def ready(self) -> Endpoint:
        """Wait until the server is healthy, without a timeout; it is started if it is not running.

        Raises:
            LocalAgentError: It cannot be started, or the process that runs it has ended.
        """
        if self._closed:
            raise Draining("The model server is closed.")
        if self._hearing is None or self._hearing.done():
            self._coming = asyncio.get_running_loop().create_future()
            self._hearing = asyncio.create_task(self._hear(), name="hear of a model server")
            self._hearing.add_done_callback(report_failure(_log))
        assert self._coming is not None
        try:
            return await asyncio.shield(self._coming)
        except LocalAgentError as error:
            raise copy.copy(error) from None  # each caller raises its own copy, because raising adds a traceback

    async def aclose(self) -> None:
        """Disconnect; idempotent."""
        self._closed = True
        self._endpoint = None
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.wait([self._hearing])

    async def _hear(self) -> None:
        """Receive reports from the other side until either side disconnects."""
        failure: LocalAgentError = UpstreamServerError("The process that runs the model servers has ended.")
        try:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._address)
                try:
                    writer.write(json.dumps({"number": self._number}).encode() + b"\n")
                    while line := await reader.readline():
                        said = json.loads(line)
                        if "error" in said:
                            failure = _error(said["error"])
                            break
                        self._change(said["endpoint"])
                finally:
                    writer.close()
        except asyncio.CancelledError:
            failure = Draining("The model server is closed.")
            raise
        finally:
            self._lost(failure)

    def _change(self, reported: Mapping[str, Any] | None) -> None:
        assert self._coming is not None
        self._endpoint = None if reported is None else Endpoint(**{**reported, "key": Secret(reported["key"])})
        if self._endpoint is None:
            self._coming = asyncio.get_running_loop().create_future()
        elif not self._coming.done():
            self._coming.set_result(self._endpoint)
        self._on_change(self._endpoint)

    def _lost(self, failure: LocalAgentError) -> None:
        assert self._coming is not None
        if self._endpoint is not None:
            self._change(None)
        if not self._coming.done():
            self._coming.set_exception(failure)
            self._coming.exception()  # marks the exception as retrieved: it is not a defect if no caller waits


def _error(reported: Mapping[str, Any]) -> LocalAgentError:
    kind: type[LocalAgentError] = getattr(errors, reported["kind"], UpstreamServerError)
    return kind(reported["message"], hint=reported["hint"], code=reported["code"])

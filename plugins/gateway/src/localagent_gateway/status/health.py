"""The health of a worker: ``/healthz``, ``/readyz``, and the statistics for ``localagent stats`` and ``instances``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from localagent import InstanceState, Principal
from localagent.plugin_api import HttpRequest, HttpResponse, Route
from localagent.records import PoolStats
from localagent.reporting import resident_bytes
from localagent_cli import process_status
from localagent_gateway.apis.openapi import operation
from localagent_gateway.apis.service import Service

if TYPE_CHECKING:
    from localagent_gateway.processes.worker import Worker


def health_routes(service: Service) -> list[Route]:
    """Return the routes for load balancers; they need no key and reveal nothing about the upstreams."""

    async def healthz(incoming: HttpRequest, principal: Principal) -> HttpResponse:
        return HttpResponse(200, b'{"status":"ok"}')

    async def readyz(incoming: HttpRequest, principal: Principal) -> HttpResponse:
        if service.draining:
            return HttpResponse(503, b'{"status":"draining"}', {"retry-after": "1"})
        return HttpResponse(200, b'{"status":"ready"}')

    ready = operation("Report whether the gateway accepts requests.", "", "Status", also={"503": "Status"})
    alive = operation("Report that the process is alive.", "", "Status")
    return [
        Route("GET", "/healthz", healthz, open=True, describe=alive),
        Route("GET", "/readyz", readyz, open=True, describe=ready),
    ]


def worker_stats(worker: Worker, number: int) -> dict[str, Any]:
    """Return the statistics of a worker.

    Args:
        worker: The worker.
        number: Its number.

    Returns:
        ``worker`` (its number), ``process`` (its process id), ``draining``, ``calls`` and ``streams`` in progress, open
        ``connections``, ``answered`` (requests by class of status), ``memory`` (resident bytes), ``instances``, and
        ``state`` (its ``ProcessStatus``).
    """
    runtimes = [pipeline.runtime for pipeline in worker.pipelines]
    return {
        "worker": number,
        "process": os.getpid(),
        "draining": worker.service.draining,
        "calls": sum(len(runtime.engine.calls) for runtime in runtimes),
        "streams": sum(len(runtime.engine.streams) for runtime in runtimes),
        "connections": worker.server.connections,
        "answered": dict(worker.access_log.answered),
        "memory": resident_bytes(),
        "instances": [_instance(runtime.instances.state(one)) for runtime in runtimes for one in runtime.instances],
        "state": msgspec.to_builtins(process_status(runtimes)),
    }


def _instance(state: InstanceState) -> dict[str, Any]:
    return {
        "instance": state.instance.id,
        "health": state.health,
        "in_flight": state.in_flight,
        "attempts": state.attempts,
        "failures": state.failures,
        "error": state.error,
        "pool": _pool(state.pool),
    }


def _pool(stats: PoolStats | None) -> dict[str, float]:
    """Return the figures of an instance's connections; empty if they are not known."""
    return msgspec.structs.asdict(stats) if stats is not None else {}

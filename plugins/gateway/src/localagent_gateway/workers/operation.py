"""``/healthz`` and ``/readyz``: whether the process lives, and whether it wants requests."""

from __future__ import annotations

from localagent import FrontAnswer, FrontRequest, Principal, Route
from localagent_gateway.apis.service import Service


def operation_routes(service: Service) -> list[Route]:
    """Return what tells load balancers how the process is; open, and without a word about what is behind it."""

    async def healthz(front: FrontRequest, principal: Principal) -> FrontAnswer:
        return FrontAnswer(200, b'{"status":"ok"}')

    async def readyz(front: FrontRequest, principal: Principal) -> FrontAnswer:
        if service.draining:
            return FrontAnswer(503, b'{"status":"draining"}', {"retry-after": "1"})
        return FrontAnswer(200, b'{"status":"ready"}')

    return [Route("GET", "/healthz", healthz, open=True), Route("GET", "/readyz", readyz, open=True)]

"""From a request to its answer: route, principal, handler, and every failure in the shape of the route's API."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from localagent import (
    FrontAnswer,
    FrontRequest,
    FrontStream,
    InternalError,
    InvalidRequest,
    LocalAgentError,
    Principal,
    Route,
    Unauthenticated,
)
from localagent_gateway.errors import NotFound, WrongMethod
from localagent_gateway.openai.errors import openai_error
from localagent_gateway.routing import Routes

log = logging.getLogger("localagent.gateway")

NOBODY = Principal()
Authenticate = Callable[[FrontRequest], Awaitable[Principal | None]]


class Dispatcher:
    """Answers requests.

    Args:
        routes: What is served.
        authenticate: Says who asks; None when everybody may.
    """

    def __init__(self, routes: Routes, authenticate: Authenticate | None) -> None:
        self._routes = routes
        self.authenticate = authenticate

    async def handle(self, request: FrontRequest) -> FrontAnswer | FrontStream:
        """Return the answer of a request; never raises but for cancellation."""
        methods, request.params = self._routes.find(request.path)
        route = methods.get(request.method)
        try:
            if route is None:
                raise self._missing(request, methods)
            principal = await self._principal(request, route)
            return await route.handler(request, principal)
        except LocalAgentError as error:
            failure = error
        except Exception as error:  # handlers of other plugins, and defects of our own
            log.exception("A request failed: %s.", type(error).__name__, extra={"request_id": request.id})
            failure = InternalError("The gateway failed.")
        failure.request_id = failure.request_id or request.id
        return self._shape(route, request)(failure, request)

    async def _principal(self, request: FrontRequest, route: Route) -> Principal:
        if route.open or self.authenticate is None:
            return NOBODY
        principal = await self.authenticate(request)
        if principal is None:
            raise Unauthenticated("No valid key came with the request.",
                                  mend="Send it as: Authorization: Bearer la-...")  # fmt: skip
        return principal

    def _missing(self, request: FrontRequest, methods: object) -> InvalidRequest:
        if methods:
            return WrongMethod(f"{request.path} does not answer {request.method}.")
        return NotFound(f"There is nothing at {request.path[:200]}.", mend="See: GET /openapi.json")

    def _shape(self, route: Route | None, request: FrontRequest) -> Callable[..., FrontAnswer]:
        """Return the error shape of a route; a strange path speaks the dialect of its neighbours."""
        if route is None:
            prefix = request.path.split("/", 3)[:2]
            route = next((one for one in self._routes.all if one.path.split("/", 3)[:2] == prefix), None)
        return (route.errors if route is not None else None) or openai_error

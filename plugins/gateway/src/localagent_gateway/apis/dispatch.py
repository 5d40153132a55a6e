"""From a request to its answer: route, principal, handler, and every failure in the shape of the route's API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

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
from localagent.http_answers import redact_address
from localagent_gateway.apis.openai.errors import openai_error
from localagent_gateway.apis.routing import Routes
from localagent_gateway.errors import NotFound, WrongMethod
from localagent_gateway.logs.defects import defect

NOBODY = Principal()
ReadBody = Callable[[], Awaitable[bytes]]
Authenticate = Callable[[FrontRequest], Awaitable[Principal | None]]


class Dispatcher:
    """Answers requests.

    Args:
        routes: What is served.
        authenticate: Says who asks; None when everybody may.
    """

    def __init__(self, routes: Routes, authenticate: Authenticate | None) -> None:
        self.routes = routes
        self.authenticate = authenticate

    async def handle(self, request: FrontRequest, read: ReadBody) -> FrontAnswer | FrontStream:
        """Return the answer of a request; never raises but for cancellation.

        Args:
            request: The request without its body.
            read: Returns the body; called once it is known who asks, and that there is a route.
        """
        methods, request.params = self.routes.find(request.path)
        route = methods.get(request.method)
        try:
            if route is None:
                raise self._missing(request, methods)
            principal = await self._principal(request, route)
            request.body = await read()
            answer: Any = await route.handler(request, principal)  # perhaps a plugin's
            if isinstance(answer, FrontAnswer | FrontStream):
                return answer
            kind = type(answer).__name__
            failure: LocalAgentError = InternalError(f"{_shown(request.path)} was answered with {kind}.")
        except LocalAgentError as error:
            failure = error
        except Exception as error:  # handlers of other plugins, and defects of our own; its text may hold a prompt
            failure = defect(error, request.id)
        return self.refuse(failure, request)

    def refuse(self, error: LocalAgentError, request: FrontRequest) -> FrontAnswer:
        """Return the answer that tells an error, in the shape of the API to which the request's path belongs."""
        error.request_id = error.request_id or request.id
        route = self.routes.find(request.path)[0].get(request.method)
        return _challenged(self._shape(route, request)(error, request))

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
            return WrongMethod(f"{_shown(request.path)} does not answer {_shown(request.method)}.")
        return NotFound(f"There is nothing at {_shown(request.path)}.", mend="See: GET /openapi.json")

    def _shape(self, route: Route | None, request: FrontRequest) -> Callable[..., FrontAnswer]:
        """Return the error shape of a route; a strange path speaks the dialect of its neighbours."""
        if route is None:
            prefix = request.path.split("/", 3)[:2]
            route = next((one for one in self.routes.all if one.path.split("/", 3)[:2] == prefix), None)
        return (route.errors if route is not None else None) or openai_error


def _challenged(answer: FrontAnswer) -> FrontAnswer:
    """Return an answer that says how to show a key where its status is 401, as RFC 9110 (section 11.6.1) asks."""
    if answer.status != 401:
        return answer
    return msgspec.structs.replace(answer, headers={**answer.headers, "www-authenticate": "Bearer"})


def _shown(address: str) -> str:
    return redact_address(address)[:200]

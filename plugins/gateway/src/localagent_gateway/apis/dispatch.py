"""From a request to its answer: route, principal, handler, and every failure in the shape of the route's API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from localagent import LocalAgentError, Principal
from localagent.errors import InternalError, Unauthenticated
from localagent.plugin_api import FrontAnswer, FrontRequest, FrontStream, Route
from localagent_gateway.apis.error_shapes import openai_error, shape_of
from localagent_gateway.apis.local_pages import LocalPages
from localagent_gateway.apis.routing import Routes, allowed, route_of
from localagent_gateway.errors import NotFound, WrongMethod
from localagent_gateway.http.body_reading import ReadBody
from localagent_gateway.keys.authentication import EVERYBODY
from localagent_gateway.logs.addresses import redact_address
from localagent_gateway.logs.defects import defect

Authenticate = Callable[[FrontRequest], Awaitable[Principal | None]]


class Dispatcher:
    """Answers requests.

    Args:
        routes: What is served.
        authenticate: Says who asks.
        pages: Says who a web page of this machine is that shows no key.
    """

    def __init__(self, routes: Routes, authenticate: Authenticate, pages: LocalPages) -> None:
        self.routes = routes
        self.authenticate = authenticate
        self._pages = pages

    async def handle(self, request: FrontRequest, read: ReadBody) -> FrontAnswer | FrontStream:
        """Return the answer of a request; never raises but for cancellation.

        Args:
            request: The request without its body.
            read: Returns the body; called once it is known who asks, and that there is a route.
        """
        methods, request.params = self.routes.find(request.path)
        route = route_of(methods, request.method)
        try:
            if route is None:
                return _without_route(request, methods)
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

    def refuse(self, error: LocalAgentError, request: FrontRequest, *, plain: bool = False) -> FrontAnswer:
        """Return the answer that tells an error, in the shape that its route names, else in that of its API.

        Args:
            error: The error.
            request: The request.
            plain: Whether the shape is OpenAI's instead, because that of the path failed.
        """
        error.request_id = error.request_id or request.id
        methods = self.routes.find(request.path)[0]
        route = route_of(methods, request.method) or next(iter(methods.values()), None)
        shape = openai_error if plain else (route.errors if route is not None else None) or shape_of(request)
        return _with_headers(shape(error, request), error)

    async def _principal(self, request: FrontRequest, route: Route) -> Principal:
        principal = EVERYBODY if route.open else await self.authenticate(request)
        if principal is None:
            raise Unauthenticated("No valid key came with the request.",
                                  mend="Send it as: Authorization: Bearer la-...")  # fmt: skip
        if request.local_page and principal is EVERYBODY:
            return await self._pages.principal(route)
        return principal


def _without_route(request: FrontRequest, methods: Mapping[str, Route]) -> FrontAnswer:
    """Answer a method that no route of the path answers.

    Raises:
        InvalidRequest: It is not OPTIONS, or there is nothing at the path.
    """
    if not methods:
        raise NotFound(f"There is nothing at {_shown(request.path)}.", mend="See: GET /openapi.json")
    if request.method != "OPTIONS":
        raise WrongMethod(f"{_shown(request.path)} does not answer {_shown(request.method)}.", allow=allowed(methods))
    return FrontAnswer(204, headers={"allow": allowed(methods)})


def _with_headers(answer: FrontAnswer, error: LocalAgentError) -> FrontAnswer:
    """Return the answer with what RFC 9110 asks for: how to show a key (11.6.1), which methods there are (15.5.6)."""
    more = {"www-authenticate": "Bearer"} if answer.status == 401 else {}
    if isinstance(error, WrongMethod):
        more["allow"] = error.allow
    return msgspec.structs.replace(answer, headers={**answer.headers, **more}) if more else answer


def _shown(address: str) -> str:
    return redact_address(address)[:200]

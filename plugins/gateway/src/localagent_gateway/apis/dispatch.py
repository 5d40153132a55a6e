"""Passes a request to its handler: route, principal, handler, and errors in the shape of the route's API.

The routes are the gateway's own and those that other plugins add.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from localagent import LocalAgentError, Principal
from localagent.errors import InternalError, PluginError, Unauthenticated
from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream, Route
from localagent_gateway.apis.error_shapes import openai_error, shape_of
from localagent_gateway.apis.local_pages import LocalPages
from localagent_gateway.errors import NotFound, WrongMethod
from localagent_gateway.http.body_reading import ReadBody
from localagent_gateway.keys.authentication import EVERYBODY
from localagent_gateway.logs.addresses import redact_address
from localagent_gateway.logs.defects import defect

if TYPE_CHECKING:
    from localagent.pipeline import Pipeline, Step

HOOK = "gateway_add_routes"
NO_PARAMS: Mapping[str, str] = {}
Authenticate = Callable[[HttpRequest], Awaitable[Principal | None]]


class Routes:
    """All routes of the gateway.

    Args:
        routes: The routes.

    Raises:
        PluginError: Two routes have the same method and path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._open_ended: list[tuple[str, str, dict[str, Route]]] = []
        for route in self.all:
            methods = self._methods(route.path)
            if route.method in methods:
                raise PluginError(f"Two plugins add the route {route.method} {route.path}.",
                                  hint="Choose one with: use = [...]")  # fmt: skip
            methods[route.method] = route

    def _methods(self, path: str) -> dict[str, Route]:
        if not path.endswith("}"):
            return self._exact.setdefault(path, {})
        prefix, _, name = path[:-1].rpartition("{")
        for known, _, methods in self._open_ended:
            if known == prefix:
                return methods
        self._open_ended.append((prefix, name, {}))
        return self._open_ended[-1][2]

    def find(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        """Return the routes of a path by method, and the value of its ``{name}``; no routes for an unknown path."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact, NO_PARAMS
        for prefix, name, methods in self._open_ended:
            if path.startswith(prefix) and len(path) > len(prefix):
                return methods, {name: path[len(prefix) :]}
        return {}, NO_PARAMS


def route_of(methods: Mapping[str, Route], method: str) -> Route | None:
    """Return the route for a method; the route of GET also answers HEAD (RFC 9110, section 9.3.2)."""
    return methods.get(method) or (methods.get("GET") if method == "HEAD" else None)


def allowed(methods: Mapping[str, Route]) -> str:
    """Return all methods that a path supports, in the format of the header ``Allow``."""
    return ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}))


def with_added(own: Iterable[Route], pipeline: Pipeline) -> Routes:
    """Return the gateway's own routes with those that plugins add.

    Args:
        own: The gateway's own routes.
        pipeline: The plugins.

    Raises:
        PluginError: A plugin failed, or adds a route that already exists; the error names it.
    """
    routes = Routes(own)
    for step in pipeline.steps[HOOK]:
        for route in _added(step):
            _check_added(route, step.plugin, routes)
            routes = Routes((*routes.all, route))
    return routes


def _added(step: Step) -> Sequence[Any]:
    try:
        added: Sequence[Any] = step.check(step.call()) or ()
    except (Exception, asyncio.CancelledError) as error:  # by the hook's contract, it stops the start
        raise PluginError(f"Plugin {step.plugin} failed in {HOOK}: {type(error).__name__}.") from error
    return added


def _check_added(route: Any, plugin: str, routes: Routes) -> None:
    if not isinstance(route, Route) or not route.path.startswith("/"):
        raise PluginError(f"Plugin {plugin} adds an invalid route: {type(route).__name__}.",
                          hint=f"Report this to the author of {plugin}.")  # fmt: skip
    if route.method in routes.find(route.path)[0]:
        raise PluginError(f"Plugin {plugin} adds {route.method} {route.path}, which already exists.",
                          hint="Remove the plugin from: use = [...]")  # fmt: skip


class Dispatcher:
    """Answers requests.

    Args:
        routes: The routes.
        authenticate: Identifies the caller.
        pages: Identifies a web page of this machine that sends no key.
    """

    def __init__(self, routes: Routes, authenticate: Authenticate, pages: LocalPages) -> None:
        self.routes = routes
        self.authenticate = authenticate
        self._pages = pages

    async def handle(self, request: HttpRequest, read: ReadBody) -> HttpResponse | HttpStream:
        """Return the answer of a request; raises nothing except cancellation.

        Args:
            request: The request without its body.
            read: Returns the body; called after the route was found and the caller identified.
        """
        methods, request.params = self.routes.find(request.path)
        route = route_of(methods, request.method)
        try:
            if route is None:
                return _without_route(request, methods)
            principal = await self._principal(request, route)
            request.body = await read()
            answer: Any = await route.handler(request, principal)  # it may be a plugin's handler
            if isinstance(answer, HttpResponse | HttpStream):
                return answer
            kind = type(answer).__name__
            failure: LocalAgentError = InternalError(f"The handler of {_shown(request.path)} returned {kind}.")
        except LocalAgentError as error:
            failure = error
        except Exception as error:  # errors of plugins' handlers, and our own defects; the message may contain a prompt
            failure = defect(error, request.id)
        return self.refuse(failure, request)

    def refuse(self, error: LocalAgentError, request: HttpRequest, *, plain: bool = False) -> HttpResponse:
        """Return the answer for an error, in the error shape of its route or, without one, of its API.

        Args:
            error: The error.
            request: The request.
            plain: Whether to use OpenAI's shape instead, because that of the path failed.
        """
        error.request_id = error.request_id or request.id
        methods = self.routes.find(request.path)[0]
        route = route_of(methods, request.method) or next(iter(methods.values()), None)
        shape = openai_error if plain else (route.errors if route is not None else None) or shape_of(request)
        return _with_headers(shape(error, request), error)

    async def _principal(self, request: HttpRequest, route: Route) -> Principal:
        principal = EVERYBODY if route.open else await self.authenticate(request)
        if principal is None:
            raise Unauthenticated("The request has no valid key.",
                                  hint="Send it as: Authorization: Bearer la-...")  # fmt: skip
        if request.local_page and principal is EVERYBODY:
            return await self._pages.principal(route)
        return principal


def _without_route(request: HttpRequest, methods: Mapping[str, Route]) -> HttpResponse:
    """Answer a request for which there is no route.

    Raises:
        InvalidRequest: The method is not OPTIONS, or the path does not exist.
    """
    if not methods:
        raise NotFound(f"The path {_shown(request.path)} does not exist.", hint="See: GET /openapi.json")
    if request.method != "OPTIONS":
        message = f"The path {_shown(request.path)} does not support the method {_shown(request.method)}."
        raise WrongMethod(message, allow=allowed(methods))
    return HttpResponse(204, headers={"allow": allowed(methods)})


def _with_headers(answer: HttpResponse, error: LocalAgentError) -> HttpResponse:
    """Return the answer with the headers that RFC 9110 requires: WWW-Authenticate (11.6.1) and Allow (15.5.6)."""
    more = {"www-authenticate": "Bearer"} if answer.status == 401 else {}
    if isinstance(error, WrongMethod):
        more["allow"] = error.allow
    return msgspec.structs.replace(answer, headers={**answer.headers, **more}) if more else answer


def _shown(address: str) -> str:
    return redact_address(address)[:200]

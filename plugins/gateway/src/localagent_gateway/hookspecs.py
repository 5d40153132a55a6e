"""The hooks that the gateway defines for other plugins."""

from __future__ import annotations

from collections.abc import Sequence

from localagent import Principal
from localagent.plugin_api import HttpRequest, Kind, OnRaise, Route, hook


@hook(Kind.FIRST, phase="request", scope="process", result=(Principal,))
async def gateway_authenticate(request: HttpRequest) -> Principal | None:
    """Identify the caller of a request.

    When: before every route that needs a key, and before the request's body is read; the gateway's own keys are checked
    last.
    Result: the principal, on whose behalf the request runs.
    None: the next implementation is called; if all return None, the request is refused.
    Raise: the request is refused; raise ``Unauthenticated`` to give the reason.
    """


@hook(Kind.COLLECT, phase="start", sync=True, scope="process", on_raise=OnRaise.REFUSE, result=(list, tuple))
def gateway_add_routes() -> Sequence[Route]:  # type: ignore[empty-body]
    """Add routes to the gateway.

    When: once, when the gateway starts.
    Result: the routes. The gateway does not start if a path is already in use.
    None: no routes are added.
    Raise: the gateway does not start; the error names the plugin.
    """

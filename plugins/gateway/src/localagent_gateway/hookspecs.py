"""The hooks that the gateway brings."""

from __future__ import annotations

from collections.abc import Sequence

from localagent import Principal
from localagent.plugin_api import HttpRequest, Kind, OnRaise, Route, hook


@hook(Kind.FIRST, phase="request", scope="process", result=(Principal,))
async def gateway_authenticate(request: HttpRequest) -> Principal | None:
    """Identify the client of a request.

    When: before every route that is not open, and before the request's body is read. The gateway's own keys come last.
    Result: the principal.
    None: the next step is asked. If all return None, the request is refused.
    Raise: refuses the request; raise ``Unauthenticated`` to say why.
    """


@hook(Kind.COLLECT, phase="start", sync=True, scope="process", on_raise=OnRaise.REFUSE, result=(list, tuple))
def gateway_add_routes() -> Sequence[Route]:  # type: ignore[empty-body]
    """Return HTTP routes that the gateway serves as well.

    When: once, when the gateway starts.
    Result: the routes. A path that exists already is refused.
    None: no route.
    Raise: refused at start, with the plugin's name.
    """

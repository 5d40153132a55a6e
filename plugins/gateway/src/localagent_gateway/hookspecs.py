"""The hooks that the gateway brings."""

from __future__ import annotations

from collections.abc import Sequence

from localagent import Principal
from localagent.plugin_api import HttpRequest, Kind, OnRaise, Route, hook


@hook(Kind.FIRST, phase="request", scope="process", result=(Principal,))
async def gateway_authenticate(request: HttpRequest) -> Principal | None:
    """Say who asks.

    When: before every route that is not open, and before the request's body is read; the gateway's own keys are asked
    last.
    Result: the principal.
    None: the next step is asked; if all say None, the request is refused.
    Raise: refuses the request; raise ``Unauthenticated`` to say why.
    """


@hook(Kind.COLLECT, phase="start", sync=True, scope="process", on_raise=OnRaise.REFUSE, result=(list, tuple))
def gateway_add_routes() -> Sequence[Route]:  # type: ignore[empty-body]
    """Add routes.

    When: once, when the gateway starts.
    Result: the routes. A path that is taken is refused.
    None: no route.
    Raise: refused at start, with the plugin's name.
    """

"""Authentication: the implementations of other plugins are asked first, then the gateway's own keys."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, unquote

from localagent import LocalAgentError, Principal
from localagent.errors import StartError, Unauthenticated
from localagent.plugin_api import HttpRequest
from localagent.timing import in_thread
from localagent_gateway.keys.key import ID_LENGTH, PREFIX
from localagent_gateway.keys.live_keys import KeyReader, KeyTable
from localagent_gateway.keys.revocations import Revocations
from localagent_gateway.settings import LOOPBACK, GatewaySettings, gateway_folder

if TYPE_CHECKING:
    from localagent.pipeline import Pipeline
    from localagent.runtime import Runtime

HOOK = "gateway_authenticate"
EVERYBODY = Principal()
HOW_TO_SEND = "Send it as: Authorization: Bearer la-..."
IN_QUERY = frozenset({"access_token", "api-key", "api_key", "apikey", "key", "token", "x-api-key"})

_KEY = re.compile(rf"^\s*{PREFIX}|(?<![A-Za-z0-9]){PREFIX}[a-z2-7]{{{ID_LENGTH}}}-")

Step = Callable[[HttpRequest], Awaitable[Principal | None]]


class KeyStep:
    """The gateway's own implementation of ``gateway_authenticate``.

    Args:
        table: The keys.
        required: Whether a key is needed even if none was ever created.
        wall_time: Returns the seconds since the epoch.
    """

    def __init__(self, table: KeyTable, required: bool, wall_time: Callable[[], float]) -> None:
        self._table = table
        self._required = required
        self._wall_time = wall_time

    async def __call__(self, request: HttpRequest) -> Principal | None:
        """Return the caller; None if the request has no valid key.

        Raises:
            Unauthenticated: The query contains a key.
            LocalRefusal: The keys cannot be read.
        """
        if request.query:
            refuse_in_query(request)
        keys = await self._table.current()
        if not self._required and not self._table.ever:
            return EVERYBODY
        key = shown_key(request.headers)
        return keys.find(key, self._wall_time()) if key else None

    async def needed(self) -> bool:
        """Return whether a key is needed; if the store cannot be read now, the last reading counts."""
        if not self._required and not self._table.ever:
            with suppress(LocalAgentError):
                await self._table.current()
        return self._required or self._table.ever

    async def aclose(self) -> None:
        """Close the store."""
        await self._table.aclose()


class KeyHolder(Protocol):
    """The gateway's plugin: its implementation of the hook calls the keys, and it closes them.

    Attributes:
        keys: The gateway's own keys; None while nothing is served.
    """

    keys: KeyStep | None


def shown_key(headers: Mapping[str, str]) -> str:
    """Return a request's key from ``Authorization: Bearer``, else from ``x-api-key``; empty if there is no key."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if key and scheme.lower() == "bearer":
        return key.strip()
    return headers.get("x-api-key", "").strip()


def refuse_in_query(request: HttpRequest) -> None:
    """Refuse a request with a key in its address, because logs and histories store addresses.

    The key may be a parameter's value, even of a repeated one, or its name, with or without blanks around it.

    Raises:
        Unauthenticated: The address contains a key.
    """
    sent = [*parse_qsl(request.raw_query, keep_blank_values=True), *request.query.items()]
    names = {name.strip().lower() for name, _ in sent}
    if not IN_QUERY.isdisjoint(names) or any(_KEY.search(unquote(text)) for pair in sent for text in pair):
        raise Unauthenticated(
            "A key in the address is refused, because logs and histories store addresses.", hint=HOW_TO_SEND
        )


def need_keys(settings: GatewaySettings, folder: Path, pipeline: Pipeline) -> bool:
    """Return whether a request needs a key even if none was ever created.

    It does on an address other than loopback, with ``require_keys = "always"``, and if another plugin authenticates
    callers. With ``require_keys = "never"`` keys are not read at all.

    Args:
        settings: The gateway's settings.
        folder: The gateway's folder in the state folder.
        pipeline: The plugins.

    Raises:
        StartError: The gateway would listen on an address other than loopback, and would refuse all requests or accept
            any; or the keys cannot be read.
    """
    others = other_steps(pipeline)
    beyond = settings.host not in LOOPBACK
    if settings.require_keys == "never":
        if beyond or others:
            raise StartError('require_keys = "never" needs a loopback host and no plugin that authenticates callers.',
                             hint='Set require_keys = "auto" in [plugins.gateway].')  # fmt: skip
        return False
    with closing(KeyReader(folder)) as reader:
        records = reader.changed()
    if beyond and not others and not records:
        raise StartError(f"The gateway needs a key to listen on {settings.host}, which other machines can reach.",
                         hint="Run: localagent keys create --name NAME")  # fmt: skip
    return beyond or others or settings.require_keys == "always"


def other_steps(pipeline: Pipeline) -> bool:
    """Return whether a plugin other than the gateway authenticates callers."""
    return any(step.plugin != "gateway" for step in pipeline.steps[HOOK])


async def keys_needed(holder: KeyHolder) -> bool:
    """Return whether a request needs a key now; must be called after ``authentication``."""
    return holder.keys is not None and await holder.keys.needed()


async def everybody(request: HttpRequest) -> Principal:
    """Accept every request except those with a key in the address: it stays in logs, and may be valid elsewhere."""
    refuse_in_query(request)
    return EVERYBODY


async def authentication(runtime: Runtime, settings: GatewaySettings, holder: KeyHolder) -> Step:
    """Return the function that authenticates a request. It opens the store of keys, which ``holder`` closes.

    If no other plugin implements the hook, the gateway's own implementation is called directly: the hook costs more
    than the check of a key.

    Args:
        runtime: The running core.
        settings: The gateway's settings.
        holder: Gets the gateway's own keys.

    Raises:
        StartError: See ``need_keys``.
    """
    folder = gateway_folder(runtime.settings, runtime.environment)
    required = await in_thread(need_keys, settings, folder, runtime.pipeline)
    if settings.require_keys == "never":
        return everybody
    table = KeyTable(KeyReader(folder), runtime.clock)
    holder.keys = own = KeyStep(table, required, runtime.wall_time)
    await table.open()
    if table.ever:
        with suppress(OSError):  # stores of the first version lack it; a revocation on a full disk then fails
            await in_thread(Revocations(folder).prepare)
    if other_steps(runtime.pipeline):
        asked: Step = runtime.hook("gateway", HOOK)
        return asked
    return own

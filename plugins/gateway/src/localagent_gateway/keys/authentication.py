"""Who asks: the steps of other plugins say first, then the gateway's own keys."""

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
MEND = "Send it as: Authorization: Bearer la-..."
IN_QUERY = frozenset({"access_token", "api-key", "api_key", "apikey", "key", "token", "x-api-key"})

_KEY = re.compile(rf"^\s*{PREFIX}|(?<![A-Za-z0-9]){PREFIX}[a-z2-7]{{{ID_LENGTH}}}-")

Step = Callable[[HttpRequest], Awaitable[Principal | None]]


class KeyStep:
    """The gateway's own step of ``gateway_authenticate``.

    Args:
        table: The keys.
        required: Whether a key is needed even while none was ever created.
        wall_time: Returns the seconds since the epoch.
    """

    def __init__(self, table: KeyTable, required: bool, wall_time: Callable[[], float]) -> None:
        self._table = table
        self._required = required
        self._wall_time = wall_time

    async def __call__(self, request: HttpRequest) -> Principal | None:
        """Return who asks; None when no good key came.

        Raises:
            Unauthenticated: A key came in the query.
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
        """Return whether a key is needed; what cannot be read now is as it was."""
        if not self._required and not self._table.ever:
            with suppress(LocalAgentError):
                await self._table.current()
        return self._required or self._table.ever

    async def aclose(self) -> None:
        """Close the store."""
        await self._table.aclose()


class KeyHolder(Protocol):
    """The gateway's plugin: it has its own step of the hook call the keys, and closes them.

    Attributes:
        keys: The gateway's own keys; None while nothing is served.
    """

    keys: KeyStep | None


def shown_key(headers: Mapping[str, str]) -> str:
    """Return the key that a request shows: ``Authorization: Bearer``, else ``x-api-key``; empty for none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if key and scheme.lower() == "bearer":
        return key.strip()
    return headers.get("x-api-key", "").strip()


def refuse_in_query(request: HttpRequest) -> None:
    """Refuse a request whose address holds a key: addresses are kept in logs and histories.

    It may be a parameter's value, also of one that is repeated, or its name, with blanks around it or not.

    Raises:
        Unauthenticated: It does.
    """
    sent = [*parse_qsl(request.raw_query, keep_blank_values=True), *request.query.items()]
    names = {name.strip().lower() for name, _ in sent}
    if not IN_QUERY.isdisjoint(names) or any(_KEY.search(unquote(text)) for pair in sent for text in pair):
        raise Unauthenticated("A key in the address is not taken: logs and histories keep addresses.", hint=MEND)


def need_keys(settings: GatewaySettings, folder: Path, pipeline: Pipeline) -> bool:
    """Return whether a request needs a key even while none was ever created.

    It does beyond loopback, with ``require_keys = "always"``, and where a plugin was installed that says who asks.
    With ``require_keys = "never"`` keys are not even looked at.

    Args:
        settings: The gateway's settings.
        folder: The gateway's folder in the state folder.
        pipeline: The plugins.

    Raises:
        StartError: The gateway would listen beyond loopback, and nobody could ever be let in, or everybody would be;
            or the keys that were created cannot be read.
    """
    others = other_steps(pipeline)
    beyond = settings.host not in LOOPBACK
    if settings.require_keys == "never":
        if beyond or others:
            raise StartError('require_keys = "never" is for a loopback address, without plugins that say who asks.',
                             hint='In [plugins.gateway] write: require_keys = "auto"')  # fmt: skip
        return False
    with closing(KeyReader(folder)) as reader:
        records = reader.changed()
    if beyond and not others and not records:
        raise StartError(f"Without a key the gateway does not listen on {settings.host}, where others could ask.",
                         hint="Run: localagent keys create --name NAME")  # fmt: skip
    return beyond or others or settings.require_keys == "always"


def other_steps(pipeline: Pipeline) -> bool:
    """Return whether another plugin than the gateway says who asks."""
    return any(step.plugin != "gateway" for step in pipeline.steps[HOOK])


async def keys_needed(holder: KeyHolder) -> bool:
    """Return whether a request needs a key now; ``authentication`` has made the gateway's own step, or left it out."""
    return holder.keys is not None and await holder.keys.needed()


async def everybody(request: HttpRequest) -> Principal:
    """Let everybody in, but for keys in addresses: they stay in logs, and may be good elsewhere."""
    refuse_in_query(request)
    return EVERYBODY


async def authentication(runtime: Runtime, settings: GatewaySettings, holder: KeyHolder) -> Step:
    """Return what says who asks. The store that it opens is closed by its holder.

    While no other plugin has a step, the gateway's own is called as it is: the way through the hook costs more than
    the look at a key.

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
        with suppress(
            OSError
        ):  # stores of the first version have none; a user who revokes on a full disk gets an error
            await in_thread(Revocations(folder).prepare)
    if other_steps(runtime.pipeline):
        asked: Step = runtime.hook("gateway", HOOK)
        return asked
    return own

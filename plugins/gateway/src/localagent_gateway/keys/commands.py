"""``localagent keys``: the commands that create, list and revoke keys."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterable, Mapping
from time import time as wall_time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from localagent.settings import read_seconds
from localagent_cli import CommandLine, command
from localagent_gateway.keys.key import PREFIX, KeyRecord
from localagent_gateway.keys.store import KeyStore
from localagent_gateway.settings import LOOPBACK, GatewaySettings, gateway_folder

if TYPE_CHECKING:
    TextType = click.ParamType[Any]
else:
    TextType = click.ParamType

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")


class Name(TextType):
    """A name that can be typed, listed and searched for."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if str(value).startswith(PREFIX) or not _NAME.fullmatch(str(value)):
            self.fail(f"a name has up to 64 letters, digits and . _ @ -, and does not start with {PREFIX}", param, ctx)
        return str(value)


class Until(TextType):
    """An expiry time: a duration from now, or a date or time."""

    name = "duration or date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dt.timedelta | dt.datetime:
        """Return the duration from now, or the time."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return dt.timedelta(seconds=read_seconds(value))
        except (ValueError, OverflowError):
            pass
        try:
            return dt.datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f'{value} is neither a duration such as "30 d" nor a date such as 2030-01-31.', param, ctx)


def end(until: dt.timedelta | dt.datetime | None, now: float) -> float | None:
    """Return when a key expires, in seconds since the epoch; None for never.

    Args:
        until: The value from ``Until``.
        now: Seconds since the epoch.

    Raises:
        click.UsageError: The key would already have expired.
    """
    if until is None:
        return None
    ends = now + until.total_seconds() if isinstance(until, dt.timedelta) else until.timestamp()
    if ends <= now:
        raise click.UsageError("The expiry time of the key is in the past.")
    return ends


class Limit(TextType):
    """``NAME=NUMBER``."""

    name = "name=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return the name and the number."""
        if isinstance(value, tuple):
            return value
        name, _, number = value.partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not _NUMBER.fullmatch(number):
            self.fail(f"{value} is not a limit such as requests_per_minute=60.", param, ctx)
        return name, float(number) if "." in number else int(number)


class Models(TextType):
    """Names of models, separated by commas."""

    name = "name,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names) or any(re.search(r"\s", name) for name in names):
            self.fail(f"{value} is not a list of models such as fast,openai/gpt-5-mini.", param, ctx)
        return names


COLUMNS = ("Id", "Name", "State", "Tenant", "Models", "Limits", "Created", "Expires")
ONCE = "This key is shown only once and is not stored. Clients send it as their API key."
FIRST = "This is the first key: from now on the gateway refuses all requests without a key."
NO_LIMITER = "No active plugin enforces limits: they are stored with the key but have no effect until one is installed."
NONE_LEFT = "No valid key is left: the gateway refuses all requests. Run: localagent keys create --name NAME"
WAY_BACK = 'To allow requests from this machine without a key, set require_keys = "never" in [plugins.gateway].'

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("keys", help="Create, list or revoke the keys of the gateway.")
def keys() -> None:
    """Group the commands for keys."""


@command("create", help="Create a key and print it once.")
@click.option("--name", type=Name(), help="The name of the key.  [default: a random id]")
@click.option("--tenant", type=Name(), help="The tenant whose caches and limits it shares.  [default: its own]")
@click.option("--models", type=Models(), help="The models that it may use, aliases included.  [default: all]")
@click.option("--expires", type=Until(), help='The expiry: "30 d" from now, or 2030-01-31.  [default: never]')
@click.option("--limit", "limits", type=Limit(), multiple=True, help="A limit, enforced by plugins; repeatable.")
@as_json_option
def create(
    line: CommandLine, *, name: str | None, tenant: str | None, models: tuple[str, ...] | None,
    expires: dt.timedelta | dt.datetime | None, limits: tuple[tuple[str, float], ...], as_json: bool,
) -> None:  # fmt: skip
    """Create a key and print it once."""
    store = _store(line)
    _say_what_follows(line, store, limited=bool(limits))
    expiry = end(expires, wall_time())
    record, key = store.create(name or "", tenant=tenant or "", models=models, limits=dict(limits), expires=expiry)
    if as_json:
        _print_json(line, {**_document(record), "key": key.reveal()})
    else:
        line.terminal.line(key.reveal())
    line.terminal.note(ONCE)


@command("list", help="List all keys, including expired and revoked ones, without their secret parts.")
@as_json_option
def list_keys(line: CommandLine, *, as_json: bool) -> None:
    """List the keys."""
    records = _store(line).records()
    if as_json:
        _print_json(line, {"keys": [_document(record) for record in records]})
    elif records:
        line.terminal.table(COLUMNS, [_row(record) for record in records])
        _say_if_none_is_good(line, records)
    else:
        line.terminal.note("No keys exist. Create one with: localagent keys create --name NAME")


@command("revoke", help="Revoke the key with this name or id; every gateway refuses it within a second.")
@click.argument("which", metavar="NAME")
@as_json_option
def revoke(line: CommandLine, which: str, *, as_json: bool) -> None:
    """Revoke a key."""
    store = _store(line)
    record = store.revoke(which)
    if as_json:
        _print_json(line, _document(record))
    else:
        line.terminal.line(f"Revoked the key {record.name} ({record.id}).")
    _say_if_none_is_good(line, store.records())


def _say_what_follows(line: CommandLine, store: KeyStore, *, limited: bool) -> None:
    """Print notes on the effects of a new key and of its limits."""
    if limited and not _has_limiter(line):
        line.terminal.note(NO_LIMITER)
    if _gateway(line).require_keys == "auto" and not store.exists():
        line.terminal.note(FIRST)


def _say_if_none_is_good(line: CommandLine, records: Iterable[KeyRecord]) -> None:
    gateway = _gateway(line)
    if gateway.require_keys == "never" or any(record.state(wall_time()) == "active" for record in records):
        return
    line.terminal.note(NONE_LEFT)
    if gateway.host in LOOPBACK:
        line.terminal.note(WAY_BACK)


def _gateway(line: CommandLine) -> GatewaySettings:
    return line.settings().for_plugin("gateway", GatewaySettings)


def _has_limiter(line: CommandLine) -> bool:
    """Return whether an active plugin enforces limits."""
    _, pipeline, _ = line.assembled()
    return bool(pipeline.steps["rate_check"])


def _store(line: CommandLine) -> KeyStore:
    return KeyStore(gateway_folder(line.settings(), os.environ), wall_time)


def _document(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state(wall_time()),
        "tenant": record.tenant,
        "models": None if record.models is None else sorted(record.models),
        "limits": record.limits,
        "created": _moment(record.created),
        "expires": _moment(record.expires) or None,
        "revoked": _moment(record.revoked) or None,
    }


def _row(record: KeyRecord) -> tuple[str, ...]:
    models = "all" if record.models is None else ", ".join(sorted(record.models))
    return (
        record.id, record.name, record.state(wall_time()), record.tenant, models, _limits(record.limits),
        _moment(record.created), _moment(record.expires) or "never",
    )  # fmt: skip


def _limits(limits: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={number:g}" for name, number in limits.items())


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


def _print_json(line: CommandLine, document: Mapping[str, object]) -> None:
    line.terminal.line(msgspec.json.encode(document).decode())


for _command in (create, list_keys, revoke):
    keys.add_command(_command)

"""``localagent keys``: who may use the gateway, seen from the command line."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping
from time import time as wall

import click
import msgspec

from localagent_cli import CommandLine, command
from localagent_gateway.keys.options import Limit, Models, Name, Until, end
from localagent_gateway.keys.place import keys_folder
from localagent_gateway.keys.record import KeyRecord
from localagent_gateway.keys.store import KeyStore
from localagent_gateway.settings import LOOPBACK, GatewaySettings

COLUMNS = ("Id", "Name", "State", "Tenant", "Models", "Limits", "Created", "Expires")
ONCE = "This key is shown once and kept nowhere. Clients send it as their API key."
FIRST = "This is the first key: from now on the gateway refuses everybody who shows none."
NO_LIMITER = "No active plugin enforces limits: they are kept with the key, and have no effect until one is installed."
NONE_LEFT = "No key is good any more: the gateway refuses everybody. Run: localagent keys create --name NAME"
WAY_BACK = 'To let everybody on this machine in without a key, set require_keys = "never" in [plugins.gateway].'

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("keys", help="Create, list or revoke the keys of those who may use the gateway.")
def keys() -> None:
    """Group the commands about keys."""


@command("create", help="Create a key and print it, once.")
@click.option("--name", type=Name(), help="What to call it.  [default: a random id]")
@click.option("--tenant", type=Name(), help="Whose caches and limits it shares.  [default: nobody's]")
@click.option("--models", type=Models(), help="The models that it may use, aliases included.  [default: all]")
@click.option("--expires", type=Until(), help='When it ends: "30 d" from now, or 2030-01-31.  [default: never]')
@click.option("--limit", "limits", type=Limit(), multiple=True, help="A limit, for plugins that heed it; repeatable.")
@as_json_option
def create(
    line: CommandLine, *, name: str | None, tenant: str | None, models: tuple[str, ...] | None,
    expires: dt.timedelta | dt.datetime | None, limits: tuple[tuple[str, float], ...], as_json: bool,
) -> None:  # fmt: skip
    """Create a key and print it, once."""
    store = _store(line)
    _say_what_follows(line, store, limited=bool(limits))
    expiry = end(expires, wall())
    record, key = store.create(name or "", tenant=tenant or "", models=models, limits=dict(limits), expires=expiry)
    if as_json:
        _print_json(line, {**_document(record), "key": key.reveal()})
    else:
        line.terminal.line(key.reveal())
    line.terminal.note(ONCE)


@command("list", help="List the keys, those that are over included; no key itself is shown.")
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
        line.terminal.note("There is no key. Create one with: localagent keys create --name NAME")


@command("revoke", help="Revoke the key of this name or id; no gateway lets it in a second later.")
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
    """Warn of what a new key does, and of what its limits do not."""
    if limited and not _has_limiter(line):
        line.terminal.note(NO_LIMITER)
    if _gateway(line).require_keys == "auto" and not store.exists():
        line.terminal.note(FIRST)


def _say_if_none_is_good(line: CommandLine, records: Iterable[KeyRecord]) -> None:
    gateway = _gateway(line)
    if gateway.require_keys == "never" or any(record.state(wall()) == "active" for record in records):
        return
    line.terminal.note(NONE_LEFT)
    if gateway.host in LOOPBACK:
        line.terminal.note(WAY_BACK)


def _gateway(line: CommandLine) -> GatewaySettings:
    return line.settings().for_plugin("gateway", GatewaySettings)


def _has_limiter(line: CommandLine) -> bool:
    """Whether an active plugin says which requests are too many."""
    _, pipeline, _ = line.assembled()
    return bool(pipeline.steps["rate_check"])


def _store(line: CommandLine) -> KeyStore:
    return KeyStore(keys_folder(line.settings(), os.environ), wall)


def _document(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state(wall()),
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
        record.id, record.name, record.state(wall()), record.tenant, models, _limits(record.limits),
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

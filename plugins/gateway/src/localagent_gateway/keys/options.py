"""What people write behind ``--expires``, ``--limit``, ``--models`` and ``--name``."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import click

from localagent.structuring.fields import read_seconds
from localagent_gateway.keys.form import PREFIX

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
            self.fail("a name has up to 64 letters, digits and . _ @ -, and does not begin as keys do.", param, ctx)
        return str(value)


class Until(TextType):
    """An end: a duration from now on, or a day or time."""

    name = "duration or day"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dt.timedelta | dt.datetime:
        """Return how long from now on, or when."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return dt.timedelta(seconds=read_seconds(value))
        except (ValueError, OverflowError):
            pass
        try:
            return dt.datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f'{value} is neither a duration such as "30 d" nor a day such as 2030-01-31.', param, ctx)


def end(until: dt.timedelta | dt.datetime | None, now: float) -> float | None:
    """Return when a key ends, in seconds since the epoch.

    Args:
        until: What ``Until`` read.
        now: Seconds since the epoch.

    Raises:
        click.UsageError: It would be over already.
    """
    if until is None:
        return None
    ends = now + until.total_seconds() if isinstance(until, dt.timedelta) else until.timestamp()
    if ends <= now:
        raise click.UsageError("The key would have expired before it was made.")
    return ends


class Limit(TextType):
    """``NAME=NUMBER``."""

    name = "name=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return name and number."""
        if isinstance(value, tuple):
            return value
        name, _, number = value.partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not _NUMBER.fullmatch(number):
            self.fail(f"{value} is no limit such as requests_per_minute=60.", param, ctx)
        return name, float(number) if "." in number else int(number)


class Models(TextType):
    """Names of models with commas between them."""

    name = "name,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names) or any(re.search(r"\s", name) for name in names):
            self.fail(f"{value} does not name models, such as fast,openai/gpt-5-mini.", param, ctx)
        return names

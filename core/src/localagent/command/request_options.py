"""The options of commands that send a request, and the names that complete them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from localagent.errors import LocalAgentError
from localagent.quantities import read_seconds

F = TypeVar("F", bound=Callable[..., Any])


class Duration(click.ParamType):
    """A duration above zero: seconds, or text as in the settings."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the duration in seconds."""
        if isinstance(value, float):
            return value
        try:
            seconds = read_seconds(float(value) if value.replace(".", "", 1).isdigit() else value)
        except ValueError:
            seconds = 0.0
        if not seconds:
            self.fail(f'{value} is no duration such as 30, "250 ms", "30 s" or "5 min".', param, ctx)
        return seconds


def model_names(config: Path | None) -> list[str]:
    """Return what the settings say of models: aliases, their targets, providers. Nobody is asked, no plugin imported.

    Args:
        config: The settings file; None for the usual one.
    """
    from localagent.settings_files import load_settings

    try:
        settings = load_settings(config)
    except LocalAgentError:  # whoever completes a word has no place for an error
        return []
    targets = [target for alias in settings.models.values() for target in alias.targets]
    return list(dict.fromkeys([*settings.models, *targets, *(f"{name}/" for name in settings.providers)]))


def complete_model(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a model for a shell."""
    # While a shell completes there is no command line at work; the options were parsed all the same.
    config = context.find_root().params.get("config")
    return [CompletionItem(name) for name in model_names(config) if name.startswith(incomplete)]


_MODEL = click.option(
    "--model", "-m", default="", metavar="NAME", shell_complete=complete_model,
    help="PROVIDER/NAME or an alias; without it the default model.",
)  # fmt: skip
_OTHERS = (
    click.option("--system", "-s", metavar="TEXT", help="What the model is told about its part, before all else."),
    click.option("--temperature", type=click.FloatRange(min=0), help="How free the choice of words is; 0: not at all."),
    click.option("--max-tokens", type=click.IntRange(min=1), help="The longest answer, in tokens."),
    click.option("--timeout", type=Duration(), help='For the whole call: seconds, or text such as "5 min".'),
)


def model_option(function: F) -> F:
    """Give a command the option that names a model."""
    return _MODEL(function)


def request_options(function: F) -> F:
    """Give a command the options of a request."""
    for option in reversed((_MODEL, *_OTHERS)):
        function = option(function)
    return function


def fields_of(**options: Any) -> Mapping[str, Any]:
    """Return the fields of a request that were given; a model that was not named is none."""
    return {name: value for name, value in options.items() if value is not None and value != ""}

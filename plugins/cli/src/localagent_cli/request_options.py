"""The options of commands that send a request, and the names that complete them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click
from click.shell_completion import CompletionItem

from localagent import LocalAgentError
from localagent.settings import read_seconds

if TYPE_CHECKING:
    from localagent import ChatRequest

    DurationType = click.ParamType[float]
else:
    DurationType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class RequestOptions:
    """The options of a request.

    Attributes:
        model: ``provider/name`` or an alias; empty for the default model.
        system: The system prompt; empty for none.
        temperature: The sampling temperature.
        max_tokens: The maximum length of the answer in tokens.
        timeout: Seconds for the whole call.
    """

    model: str
    system: str
    temperature: float | None
    max_tokens: int | None
    timeout: float | None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the request that were given, without its model."""
        given = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {name: value for name, value in given.items() if value is not None}


def chat_request(request_options: RequestOptions, prompt: str) -> ChatRequest:
    """Return the request of one question."""
    from localagent import ChatRequest

    system = [{"role": "system", "content": request_options.system}] if request_options.system else []
    model = {"model": request_options.model} if request_options.model else {}
    return ChatRequest({"messages": [*system, {"role": "user", "content": prompt}], **model, **request_options.fields})


class Duration(DurationType):
    """A duration above zero: seconds, or text as in the settings."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the duration in seconds."""
        if isinstance(value, float):
            return value
        try:
            seconds = read_seconds(float(value) if value.replace(".", "", 1).isdecimal() else value)
        except ValueError:
            seconds = 0.0
        if not seconds:
            self.fail(f'{value} is not a duration such as 30, "250 ms", "30 s" or "5 min".', param, ctx)
        return seconds


def model_names(config: Path | None) -> list[str]:
    """Return the aliases, their targets and the providers of the settings. No server is asked, no plugin imported.

    Args:
        config: The settings file; None for the default one.
    """
    from localagent.settings import load_settings

    try:
        settings = load_settings(config)
    except LocalAgentError:  # completion cannot show an error
        return []
    targets = [target for alias in settings.models.values() for target in alias.targets]
    return list(dict.fromkeys([*settings.models, *targets, *(f"{name}/" for name in settings.providers)]))


def complete_model(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a model for a shell."""
    names = model_names(context.meta.get("localagent.config"))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def model_option(function: F) -> F:
    """Add the option ``--model`` to a command."""
    return click.option(
        "--model", "-m", default="", metavar="NAME", shell_complete=complete_model,
        help="PROVIDER/NAME or an alias; by default the default model.",
    )(function)  # fmt: skip


_OPTIONS = (
    model_option,
    click.option("--system", "-s", default="", metavar="TEXT", help="The system prompt."),
    click.option("--temperature", type=click.FloatRange(min=0), metavar="NUMBER",
                 help="The sampling temperature."),
    click.option("--max-tokens", type=click.IntRange(min=1), metavar="NUMBER",
                 help="The maximum length of the answer in tokens."),
    click.option("--timeout", type=Duration(), help='For the whole call: seconds, or text such as "5 min".'),
)  # fmt: skip


def request_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a request to a command, which gets them as its argument ``request_options``."""

    @functools.wraps(function)
    def with_sending(*arguments: Any, **options: Any) -> Any:
        request_options = RequestOptions(**{name: options.pop(name) for name in attrs.fields_dict(RequestOptions)})
        return function(*arguments, request_options=request_options, **options)

    for option in reversed(_OPTIONS):
        with_sending = option(with_sending)
    return with_sending

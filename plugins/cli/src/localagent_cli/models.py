"""``localagent models``: lists the available models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from localagent import LocalAgentError
from localagent.errors import ModelNotFound
from localagent_cli.line import CommandLine
from localagent_cli.options import command
from localagent_cli.request_options import Duration
from localagent_cli.sentences import sentence

if TYPE_CHECKING:
    from localagent import ModelInfo

SECONDS = 10.0
COLUMNS = ("Model", "Window", "Owner", "Instances")


@command("models", help="List the available models, by their names for --model.")
@click.option("--provider", metavar="NAME", help="Only the models of one provider.")
@click.option("--timeout", type=Duration(), default=SECONDS, help="How long to wait for an instance.  [default: 10 s]")
@click.option("--refresh", is_flag=True, help="Ask the instances, even if their lists are remembered.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def models(line: CommandLine, provider: str | None, timeout: float, *, refresh: bool, as_json: bool) -> None:
    """List the available models."""
    found, errors, aliases = line.run(_listed(line, provider, timeout, refresh=refresh))
    if as_json:
        line.terminal.line(_as_json(found, errors, aliases))
    else:
        rows = [*_alias_rows(aliases), *_rows(found)]
        if rows:
            line.terminal.table(COLUMNS, rows)
        for instance, error in errors.items():
            line.terminal.note(f"{instance} did not answer: {sentence(error)}", label="warning")
    if errors and not any(model.instance for model in found):
        raise next(iter(errors.values()))


async def _listed(
    line: CommandLine, provider: str | None, timeout: float, *, refresh: bool
) -> tuple[list[ModelInfo], dict[str, LocalAgentError], Mapping[str, Sequence[str]]]:
    async with line.client() as client:
        runtime = await client.runtime()
        sources = runtime.fleet.registry.providers
        missing = runtime.fleet.registry.missing
        if not sources:
            error = next((one.error for one in missing.values()), None)
            raise error or ModelNotFound("There is no provider, so there are no models.", hint="See: localagent doctor")
        if provider in missing and provider not in sources:
            raise missing[provider].error
        if provider is not None and provider not in sources:
            raise click.UsageError(f"There is no provider {provider}. Available: {', '.join(sources)}.")
        asked = [instance for instance in runtime.instances if provider in (None, instance.provider)]
        for one in missing.values():
            line.terminal.note(sentence(one.error), label="warning")
        ask = runtime.models.refresh if refresh else runtime.models.of
        answers = await asyncio.gather(*(_models_or_error(ask(instance, timeout)) for instance in asked))
    found = [model for answer in answers if not isinstance(answer, LocalAgentError) for model in answer]
    errors = {
        instance.id: answer
        for instance, answer in zip(asked, answers, strict=True)
        if isinstance(answer, LocalAgentError)
    }
    listed = {model.name for model in found}
    found += [model for model in runtime.models.configured(errors) if model.name not in listed]
    aliases = {name: alias.targets for name, alias in runtime.settings.models.items()} if provider is None else {}
    return found, errors, aliases


async def _models_or_error(listed: Awaitable[Sequence[ModelInfo]]) -> Sequence[ModelInfo] | LocalAgentError:
    try:
        return await listed
    except LocalAgentError as error:
        return error


def _rows(found: Iterable[ModelInfo]) -> list[tuple[str, ...]]:
    """Return one row per model, which lists its instances."""
    instances: dict[str, list[ModelInfo]] = {}
    for model in found:
        instances.setdefault(model.name, []).append(model)
    return [
        (name, _window(offers), offers[0].owner, ", ".join(offer.instance for offer in offers))
        for name, offers in sorted(instances.items())
    ]


def _window(offers: Iterable[ModelInfo]) -> str:
    """Return the context window in tokens; the smallest one if instances differ."""
    known = [offer.context_length for offer in offers if offer.context_length]
    return str(min(known)) if known else ""


def _alias_rows(aliases: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    return [(name, "", "", f"= {', '.join(targets)}") for name, targets in aliases.items()]


def _as_json(
    found: Iterable[ModelInfo], errors: Mapping[str, LocalAgentError], aliases: Mapping[str, Sequence[str]]
) -> str:
    document: dict[str, Any] = {
        "models": [{"name": model.name, **msgspec.structs.asdict(model)} for model in found],
        "aliases": aliases,
        "unreachable": [
            {"instance": instance, "code": error.code, "error": sentence(error)} for instance, error in errors.items()
        ],
    }
    return msgspec.json.encode(document).decode()

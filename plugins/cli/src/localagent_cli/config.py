"""``localagent config``: shows, checks and creates settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localagent.errors import SettingsError
from localagent_cli.line import CommandLine
from localagent_cli.options import command

if TYPE_CHECKING:
    from localagent import Settings


@click.group("config", help="Show or check the settings, or create a settings file.")
def config() -> None:
    """Group the commands about settings."""


@command("show", help="Print the settings in effect as TOML, defaults included; keys are hidden.")
def show(line: CommandLine) -> None:
    """Print the settings."""
    from localagent_cli.settings_text import show as as_toml

    settings = line.settings()
    line.terminal.line(f"# {settings.source or 'There is no settings file. These are the defaults.'}")
    line.terminal.write(as_toml(settings))


@command("check", help="Check the settings, those of plugins and providers included; no server is asked.")
def check(line: CommandLine) -> None:
    """Check the settings."""
    from localagent.instances import provider_types
    from localagent.settings import all_missing_keys
    from localagent_cli.sentences import sentence

    settings, pipeline, _ = line.assembled()
    types = provider_types(pipeline)
    for name in settings.providers:
        _check_provider(settings, name, {kind: found.settings for kind, (found, _) in types.items()})
    # Not an error in the settings: a key that is missing here may exist where the settings are used.
    for missing in all_missing_keys(settings, os.environ):
        line.terminal.note(sentence(missing.error), label="warning")
    line.terminal.line(
        f"{settings.source or 'The defaults'}: valid. {_counted(len(settings.providers), 'provider')} named, "
        f"{_counted(len(settings.models), 'alias', 'aliases')}, "
        f"{_counted(len(pipeline.plugins), 'plugin')} active."
    )


def _check_provider(settings: Settings, name: str, classes: dict[str, type]) -> None:
    from localagent.plugin_api import find_plugins, missing_type

    provider = settings.providers[name]
    if provider.type not in classes:
        hint = missing_type(provider.type, classes, find_plugins())
        raise SettingsError(f"{provider.place}: no active plugin brings the provider type {provider.type}.", hint=hint)
    settings.for_provider(name, classes[provider.type])


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


@command("init", help="Create a settings file to start from at PATH, by default ./localagent.toml.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--user", is_flag=True, help="Create it in the user's config folder, for all working directories.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(line: CommandLine, path: Path | None, user: bool, force: bool) -> None:
    """Create a settings file to start from."""
    from localagent.settings import FILE_NAME, config_folder
    from localagent_cli.settings_text import sample_settings

    path = path or (config_folder(os.environ) / FILE_NAME if user else Path(FILE_NAME))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(sample_settings())
    except FileExistsError:
        raise SettingsError(f"{path} already exists.", hint="Overwrite it with --force.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.", hint="Name another path.") from None
    line.terminal.line(f"Created {path} with all settings of the core, commented out.")


@command("path", help="Print the path of the settings file in use.")
def path(line: CommandLine) -> None:
    """Print the path of the settings file."""
    from localagent.settings import find_settings

    found = find_settings(line.config, os.environ)
    if found is None:
        raise SettingsError("There is no settings file.", hint="Create one with: localagent config init")
    line.terminal.line(str(found.absolute()))


for _command in (show, check, init, path):
    config.add_command(_command)

"""Finds the settings file and reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from localagent.errors import SettingsError
from localagent.settings.folders import config_folder
from localagent.settings.model import Settings

FILE_NAME = "localagent.toml"
CONFIG_VARIABLE = "LOCALAGENT_CONFIG"
PLUGINS_VARIABLE = "LOCALAGENT_PLUGINS"
_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_TWICE = ("Cannot declare", "Cannot overwrite", "Cannot mutate", "Duplicate")
_PLUGIN_LIST = re.compile(r"^\s*plugins\s*=\s*\[", re.MULTILINE)
_PLUGIN_TABLE = re.compile(r"^\s*(\[\s*plugins\s*[.\]]|plugins\s*\.)", re.MULTILINE)


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings file; without one, return the defaults.

    The file is the first of these that is given or exists: ``path``, the file that ``LOCALAGENT_CONFIG`` names,
    ``./localagent.toml``, ``localagent.toml`` in the user's config folder. ``LOCALAGENT_PLUGINS=a,b`` then overrides
    the choice of plugins; an empty variable counts as not set.

    Args:
        path: The file; it must exist.
        environment: The environment variables; None means the process's own.

    Raises:
        SettingsError: A file that was named is missing, or its contents are not valid settings.
    """
    environment = os.environ if environment is None else environment
    return read_settings_file(path, environment).settings(environment)


@attrs.frozen
class SettingsFile:
    """A settings file as it was when it was read. Another process gets the same settings from it at any later time.

    Attributes:
        path: The file; None if none was found, and the settings are the defaults.
        text: Its contents.
    """

    path: Path | None = None
    text: str = attrs.field(default="", repr=False)  # not yet checked, so it may contain a key

    def settings(self, environment: Mapping[str, str]) -> Settings:
        """Return the settings; arguments and errors as in ``load_settings``."""
        path = self.path
        settings = Settings() if path is None else Settings.from_mapping(_toml(path, self.text), str(path), path)
        chosen = chosen_plugins(environment)
        return attrs.evolve(settings, use=chosen) if chosen else settings


def read_settings_file(path: Path | None, environment: Mapping[str, str]) -> SettingsFile:
    """Read the file that ``load_settings`` uses, without interpreting it; arguments as there.

    Raises:
        SettingsError: A file that was named is missing or cannot be read.
    """
    found = find_settings(path, environment)
    return SettingsFile() if found is None else SettingsFile(found, _read_text(found))


def chosen_plugins(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the plugins that ``LOCALAGENT_PLUGINS`` names; empty if it is not set or empty."""
    return tuple(name.strip() for name in environment.get(PLUGINS_VARIABLE, "").split(",") if name.strip())


def find_settings(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the file that ``load_settings`` reads, or None when no file exists.

    Raises:
        SettingsError: ``LOCALAGENT_CONFIG`` names a file that does not exist or cannot be read.
    """
    if path is not None:
        return path
    if named := environment.get(CONFIG_VARIABLE):
        return _named(named)
    return next((file for file in _usual_places(environment) if _is_file(file)), None)


def _named(name: str) -> Path:
    """Return the file that the variable names; errors name the variable, because the path was not typed here."""
    path, named = Path(name), f"which {CONFIG_VARIABLE} names"
    try:
        path = path.expanduser()
        why = f"{name}, {named}, does not exist" if not path.exists() else ""
        why = f"{name}, {named}, is a folder" if path.is_dir() else why
    except RuntimeError:
        why = f"{name}, {named}, cannot be found: the home folder is not known"
    except (OSError, ValueError) as error:  # a folder that this user cannot access, a name that is too long
        why = f"{name}, {named}, cannot be read: {getattr(error, 'strerror', None) or error}"
    if why:
        raise SettingsError(f"{why}.", hint=f"Set {CONFIG_VARIABLE} to the path of a settings file, or unset it.")
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that this user cannot access, such as another user's home
        return False


def _toml(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
    except (ValueError, RecursionError):  # a number with thousands of digits, a thousand nested lists
        message = "a number is too long, or lists are nested too deeply (at end of document)"
    # Raised here and not above: the parser's error may contain the whole text.
    raise _syntax_error(path, text, message)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    raise SettingsError(f"{path} cannot be read: {why}.")


def _usual_places(environment: Mapping[str, str]) -> tuple[Path, ...]:
    here = Path(FILE_NAME)
    try:
        return here, config_folder(environment) / FILE_NAME
    except SettingsError:  # no home folder, so no settings there
        return (here,)


def _syntax_error(path: Path, text: str, message: str) -> SettingsError:
    match = _POSITION.fullmatch(message)
    message, line, column = match.groups() if match else (message, None, None)
    where = f"{path}, line {line}, column {column}" if line else f"{path}, at its end"
    if not message.startswith(_TWICE):
        hint = 'Write text in "quotes".' if message.startswith("Invalid value") else None
        return SettingsError(f"{where}: {message[0].lower()}{message[1:]}.", hint=hint)
    # The parser's own message quotes names, which may be keys in the wrong place.
    if _PLUGIN_LIST.search(text) and _PLUGIN_TABLE.search(text):
        hint = "Write the list as use = [...] at the top of the file, above the first [table]."
        return SettingsError(f"{where}: plugins is already a list.", hint=hint)
    return SettingsError(f"{where}: this name is defined twice.")

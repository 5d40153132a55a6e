"""The findings of ``doctor`` without starting anything: Python, libraries, settings, plugins, the state folder."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

import localagent
from localagent import LocalAgentError
from localagent.plugin_api import CORE, PROVIDER, install, known_plugins, missing_plugin
from localagent_cli.hints import install_one_of, strangers, uninstall
from localagent_cli.live_processes import Diagnosed

if TYPE_CHECKING:
    from localagent import Settings
    from localagent.pipeline import Pipeline
    from localagent.plugin_api import Report

Level = Literal["ok", "note", "warn", "broken"]

NOTHING_KEPT = "No files are kept after the process ends."
AIOHTTP = "localagent-connect-aiohttp"
"""The distribution that installs the HTTP library."""

LITTLE_SPACE = 100 * 2**20
"""Free bytes on the state folder's disk below which there is a warning."""


@attrs.frozen
class Finding:
    """One line of ``doctor``.

    Attributes:
        level: The severity; a ``broken`` finding makes ``doctor`` fail.
        subject: What the finding is about.
        text: What was found.
        hint: What to do about it; empty when there is nothing to do.
    """

    level: Level
    subject: str
    text: str
    hint: str = ""


def broken(subject: str, error: LocalAgentError) -> Finding:
    """Return an error as a finding of the level ``broken``."""
    return Finding("broken", subject, error.message, error.hint or "")


def installation() -> Iterator[Finding]:
    """Check Python and the HTTP library."""
    yield Finding("ok", "localagent", localagent.__version__)
    for name in strangers():
        yield Finding("broken", f"distribution {name}", "It is not part of LocalAgent but installs an import package "
                      "of the name localagent, whose files may replace those of LocalAgent.",
                      f"{uninstall(name)} Then {install(CORE, options='--force-reinstall --no-deps')}")  # fmt: skip
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    if importlib.util.find_spec("aiohttp") is not None:
        yield _http_library()


def _http_library() -> Finding:
    """Check the library that the default transport uses."""
    aiohttp: Any = importlib.import_module("aiohttp")
    parsers: Any = importlib.import_module("aiohttp.http_parser")
    if parsers.HttpResponseParser is not parsers.HttpResponseParserPy:
        return Finding("ok", "aiohttp", f"{aiohttp.__version__}, with its C parser")
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        return Finding("warn", "aiohttp", f"{aiohttp.__version__}, with its slow parser: AIOHTTP_NO_EXTENSIONS is set.",
                      "Run: unset AIOHTTP_NO_EXTENSIONS")  # fmt: skip
    return Finding("warn", "aiohttp", f"{aiohttp.__version__}, with its slow parser: its C parser is missing.",
                   f"{install(AIOHTTP, options='--force-reinstall --only-binary aiohttp')}")  # fmt: skip


def settings_file(settings: Settings) -> Finding:
    """Report which settings file is used."""
    if settings.source is None:
        return Finding("note", "settings", "There is no settings file; the defaults are used.",
                       "To create one, run: localagent config init")  # fmt: skip
    return Finding("ok", "settings", str(settings.source))


def state_folder(settings: Settings) -> Finding:
    """Check whether files can be kept after the process ends. Nothing is created."""
    from localagent.settings import state_folder as usual_folder

    try:
        folder = settings.state_folder or usual_folder(os.environ)
    except LocalAgentError as error:
        return Finding("warn", "state folder", f"{NOTHING_KEPT} {error.message}", error.hint or "")
    there = next(path for path in (folder, *folder.absolute().parents) if _exists(path))
    hint = "Set state_folder in the settings to another folder."
    if not there.is_dir():
        text = f"{NOTHING_KEPT} {folder} cannot be created: {there} is not a folder."
        return Finding("warn", "state folder", text, hint)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("warn", "state folder", f"{NOTHING_KEPT} {there} is not writable.", hint)
    if _free(there) < LITTLE_SPACE:
        return Finding("warn", "state folder", f"{folder}: only {_free(there) // 2**20} MiB are free.",
                       f"Free some space. {hint}")  # fmt: skip
    if (place := open_to_others(folder.absolute())) is not None:
        return Finding("warn", "state folder", f"{folder}: other users may write to {place}.",
                       f"Run: chmod go-w {place}")  # fmt: skip
    return Finding("ok", "state folder", str(folder))


def open_to_others(folder: Path) -> Path | None:
    """Return the folder in which other users of the machine could replace a file; None if they cannot.

    It is the folder itself, or a parent in which they may rename files of others. On Windows it is always None.

    Args:
        folder: An absolute path; folders that do not exist are skipped.
    """
    if os.name != "posix":
        return None
    for place in (folder, *folder.parents):
        try:
            found = place.stat()
        except OSError:
            continue
        foreign = found.st_uid not in (0, os.geteuid()) or bool(found.st_mode & 0o022)
        loose = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if foreign if place == folder else loose:
            return place
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that this user may not read
        return False


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def plugins(settings: Settings, reports: Iterable[Report]) -> Iterator[Finding]:
    """Report the plugins that failed, and those that are active, whether the settings name them or not."""
    reports = list(reports)
    for report in reports:
        if report.state == "failed":
            yield Finding("broken", f"plugin {report.name}", report.why, report.hint)
    active = [report.name for report in reports if report.state == "active"]
    if not active:
        yield Finding("broken", "plugins", "No plugin is active, so no model is available.", install_provider())
    elif settings.use is None:
        yield Finding("note", "plugins", f"Active because they are installed: {', '.join(active)}.",
                      "To choose them, set: use = [...]")  # fmt: skip
    else:
        yield Finding("ok", "plugins", f"Active because the settings name them: {', '.join(active)}.")


def install_provider() -> str:
    """Return the hint that says how to install a provider."""
    return install_one_of(plugin for name, plugin in known_plugins().items() if name.startswith(PROVIDER))


def of_plugins(settings: Settings, pipeline: Pipeline) -> Iterator[Finding]:
    """Ask plugins to check their own files and state."""
    for name, plugin in pipeline.plugins.items():
        if isinstance(plugin, Diagnosed):
            try:
                yield from plugin.diagnose(settings)
            except LocalAgentError as error:
                yield broken(f"plugin {name}", error)


def idle_settings(settings: Settings, pipeline: Pipeline) -> Iterator[Finding]:
    """Report settings that have no effect because their plugin is not active."""
    for name in settings.plugins:
        if name not in pipeline.plugins:
            yield Finding("warn", f"[plugins.{name}]", "It has no effect: this plugin is not active.", _activate(name))
    for hook, names in settings.order.items():
        for name in names:
            if name not in pipeline.plugins:
                yield Finding("warn", f"[order] {hook}", f"{name} has no effect: this plugin is not active.",
                              _activate(name))  # fmt: skip


def _activate(name: str) -> str:
    from localagent.plugin_api import find_plugins

    installed = find_plugins()
    return f"Add {name} to: use = [...]" if name in installed else missing_plugin(name, installed).hint or ""

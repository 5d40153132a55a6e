"""What ``doctor`` finds without starting anything: Python, libraries, settings, plugins, the state folder."""

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

NOTHING_KEPT = "What should outlive a process is not kept."
AIOHTTP = "localagent-connect-aiohttp"
"""The distribution that brings the HTTP library."""

LITTLE_SPACE = 100 * 2**20
"""Bytes on the state folder's disk below which there is a warning."""


@attrs.frozen
class Finding:
    """One line of ``doctor``.

    Attributes:
        level: How bad it is; a ``broken`` one makes ``doctor`` fail.
        subject: What it is about.
        text: What was found.
        hint: What to do about it; empty when nothing needs to be done.
    """

    level: Level
    subject: str
    text: str
    hint: str = ""


def broken(subject: str, error: LocalAgentError) -> Finding:
    """Return the finding that an error is."""
    return Finding("broken", subject, error.message, error.hint or "")


def installation() -> Iterator[Finding]:
    """Look at Python and at the HTTP library."""
    yield Finding("ok", "localagent", localagent.__version__)
    for name in strangers():
        yield Finding("broken", f"distribution {name}", "It is not part of LocalAgent, and brings an import package of "
                      "the same name, whose files may stand in the place of ours.",
                      f"{uninstall(name)} Then {install(CORE, options='--force-reinstall --no-deps')}")  # fmt: skip
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    if importlib.util.find_spec("aiohttp") is not None:
        yield _http_library()


def _http_library() -> Finding:
    """Look at the library that the default transport stands on."""
    aiohttp: Any = importlib.import_module("aiohttp")
    parsers: Any = importlib.import_module("aiohttp.http_parser")
    if parsers.HttpResponseParser is not parsers.HttpResponseParserPy:
        return Finding("ok", "aiohttp", f"{aiohttp.__version__}, with its parser in C")
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        return Finding("warn", "aiohttp", f"{aiohttp.__version__}, with its slow parser: AIOHTTP_NO_EXTENSIONS is set.",
                      "Run: unset AIOHTTP_NO_EXTENSIONS")  # fmt: skip
    return Finding("warn", "aiohttp", f"{aiohttp.__version__}, with its slow parser: the one in C is missing.",
                   f"{install(AIOHTTP, options='--force-reinstall --only-binary aiohttp')}")  # fmt: skip


def settings_file(settings: Settings) -> Finding:
    """Say which settings are in use."""
    if settings.source is None:
        return Finding("note", "settings", "There is no file; everything has its default.",
                       "To begin one, run: localagent config init")  # fmt: skip
    return Finding("ok", "settings", str(settings.source))


def state_folder(settings: Settings) -> Finding:
    """Look whether files that outlive the process can be kept; nothing else needs them. Nothing is made."""
    from localagent.settings import state_folder as usual_folder

    try:
        folder = settings.state_folder or usual_folder(os.environ)
    except LocalAgentError as error:
        return Finding("warn", "state folder", f"{NOTHING_KEPT} {error.message}", error.hint or "")
    there = next(path for path in (folder, *folder.absolute().parents) if _exists(path))
    hint = "Set state_folder in the settings to another folder."
    if not there.is_dir():
        return Finding("warn", "state folder", f"{NOTHING_KEPT} {folder} cannot be made: {there} is no folder.", hint)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("warn", "state folder", f"{NOTHING_KEPT} {there} cannot be written.", hint)
    if _free(there) < LITTLE_SPACE:
        return Finding("warn", "state folder", f"{folder}: {_free(there) // 2**20} MiB are free.",
                       f"Free some space. {hint}")  # fmt: skip
    if (place := open_to_others(folder.absolute())) is not None:
        return Finding("warn", "state folder", f"{folder}: other users may write to {place}.",
                       f"Run: chmod go-w {place}")  # fmt: skip
    return Finding("ok", "state folder", str(folder))


def open_to_others(folder: Path) -> Path | None:
    """Return the folder in which other users of the machine could replace a file; None where they cannot.

    It is the folder itself, or one above it in which they may rename what is not theirs. On Windows it is always None.

    Args:
        folder: An absolute path; what of it is not there is passed over.
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
    except OSError:  # in a folder that this user may not look into
        return False


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def plugins(settings: Settings, reports: Iterable[Report]) -> Iterator[Finding]:
    """Look at the plugins: which are active, which failed, which are active without being named."""
    reports = list(reports)
    for report in reports:
        if report.state == "failed":
            yield Finding("broken", f"plugin {report.name}", report.why, report.hint)
    active = [report.name for report in reports if report.state == "active"]
    if not active:
        yield Finding("broken", "plugins", "None is active, so no model can be asked.", install_provider())
    elif settings.use is None:
        yield Finding("note", "plugins", f"Active because they are installed: {', '.join(active)}.",
                      "To choose, write: use = [...]")  # fmt: skip
    else:
        yield Finding("ok", "plugins", f"Active because the settings name them: {', '.join(active)}.")


def install_provider() -> str:
    """Return the sentence that says how to install a provider."""
    return install_one_of(plugin for name, plugin in known_plugins().items() if name.startswith(PROVIDER))


def of_plugins(settings: Settings, pipeline: Pipeline) -> Iterator[Finding]:
    """Let plugins look at what is theirs, such as their files."""
    for name, plugin in pipeline.plugins.items():
        if isinstance(plugin, Diagnosed):
            try:
                yield from plugin.diagnose(settings)
            except LocalAgentError as error:
                yield broken(f"plugin {name}", error)


def idle_settings(settings: Settings, pipeline: Pipeline) -> Iterator[Finding]:
    """Look for settings that have no effect because the plugin that they are for is not active."""
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
    return f"Name {name} in: use = [...]" if name in installed else missing_plugin(name, installed).hint or ""

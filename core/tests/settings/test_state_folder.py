"""Where no files can be kept: everything works without them, and it is said once."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localagent import Client, LocalAgentError, Plugin
from localagent.errors import SettingsError
from localagent.settings import find_settings
from localagent_testing import fake_provider_plugin


class Keeper(Plugin):
    """Keeps files where it can."""

    name = "metrics-keeper"

    async def __aenter__(self) -> Any:
        try:
            self.folder: Path | None = self.core.folder
        except LocalAgentError as error:
            self.folder = None
            self.core.not_kept("figures", error)
        return self


class OtherKeeper(Keeper):
    """Another."""

    name = "metrics-other"


def in_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (folder / "file").touch()
    return {"XDG_STATE_HOME": str(folder / "file")}


def file_in_a_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (folder / ".local").touch()
    return {"HOME": str(folder)}


def a_system_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"HOME": "/dev/null"}


def no_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    def fails() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", fails)
    return {}


def read_only_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    def fails(self: Path, *arguments: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", fails)
    return {"XDG_STATE_HOME": str(folder)}


def folders_that_are_there_and_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).startswith(str(folder)))
    return {"XDG_STATE_HOME": str(folder)}


NOWHERE = [in_the_way, file_in_a_home, a_system_folder, no_home, read_only_disk, folders_that_are_there_and_read_only]


@pytest.mark.parametrize("nowhere", NOWHERE)
async def test_without_a_state_folder_one_warning_is_all(
    nowhere: Callable[[Path, pytest.MonkeyPatch], dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever the number of plugins and clients; requests are answered."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("localagent.settings.folders._reported", set())
    environment = nowhere(tmp_path, monkeypatch)
    for _ in range(2):
        plugins = [fake_provider_plugin(), Keeper, OtherKeeper]
        async with Client({}, plugins=plugins, environment=environment) as client:
            assert (await client.chat("Hello.")).text == "ok"
    said = [record for record in caplog.records if "outlive" in record.message]
    assert [record.levelname for record in said] == ["WARNING", "INFO", "INFO", "INFO"]
    assert "metrics-keeper: figures" in said[0].message
    assert "state_folder in the settings" in said[0].message


async def test_another_folder_is_another_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a change of the settings, say."""
    monkeypatch.setattr("localagent.settings.folders._reported", set())
    (tmp_path / "file").touch()
    for name in ("one", "two", "one"):
        settings = {"state_folder": str(tmp_path / "file" / name)}
        async with Client(settings, plugins=[fake_provider_plugin(), Keeper], environment={}):
            pass
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


def test_a_home_that_may_not_be_looked_into_holds_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose HOME is another user's."""

    def fails(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", fails)
    assert find_settings(None, {"HOME": "/somebody"}) is None


def test_a_named_file_in_an_unknown_home_is_one_sentence() -> None:
    """The variable is named."""
    with pytest.raises(SettingsError, match="LOCALAGENT_CONFIG"):
        find_settings(None, {"LOCALAGENT_CONFIG": "~nobody-of-this-name/x.toml"})

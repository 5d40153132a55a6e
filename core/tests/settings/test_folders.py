"""Where each platform keeps settings and files that outlive a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.errors import SettingsError
from localagent.settings import config_folder, state_folder

HOME = {"HOME": "/home/user"}


@pytest.mark.parametrize(
    ("platform", "environment", "config", "state"),
    [
        ("linux", HOME, "/home/user/.config", "/home/user/.local/state"),
        ("linux", {**HOME, "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c", "/s"),
        (
            "linux",
            {**HOME, "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": ""},
            "/home/user/.config",
            "/home/user/.local/state",
        ),
        ("darwin", HOME, "/home/user/Library/Application Support", "/home/user/Library/Application Support"),
        ("darwin", {**HOME, "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c", "/s"),
        ("win32", {"APPDATA": "/roaming", "LOCALAPPDATA": "/local"}, "/roaming", "/local"),
        ("linux", {**HOME, "APPDATA": "/roaming"}, "/home/user/.config", "/home/user/.local/state"),
    ],
)
def test_the_folders_are_the_platform_s(platform: str, environment: dict[str, str], config: str, state: str) -> None:
    """XDG paths count everywhere, but only absolute ones, as the specification asks."""
    assert config_folder(environment, platform) == Path(config) / "localagent"
    assert state_folder(environment, platform) == Path(state) / "localagent"


def test_without_HOME_the_system_is_asked() -> None:
    """An environment that is passed may be empty."""
    assert config_folder({}, "linux") == Path.home() / ".config" / "localagent"


def test_without_any_home_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no entry."""

    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(SettingsError, match="Set HOME"):
        state_folder({}, "linux")

"""The settings of the type, and durations as Ollama writes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import SettingsError
from localagent.settings import structure
from localagent_provider_ollama import OllamaSettings
from localagent_provider_ollama.settings import keep_alive_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("2h45m30.5s", 9930.5),
        pytest.param("0", 0.0, id="bare zero"),
        ("0s", 0.0),
        ("-1s", math.inf),
        ("-1m", math.inf),
        (0, 0.0),
        (600, 600.0),
        (0.5, 0.5),
        (-1, math.inf),
    ],
)
def test_a_duration_is_read_as_ollama_reads_it(value: object, seconds: float) -> None:
    """Numbers are seconds, negative durations last for ever."""
    assert keep_alive_seconds(value) == seconds


@pytest.mark.parametrize("value", ["", "5", "5 m", "m", "5m30", "soon", "5d", "-", None, True, [], {"m": 5}])
def test_what_is_no_duration_is_refused(value: object) -> None:
    """Ollama would refuse it too."""
    with pytest.raises(ValueError, match="no duration"):
        keep_alive_seconds(value)


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_of_a_duration_are_added(hours: int, minutes: int, seconds: int) -> None:
    """``1h2m3s`` is 3,723 seconds."""
    assert keep_alive_seconds(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


def test_settings_are_filled_from_a_table() -> None:
    """All three are optional."""
    table = {"num_ctx": 8192, "keep_alive": "30m", "options": {"num_gpu": 20}}

    assert structure(OllamaSettings, table, where="here") == OllamaSettings(8192, "30m", {"num_gpu": 20})
    assert structure(OllamaSettings, {}, where="here") == OllamaSettings(None, None, {})


@pytest.mark.parametrize("table", [{"num_ctx": 0}, {"num_ctx": "8k"}, {"keep_alive": "soon"}, {"num_contexts": 1}])
def test_wrong_settings_are_refused(table: dict[str, object]) -> None:
    """The error names the key."""
    with pytest.raises(SettingsError, match=next(iter(table))):
        structure(OllamaSettings, table, where="here")

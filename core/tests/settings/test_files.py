"""Finding the settings file and reading it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localagent.errors import SettingsError
from localagent.settings import load_settings
from localagent.settings.model import Settings
from localagent_testing.canaries import CANARY_KEY, Canaries


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the user's config folder is ``config`` in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(folder: Path, **variables: str) -> dict[str, str]:
    return {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **variables}


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def model(number: int) -> str:
    return f'default_model = "x/{number}"\n'


def refusal(path: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    return caught.value


def test_the_first_file_that_is_named_or_there_is_read(folder: Path) -> None:
    """The argument, the variable, the working directory, the user's folder, nothing."""
    variables = environment(folder)
    assert load_settings(None, variables) == Settings()
    user = write(folder / "config/localagent/localagent.toml", model(4))
    assert load_settings(None, variables).source == user
    write(folder / "localagent.toml", model(3))
    assert load_settings(None, variables).default_model == "x/3"
    variables["LOCALAGENT_CONFIG"] = str(write(folder / "named.toml", model(2)))
    assert load_settings(None, variables).default_model == "x/2"
    assert load_settings(write(folder / "given.toml", model(1)), variables).default_model == "x/1"


def test_a_file_that_is_named_must_be_there(folder: Path) -> None:
    """Falling back to another one would hide the mistake."""
    write(folder / "localagent.toml", model(3))
    assert refusal(Path("gone.toml")).message == "gone.toml cannot be read: No such file or directory."
    with pytest.raises(SettingsError, match=r"^gone\.toml, which LOCALAGENT_CONFIG names, does not exist"):
        load_settings(None, environment(folder, LOCALAGENT_CONFIG="gone.toml"))


def test_without_a_home_only_the_working_directory_is_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no entry."""

    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    assert load_settings(None, {}) == Settings()


@pytest.mark.parametrize(
    ("variable", "use"),
    [("a,b", ("a", "b")), (" a , b,", ("a", "b")), ("", ("file",)), (" , ", ("file",))],
)
def test_the_variable_chooses_plugins_in_the_file_s_stead(folder: Path, variable: str, use: tuple[str, ...]) -> None:
    """An empty variable counts as none."""
    write(folder / "localagent.toml", 'use = ["file"]')
    assert load_settings(None, environment(folder, LOCALAGENT_PLUGINS=variable)).use == use


def test_the_variable_works_without_a_file(folder: Path) -> None:
    """Nothing else than plugins may be wanted."""
    assert load_settings(None, environment(folder, LOCALAGENT_PLUGINS="a")).use == ("a",)


def test_errors_name_the_file(folder: Path) -> None:
    """As it was named."""
    assert refusal(write(folder / "a.toml", "timeot = 5")).message.startswith(f"{folder}/a.toml: timeot is unknown")


def test_paths_in_the_file_are_meant_from_its_folder(folder: Path) -> None:
    """Wherever the program was started."""
    path = write(folder / "etc/localagent.toml", 'state_folder = "state"')
    assert load_settings(path, {}).state_folder == folder / "etc/state"


def test_a_byte_order_mark_does_not_count(folder: Path) -> None:
    """Some editors write one."""
    assert load_settings(write(folder / "a.toml", b"\xef\xbb\xbfuse = []"), {}).use == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("use = []\ntimeout = 5 s", "line 2, column 13: expected newline or end of document after a statement."),
        ("default_model = fast", 'line 1, column 17: invalid value. Write text in "quotes".'),
        ("use = [", 'at its end: invalid value. Write text in "quotes".'),
        ("timeout = 1\ntimeout = 2\n", "line 2, column 12: this name is defined twice."),
        ("[order]\n[order]\n", "line 2, column 7: this name is defined twice."),
        (f"timeout = {'9' * 5000}", "at its end: a number is too long, or lists are nested too deeply."),
        (f"use = {'[' * 5000}", "at its end: a number is too long, or lists are nested too deeply."),
    ],
)
def test_wrong_syntax_is_told_with_file_and_line(folder: Path, text: str, said: str) -> None:
    """In a sentence, and with the usual way out."""
    assert str(refusal(write(folder / "a.toml", text))).endswith(f"a.toml, {said}")


@pytest.mark.parametrize("table", ["[plugins.cache-memory]\nttl = 5", "[plugins]", "plugins.cache-memory.ttl = 5"])
def test_a_list_of_plugins_beside_their_tables_is_told_its_other_name(folder: Path, table: str) -> None:
    """TOML does not take one name for a list and for tables."""
    error = refusal(write(folder / "a.toml", f'plugins = ["cache-memory"]\n{table}\n'))
    assert error.message.endswith(": plugins is already a list.")
    assert error.hint == "Write the list as use = [...] at the top of the file, above the first [table]."


def test_what_is_no_text_is_refused(folder: Path) -> None:
    """A folder, and another encoding."""
    assert "cannot be read" in refusal(folder).message
    assert "it is not UTF-8 text" in refusal(write(folder / "a.toml", b"use = ['\xff']")).message


@pytest.mark.parametrize(
    "text",
    [
        f"keys = [{CANARY_KEY}]",
        f'{CANARY_KEY} = 1\n{CANARY_KEY} = "{CANARY_KEY}"',
        f"[{CANARY_KEY}]\n[{CANARY_KEY}]",
        f'keys = "{CANARY_KEY}',
        f"a = {{ {CANARY_KEY} = 1, {CANARY_KEY} = 2 }}",
        f'"{CANARY_KEY}" = [',
        f"a = '{CANARY_KEY}\xff'",
    ],
)
def test_a_key_in_a_file_with_wrong_syntax_is_never_shown(folder: Path, text: str, canaries: Canaries) -> None:
    """Neither by the error nor by what hangs on it."""
    error = refusal(write(folder / "a.toml", text.encode("latin-1")))
    canaries.watch(error)
    assert error.message.startswith(f"{folder}/a.toml")


def test_reading_modules_are_imported_only_to_read() -> None:
    """``import localagent`` and its settings classes stay light."""
    code = (
        "import sys; import localagent.settings.files; "
        "print(*{'tomllib', 'difflib', 'aiohttp', 'click', 'pluggy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""

"""``localagent keys`` as it is typed."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from localagent import Attempt, LocalAgentError, Plugin, Refused, hookimpl
from localagent.pipeline import assemble
from localagent_cli import CommandLine, Log, Terminal
from localagent_gateway import GatewayPlugin
from localagent_gateway.keys.commands import end
from localagent_gateway.keys.commands import keys as group
from localagent_gateway.keys.store import KeyStore

SHOWN = re.compile(r"la-[a-z2-7]{10}-[A-Za-z0-9_-]{43}")


@attrs.frozen
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run ``localagent keys ...`` in this process, in a folder without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def run(*words: str) -> Result:
        terminal = Terminal()
        wrong = ""
        try:
            group.main(list(words), obj=CommandLine(terminal, Log(terminal)), standalone_mode=False)
        except LocalAgentError as error:
            wrong = str(error)
        except click.ClickException as error:
            wrong = error.format_message()
        said = capsys.readouterr()
        return Result(1 if wrong else 0, said.out, said.err + wrong)

    return run


def test_create_prints_the_key_once(run: Any, keys: KeyStore) -> None:
    """Alone on standard output, for a script; that it is shown once stands beside it."""
    made = run("create", "--name", "laptop")
    assert made.code == 0
    assert SHOWN.fullmatch(made.out.strip())
    assert "shown only once" in made.err
    assert [record.name for record in keys.records()] == ["laptop"]


def test_create_takes_all_that_a_key_may_have(run: Any, keys: KeyStore) -> None:
    """Tenant, models, an end, limits; as JSON what was made, with the key."""
    words = "--name ci --tenant team --models fast,openai/gpt-5-mini --limit rpm=60 --limit budget=2.5 --json".split()
    made = json.loads(run("create", *words, "--expires", "30 d").out)
    assert SHOWN.fullmatch(made["key"])
    assert (made["name"], made["tenant"], made["state"]) == ("ci", "team", "active")
    assert (made["models"], made["limits"]) == (["fast", "openai/gpt-5-mini"], {"rpm": 60, "budget": 2.5})
    (record,) = keys.records()
    assert record.expires is not None
    assert round(record.expires - record.created) == 30 * 86_400


def test_an_end_may_be_a_day(run: Any, keys: KeyStore) -> None:
    """In ISO form; without a zone it is that of this machine."""
    run("create", "--expires", "2100-01-31T00:00:00+00:00")
    assert [record.expires for record in keys.records()] == [4_105_036_800.0]


def test_list_never_shows_a_key(run: Any) -> None:
    """Neither as a table nor as JSON, nor what is kept of it; a revoked one stays in the list."""
    key = run("create", "--name", "laptop").out.strip()
    run("create", "--name", "old")
    run("revoke", "old")
    for words in (("list",), ("list", "--json")):
        listed = run(*words)
        assert "laptop" in listed.out
        assert not SHOWN.search(listed.out)
        assert key[14:] not in listed.out
        assert "digest" not in listed.out
    states = {row["name"]: row["state"] for row in json.loads(run("list", "--json").out)["keys"]}
    assert states == {"laptop": "active", "old": "revoked"}


def test_an_empty_list_says_what_to_do(run: Any) -> None:
    """On standard error; as JSON it is just empty."""
    assert "localagent keys create" in run("list").err
    assert json.loads(run("list", "--json").out) == {"keys": []}


def test_revoke_says_what_it_did(run: Any, keys: KeyStore) -> None:
    """By name or id."""
    run("create", "--name", "laptop")
    (record,) = keys.records()
    assert run("revoke", record.id).out == f"Revoked the key laptop ({record.id}).\n"
    run("create", "--name", "laptop")
    assert json.loads(run("revoke", "laptop", "--json").out)["state"] == "revoked"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("create --name la-mine", "does not start with la-"),
        ("create --name two,names", "up to 64 letters"),
        ("create --expires yesterday", "neither a duration"),
        ("create --expires 2001-01-01", "is in the past"),
        ("create --expires 0", "neither a duration"),
        ("create --limit fast", "is not a limit such as"),
        ("create --limit rpm=-1", "is not a limit such as"),
        ("create --limit rpm=1e9", "is not a limit such as"),
        ("create --models a,,b", "is not a list of models"),
        ("create --name taken", "already"),
        ("revoke nobody", "No key is named nobody. See: localagent keys list"),
    ],
)
def test_a_mistake_is_a_sentence(run: Any, keys: KeyStore, words: str, says: str) -> None:
    """It says what is wrong and changes nothing."""
    keys.create("taken")
    result = run(*words.split())
    assert result.code == 1
    assert says in result.err
    assert len(keys.records()) == 1


def test_a_duration_ends_from_now_and_a_day_when_it_comes() -> None:
    """Both in seconds since the epoch; nothing ends a key that never does."""
    assert end(None, 100.0) is None
    assert end(dt.timedelta(seconds=5), 100.0) == 105.0
    assert end(dt.datetime.fromtimestamp(200.0, dt.UTC), 100.0) == 200.0
    for over in (dt.timedelta(), dt.datetime(1960, 1, 1, tzinfo=dt.UTC)):
        with pytest.raises(click.UsageError):
            end(over, 100.0)


def test_the_first_key_warns_of_what_it_does(run: Any) -> None:
    """Everybody who has none is locked out from then on; later keys lock out nobody."""
    assert "from now on the gateway refuses all requests without a key" in run("create", "--name", "a").err
    assert "from now on" not in run("create", "--name", "b").err
    for name in ("a", "b"):
        run("revoke", name)
    assert "from now on" not in run("create", "--name", "c").err


@pytest.mark.parametrize("setting", ["always", "never"])
def test_where_the_first_key_changes_nothing_there_is_no_warning(run: Any, tmp_path: Path, setting: str) -> None:
    """Keys are needed anyway, or are never looked at."""
    (tmp_path / "localagent.toml").write_text(f'[plugins.gateway]\nrequire_keys = "{setting}"\n')
    assert "from now on" not in run("create", "--name", "a").err


def test_who_revokes_the_last_key_hears_that_nobody_is_let_in(run: Any) -> None:
    """Also as JSON, where what is left has expired, and in the list; with the ways back."""
    run("create", "--name", "a")
    run("create", "--name", "b")
    assert "refuses all requests" not in run("revoke", "a").err
    said = run("revoke", "b", "--json")
    json.loads(said.out)
    for err in (said.err, run("list").err):
        assert "No valid key is left: the gateway refuses all requests." in err
        assert "localagent keys create" in err
        assert 'require_keys = "never"' in err


def test_the_way_back_is_told_only_where_it_is_one(run: Any, tmp_path: Path) -> None:
    """Beyond loopback keys are always needed; with ``never`` nobody is refused."""
    settings = tmp_path / "localagent.toml"
    settings.write_text('[plugins.gateway]\nhost = "0.0.0.0"\n')
    run("create", "--name", "a")
    said = run("revoke", "a").err
    assert "refuses all requests" in said
    assert "never" not in said
    settings.write_text('[plugins.gateway]\nrequire_keys = "never"\n')
    run("create", "--name", "a")
    assert "refuses all requests" not in run("revoke", "a").err


class Limiter(Plugin):
    """Stands for a plugin that enforces limits."""

    name = "limiter"

    @hookimpl
    async def rate_check(self, attempt: Attempt) -> Refused | None:
        return None


@pytest.mark.parametrize("installed", [False, True])
def test_a_limit_that_nothing_enforces_is_told(run: Any, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """Until a plugin is installed that does; the limit is kept anyway."""
    plugins = [GatewayPlugin, *([Limiter] if installed else [])]
    assembled = assemble(None, plugins, os.environ)
    monkeypatch.setattr(CommandLine, "assembled", lambda line: assembled)
    made = run("create", "--limit", "rpm=60", "--json")
    assert json.loads(made.out)["limits"] == {"rpm": 60}
    assert ("No active plugin enforces limits" in made.err) is not installed
    assert "enforces" not in run("create").err


async def _localagent(*words: str) -> Result:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localagent_cli", *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
        env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"},
    )  # fmt: skip
    out, err = await process.communicate()
    return Result(await process.wait(), out.decode(), err.decode())


async def test_the_installed_command_makes_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: KeyStore
) -> None:
    """``localagent keys create`` is found through the plugin, and a mistake ends with an exit code of its own."""
    monkeypatch.chdir(tmp_path)
    made = await _localagent("keys", "create", "--name", "laptop")
    assert (made.code, len(made.out.split())) == (0, 1), made.err
    (record,) = keys.records()
    assert abs(record.created - time.time()) < 600
    again = await _localagent("keys", "create", "--name", "laptop")
    assert again.code != 0
    assert again.out == ""
    assert "A key named laptop already exists." in again.err


async def test_serve_without_the_active_gateway_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found anyway, and says what to do; keys can be made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "localagent.toml").write_text("use = []")
    refused = await _localagent("serve", "--port", "0")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "error: The plugin gateway is not active. Add it to use = [...].\n"
    assert (await _localagent("keys", "create", "--name", "laptop")).code == 0


async def test_serve_beyond_loopback_without_keys_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that creates a key, also where several workers would answer; nothing listens."""
    monkeypatch.chdir(tmp_path)
    refused = await _localagent("serve", "--host", "0.0.0.0", "--port", "0", "--workers", "2")
    assert refused.code != 0
    assert refused.err.count("\n") == 1
    assert "Run: localagent keys create" in refused.err

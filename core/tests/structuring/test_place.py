"""Where a value stands in the settings, and what an error may say about it."""

from __future__ import annotations

import pytest

from localagent.settings import looks_secret, names_secret
from localagent.structuring.place import Place
from localagent_testing.canaries import CANARY_KEY

HERE = Place("localagent.toml")


def test_a_place_is_the_file_and_the_dotted_key() -> None:
    """As it could be written in the file: what is no bare key is quoted."""
    assert str(HERE) == "localagent.toml"
    assert (
        str(HERE.key("models").key("gpt-4.1").key("targets").item(2)) == 'localagent.toml: models."gpt-4.1".targets[2]'
    )


def test_the_last_key_is_kept_as_it_was_written() -> None:
    """A provider is named by it."""
    assert HERE.key("providers").key("my.own").name == "my.own"


@pytest.mark.parametrize("value", ["fast", 12, 1.5, True, "30 sec"])
def test_a_short_plain_value_is_shown(value: object) -> None:
    """Anyone who mistyped it sees it again."""
    assert " = " in HERE.key("timeout").wrong(value, "a duration").message


@pytest.mark.parametrize(
    "value",
    [
        CANARY_KEY,
        "x" * 33,
        "q7Vt2mXw9LbR4kZp8NcJ3hYd",
        "0123456789abcdef",
        "Bearer abc",
        "gsk_abc",
        2**200,
        [1],
        {"a": 1},
    ],
)
def test_a_value_that_is_long_nested_or_like_a_key_is_not_shown(value: object) -> None:
    """Its kind is reported instead."""
    message = HERE.key("timeout").wrong(value, "a duration").message
    assert message.startswith("localagent.toml: timeout: expected a duration, not ")
    assert str(value) not in message


@pytest.mark.parametrize("name", ["api_key", "keys", "X-Auth-Token", "password", "headers", "client_secret", "apikey"])
def test_under_a_name_that_speaks_of_secrets_nothing_is_shown(name: str) -> None:
    """Not even what is short and looks like a word."""
    assert names_secret(name)
    assert "hunter2" not in HERE.key(name).key("inner").item(0).wrong("hunter2", "a table").message


@pytest.mark.parametrize("name", ["keepalive", "max_tokens", "timeout", "targets", "monkey", "author"])
def test_a_name_that_only_contains_such_a_word_is_plain(name: str) -> None:
    """Words count whole."""
    assert not names_secret(name)


def test_an_unknown_name_gets_the_nearest_right_one() -> None:
    """Also when it differs by case or by a hyphen."""
    known = ["limit", "keepalive", "max_size"]
    assert HERE.unknown("limt", known).hint == "Did you mean limit?"
    assert HERE.unknown("KeepAlive", known).hint == "Did you mean keepalive?"
    assert HERE.unknown("max-size", known).hint == "Did you mean max_size?"
    assert HERE.unknown("colour", known).hint is None


def test_an_unknown_name_gets_the_list_of_right_ones() -> None:
    """Or learns that there are none."""
    assert HERE.key("pool").unknown("colour", ["wait", "limit"]).message == (
        "localagent.toml: pool.colour is unknown: expected limit or wait."
    )
    assert HERE.unknown("colour", []).message == "localagent.toml: colour is unknown: expected no settings here."


def test_a_name_of_the_top_that_stands_too_low_is_sent_up() -> None:
    """What follows a header belongs to that header, which surprises everybody once."""
    place = Place("localagent.toml", top=frozenset({"default_model"})).key("models").key("fast")
    assert place.unknown("default_model", ["targets"]).hint == (
        "default_model belongs at the top of the file, above the first [table]."
    )


def test_a_key_written_as_a_name_is_not_shown() -> None:
    """Names of models and plugins are long, too; they are shown."""
    assert CANARY_KEY not in str(HERE.unknown(CANARY_KEY, ["limit"]))
    assert str(HERE.key("qwen2-5-coder-32b-instruct")).endswith("qwen2-5-coder-32b-instruct")


def test_control_characters_of_a_value_are_escaped() -> None:
    """An error goes to terminals and logs."""
    assert "\x1b" not in HERE.key("timeout").wrong("\x1b[31m\n\x9b", "a duration").message
    assert "\x1b" not in str(HERE.key("a\x1bb"))


def test_looking_like_a_key_errs_on_the_side_of_yes() -> None:
    """Prefixes of well-known services, and long runs of letters and digits."""
    assert all(
        map(looks_secret, [CANARY_KEY, "AIzaSyA1", "hf_abc", "Basic dXNlcg", "deadbeef01234567deadbeef01234567"])
    )
    assert not any(map(looks_secret, ["fast", "256 MiB", "http://10.0.0.7:8000/v1", "ollama/llama3.2:3b"]))

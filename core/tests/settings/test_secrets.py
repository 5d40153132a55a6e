"""A secret hides itself wherever text is made of it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import msgspec
import pytest

from localagent.structuring.secrets import Secret
from localagent_testing import CANARY_KEY

SECRET = Secret(CANARY_KEY)


@attrs.frozen
class Holder:
    key: Secret


TEXTS = {
    "repr": repr(SECRET),
    "str": str(SECRET),
    "format": f"{SECRET} {SECRET!r} {SECRET:>40}",
    "percent": "%s %r" % (SECRET, SECRET),  # noqa: UP031
    "holder": repr(Holder(SECRET)),
    "list": repr([SECRET]),
    "error": str(ValueError(SECRET)),
    "vars": repr([getattr(SECRET, name) for name in dir(SECRET) if name not in ("_value", "reveal")]),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_shows_it(text: str) -> None:
    """Not one letter of it, however it is asked."""
    assert "canary" not in text
    assert "***" in text or "method" in text


def test_format_keeps_the_width() -> None:
    """Tables stay straight."""
    assert f"{SECRET:>6}" == "   ***"


DUMPS = {
    "pickle": pickle.dumps,
    "copy": copy.deepcopy,
    "json": json.dumps,
    "msgspec json": msgspec.json.encode,
    "msgspec msgpack": msgspec.msgpack.encode,
}


@pytest.mark.parametrize("dump", DUMPS.values(), ids=DUMPS)
def test_it_cannot_be_written_down(dump: Any) -> None:
    """Pickle and JSON are refused instead of writing it or something else."""
    with pytest.raises(TypeError) as caught:
        dump(SECRET)
    assert "canary" not in str(caught.value)


def test_whoever_asks_by_name_gets_it() -> None:
    """There is one way, easy to search for."""
    assert SECRET.reveal() == CANARY_KEY


def test_secrets_compare_by_value() -> None:
    """With each other, never with text."""
    assert Secret(CANARY_KEY) == SECRET
    assert Secret("other") != SECRET
    assert SECRET != CANARY_KEY
    assert len({SECRET, Secret(CANARY_KEY), Secret("other")}) == 2
    assert hash(SECRET) != hash(CANARY_KEY)


def test_an_empty_secret_is_false() -> None:
    """So that ``key or None`` means what it says."""
    assert SECRET
    assert not Secret("")


def test_it_cannot_be_changed_by_accident() -> None:
    """It has no other attributes."""
    with pytest.raises(AttributeError):
        SECRET.value = "x"  # type: ignore[attr-defined]

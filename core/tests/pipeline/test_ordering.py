"""The order of a hook's steps: declared, settled, or by name; never by the order of discovery."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import PluginError
from localagent.pipeline.ordering import order_steps, role_of
from localagent.plugin_api.kinds import HookImpl


@attrs.frozen
class Entry:
    """A step that wants a place."""

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    must: bool = False


SIX = [
    Entry("cache-memory", before=("cache-valkey",)),
    Entry("cache-valkey"),
    Entry("failure-breaker", before=("rate",), must=True),
    Entry("rate-limit"),
    Entry("select-least-busy", after=("cache", "failure")),
    Entry("metrics-prometheus"),
]


def names(entries: list[Entry], settled: tuple[str, ...] = ()) -> list[str]:
    return list(why(entries, settled))


def why(entries: list[Entry], settled: tuple[str, ...] = ()) -> dict[str, str]:
    """The order, with its reasons."""
    marks = {entry.name: HookImpl(entry.before, entry.after, entry.must) for entry in entries}
    return order_steps(marks, settled, "rate_check")


def outcome(entries: list[Entry], settled: tuple[str, ...]) -> object:
    """The order with its reasons, or what the error says."""
    try:
        return list(why(entries, settled).items())
    except PluginError as error:
        return str(error)


@given(st.permutations(SIX))
def test_any_order_of_registration_gives_one_order(entries: list[Entry]) -> None:
    """Six steps, found in any order, stand in one order, for the same reasons."""
    assert list(why(entries).items()) == list(why(SIX).items())


@given(st.permutations(SIX), st.permutations([entry.name for entry in SIX]).map(lambda names: tuple(names[:3])))
def test_settings_give_one_order_too(entries: list[Entry], settled: tuple[str, ...]) -> None:
    """Also with settings; they either hold or contradict a ``must``, whatever was found first."""
    assert outcome(entries, settled) == outcome(SIX, settled)


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.data())
def test_every_declared_constraint_holds(letters: list[str], data: st.DataObject) -> None:
    """Where no circle is declared, each step stands behind all that it wants before it."""
    entries = [
        Entry(name, after=tuple(data.draw(st.lists(st.sampled_from(letters[:place]), unique=True)) if place else ()))
        for place, name in enumerate(letters)
    ]
    order = names(data.draw(st.permutations(entries)))
    assert sorted(order) == sorted(letters)
    for entry in entries:
        assert all(order.index(earlier) < order.index(entry.name) for earlier in entry.after)


def test_names_decide_what_nobody_declares() -> None:
    """Without constraints the order is that of the names."""
    assert names([Entry("b"), Entry("c"), Entry("a")]) == ["a", "b", "c"]


def test_a_role_stands_for_all_its_plugins() -> None:
    """``after="cache"`` means every plugin of that role, but not oneself."""
    entries = [Entry("cache-a", after=("cache",)), Entry("cache-b"), Entry("a", after=("cache",))]
    assert names(entries) == ["cache-b", "cache-a", "a"]


def test_absent_names_are_ignored() -> None:
    """A constraint on a plugin that is not active says nothing, in implementations and in settings."""
    assert names([Entry("a", after=("gone",), before=("role",))], ("gone", "a", "other")) == ["a"]


def test_settings_override_what_implementations_wish() -> None:
    """The order in the settings is stronger than ``before`` and ``after``."""
    entries = [Entry("a", before=("b",)), Entry("b")]
    assert names(entries, ("b", "a")) == ["b", "a"]


def test_settings_cannot_override_a_must() -> None:
    """A ``must`` that the settings contradict is an error that shows both, and where to fix it."""
    entries = [Entry("a", before=("b",), must=True), Entry("b")]
    with pytest.raises(PluginError) as caught:
        names(entries, ("b", "a"))
    message = str(caught.value)
    assert "a must run before b" in message
    assert "settings put b before a" in message
    assert "[order] rate_check" in message


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("must", [False, True])
def test_a_circle_is_an_error_that_shows_all_of_it(size: int, must: bool) -> None:
    """Steps that each want to stand behind the next cannot be put into order; every link is named."""
    circle = list(itertools.islice("abcde", size))
    entries = [
        Entry(name, after=(other,), must=must) for name, other in zip(circle, circle[1:] + circle[:1], strict=True)
    ]
    word = "must run" if must else "runs"
    with pytest.raises(PluginError) as caught:
        names(entries)
    for entry in entries:
        assert f"{entry.name} {word} after {entry.after[0]}" in str(caught.value)


def test_a_weak_wish_against_a_must_is_dropped() -> None:
    """What one plugin must overrules what another would like."""
    entries = [Entry("a", before=("b",), must=True), Entry("b", before=("a",))]
    assert names(entries) == ["a", "b"]


def test_every_place_has_its_reason() -> None:
    """The reasons name the constraint that decided; where none did, the name."""
    entries = [Entry("a", after=("b",)), Entry("b"), Entry("c"), Entry("d")]
    reasons = why(entries, ("d", "c"))
    assert reasons == {
        "a": "a runs after b",
        "b": "by name",
        "c": "settings put d before c",
        "d": "by name",
    }


def test_a_reason_is_said_where_one_stands_before() -> None:
    """A step that asked to stand before another says so."""
    assert why([Entry("z", before=("a",)), Entry("a")]) == {"a": "z runs before a", "z": "z runs before a"}


@pytest.mark.parametrize(("name", "role"), [("cache-memory", "cache"), ("bare", "bare"), ("a-b-c", "a")])
def test_the_role_is_the_first_word(name: str, role: str) -> None:
    """Up to the first hyphen."""
    assert role_of(name) == role


def test_a_star_means_every_other_step() -> None:
    """A step behind ``*`` stands last, whatever others wish and however they are called."""
    last = Entry("a-guard", after=("*",), must=True)
    others = [Entry("b"), Entry("rate-limit", after=("a-guard",)), Entry("z", before=("a-guard",))]
    assert names([last, *others]) == ["b", "rate-limit", "z", "a-guard"]
    with pytest.raises(PluginError, match="a-guard must run after"):
        names([last, *others], settled=("a-guard", "b"))

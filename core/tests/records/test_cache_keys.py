"""Cache keys: the whole request makes the key, except for the few fields that change nothing."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from localagent.errors import InvalidRequest
from localagent.records import cache_keys
from localagent.records.caching import IGNORED, CacheKey
from localagent.records.instances import Instance, Target
from localagent.records.requests import ChatRequest, CompletionRequest, EmbedRequest

HERE, THERE = (Instance(name, "fake", "fake", f"http://{name}.invalid") for name in ("here", "there"))
TARGET = Target(HERE, "m")

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
names = st.text(min_size=1).filter(lambda name: name not in IGNORED)
documents = st.dictionaries(names, values, max_size=6)


def key(
    document: dict[str, Any], *, tenant: str = "", target: Target = TARGET, adapter: str = "1", kind: Any = ChatRequest
) -> CacheKey:
    (only,) = cache_keys(kind(document), [target], tenant, adapter)
    return only


def canonical(value: Any) -> Any:
    """What tells two values apart as JSON does: 1 is not 1.0, and True is not 1."""
    if isinstance(value, dict):
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return (type(value).__name__, value, math.copysign(1.0, value) if isinstance(value, float) else 0)


@given(documents)
def test_equal_requests_have_equal_keys(document: dict[str, Any]) -> None:
    """Whatever the order of their fields, however deep."""

    def reordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: reordered(value[name]) for name in reversed(value)}
        return [reordered(item) for item in value] if isinstance(value, list) else value

    assert key(reordered(document)) == key(document)


@given(documents, documents)
def test_different_requests_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Digest and check both tell them apart."""
    assume(canonical(one) != canonical(other))
    first, second = key(one), key(other)
    assert first.digest != second.digest
    assert first.check != second.check


@given(documents, names, values)
def test_any_field_makes_another_key(document: dict[str, Any], name: str, value: Any) -> None:
    """One that nobody thought of as well: adding, changing and removing it all count."""
    assume(name not in document or canonical(document[name]) != canonical(value))
    assert key({**document, name: value}).digest != key(document).digest


@given(documents, st.sampled_from(sorted(IGNORED)), values)
def test_fields_that_change_nothing_do_not_count(document: dict[str, Any], name: str, value: Any) -> None:
    """Who asks, how it is sent, and under which name."""
    assert key({**document, name: value}) == key(document)


def test_the_fields_that_change_nothing_are_few() -> None:
    """A field that is added here makes two different answers one; so the list is written down twice."""
    assert {"model", "stream", "stream_options", "user", "metadata", "store", "safety_identifier"} == IGNORED


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (0, -0.0), (1, True), ("1", 1), (None, ""), ([], {}), ([1, 2], [2, 1])]
)
def test_values_that_python_calls_equal_are_not(one: Any, other: Any) -> None:
    """JSON tells them apart, and so may a server."""
    assert key({"x": one}).digest != key({"x": other}).digest


def test_a_missing_field_is_not_its_default() -> None:
    """Servers' defaults change."""
    assert key({}).digest != key({"temperature": 1}).digest
    assert key({}).digest != key({"temperature": None}).digest


@given(st.text(), st.text(), documents)
def test_tenants_have_keys_of_their_own(one: str, other: str, document: dict[str, Any]) -> None:
    """The tenant is part of the digest and stands in the key."""
    assume(one != other)
    first, second = key(document, tenant=one), key(document, tenant=other)
    assert first.digest != second.digest
    assert (first.tenant, second.tenant) == (one, other)


@given(documents)
def test_operations_have_keys_of_their_own(document: dict[str, Any]) -> None:
    """The same document means another thing elsewhere."""
    assert len({key(document, kind=kind).digest for kind in (ChatRequest, CompletionRequest, EmbedRequest)}) == 3


def test_targets_and_adapters_have_keys_of_their_own() -> None:
    """Another provider, another model, another version of the wire adapter: another answer."""
    other = Instance("x", "other", "fake", "http://x.invalid")
    digests = {
        key({}).digest,
        key({}, target=Target(HERE, "m2")).digest,
        key({}, target=Target(other, "m")).digest,
        key({}, adapter="2").digest,
    }
    assert len(digests) == 4


def test_instances_of_one_provider_share_a_key() -> None:
    """There is one key for each model, in the order of the targets."""
    targets = [Target(HERE, "a"), Target(THERE, "a"), Target(HERE, "b", 1), Target(THERE, "b", 1)]
    keys = cache_keys(ChatRequest({}), targets, "")
    assert [only.model for only in keys] == ["fake/a", "fake/b"]
    assert keys[0] == key({}, target=targets[1])


@given(st.text(), st.text(), st.text(), st.text())
def test_parts_of_the_key_do_not_run_together(tenant: str, model: str, other_tenant: str, other_model: str) -> None:
    """However letters are moved from one part to the other."""
    assume((tenant, model) != (other_tenant, other_model))
    first = key({}, tenant=tenant, target=Target(HERE, model))
    second = key({}, tenant=other_tenant, target=Target(HERE, other_model))
    assert first.digest != second.digest


def test_a_key_is_as_long_as_it_says() -> None:
    """32 bytes of digest, 16 of check, and the length of the document."""
    made = key({"b": 1, "a": "é"})
    assert (len(made.digest), len(made.check), made.size) == (32, 16, len(b'{"a":"\xc3\xa9","b":1}'))


def test_a_key_never_changes() -> None:
    """Stores outlive versions; a change of the encoding needs another version in the digest."""
    made = key({"messages": [{"role": "user", "content": "Hello."}], "temperature": 0}, tenant="t")
    assert made.digest.hex() == "c46bb2374dbf24a2a3d8b00088f501a704e910d3f1dfcf0fa9dbff414ce4c892"


def test_what_json_cannot_say_is_refused() -> None:
    """Before anything is looked up."""
    for value in (object(), {1: {2}}, "\ud800"):
        with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
            key({"x": value})


def test_a_document_that_is_too_deep_is_refused() -> None:
    """Without a RecursionError."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidRequest):
        key({"x": deep})


def test_keys_can_be_stored() -> None:
    """A key survives its encoding."""
    made = key({})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=CacheKey) == made

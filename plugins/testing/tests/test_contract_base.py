"""A contract cannot be thinned in silence."""

from __future__ import annotations

from typing import Any

import pytest

from localagent_testing import CacheContract, Contract, TransportContract


class Promising(Contract):
    __module__ = "localagent_testing.contracts.promising"

    async def test_one(self) -> None: ...

    async def test_two(self) -> None: ...


def subclass(*bases: type, **fields: Any) -> type:
    return type("TestMine", (*bases, Promising), {"__module__": __name__, **fields})


def test_a_subclass_that_keeps_all_is_fine() -> None:
    """Fixtures, tests of one's own and helpers may be added."""
    subclass(plugin=object, test_three=lambda self: None)


def marked(mark: pytest.MarkDecorator | None) -> Any:
    """A test that promises nothing, with a mark."""

    async def other(self: Any) -> None: ...

    return other if mark is None else mark(other)


SILENT = {
    "unmarked": None,
    "xfail": pytest.mark.xfail,
    "xfail, empty": pytest.mark.xfail(reason=""),
    "skip": pytest.mark.skip,
    "skipif, blank": pytest.mark.skipif(True, reason=" "),
    "another mark": pytest.mark.virtual,
}
EXCUSED = {
    "xfail": pytest.mark.xfail(reason="the server has none"),
    "skip": pytest.mark.skip("the server has none"),
    "skipif": pytest.mark.skipif(True, reason="the server has none"),
}


@pytest.mark.parametrize("mark", SILENT.values(), ids=SILENT)
def test_dropping_a_promise_without_a_reason_is_refused(mark: pytest.MarkDecorator | None) -> None:
    """Overriding a test is an error that names it, unless a mark says why."""
    with pytest.raises(TypeError, match=r"TestMine drops without a reason: test_one\."):
        subclass(test_one=marked(mark))


def test_removing_a_promise_is_refused() -> None:
    """Nothing is no test."""
    with pytest.raises(TypeError, match=r"TestMine drops without a reason: test_one\."):
        subclass(test_one=None)


@pytest.mark.parametrize("mark", EXCUSED.values(), ids=EXCUSED)
def test_a_reason_excuses(mark: pytest.MarkDecorator) -> None:
    """A mark with a reason is what everybody can read in the report."""
    subclass(test_one=marked(mark))


def test_a_mixin_drops_no_promise_either() -> None:
    """It makes no difference where the replacement comes from."""
    mixin = type("Mixin", (), {"test_two": None})
    with pytest.raises(TypeError, match="test_two"):
        subclass(mixin)


@pytest.mark.parametrize("marks", [pytest.mark.xfail, [pytest.mark.skip()]], ids=["one", "list"])
def test_a_whole_contract_is_not_dropped_without_a_reason(marks: Any) -> None:
    """``pytestmark`` is looked at, too."""
    with pytest.raises(TypeError, match="all of it"):
        subclass(pytestmark=marks)
    subclass(pytestmark=[pytest.mark.virtual])


@pytest.mark.parametrize("contract", [TransportContract, CacheContract])
def test_the_contracts_promise_what_they_say(contract: type[Contract]) -> None:
    """Every promise has a sentence that says what it is."""
    promises = [getattr(contract, name) for name in dir(contract) if name.startswith("test_")]
    assert len(promises) > 15
    assert all(promise.__doc__ for promise in promises)

"""The tree of errors: what each says, what follows from it, and that it can be handed on."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator

import pytest

from localagent import errors
from localagent.errors import (
    ConnectFailed,
    LocalAgentError,
    LocalRefusal,
    RateLimited,
    RequestRejected,
    StreamInterrupted,
    UpstreamError,
    UpstreamTimeout,
)


def tree(kind: type[LocalAgentError] = LocalAgentError) -> Iterator[type[LocalAgentError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


KINDS = list(tree())


def drawn() -> list[tuple[int, str]]:
    """The tree as the module's docstring draws it: depth and name."""
    lines = [
        line
        for line in (errors.__doc__ or "").splitlines()
        if re.match(r"    ([│ ]   )*[├└]── |    LocalAgentError$", line)
    ]
    return [(len(re.match(r"[ │├└─]*", line)[0]) // 4 - 1, line.strip(" │├└─").split()[0]) for line in lines]  # type: ignore[index]


def test_the_tree_is_drawn_as_it_is() -> None:
    """The picture at the top of the module shows every class at its place."""
    depth = {kind.__name__: len(kind.__mro__) - len(LocalAgentError.__mro__) for kind in KINDS}
    assert {name: level for level, name in drawn()} == depth


def test_every_error_is_public() -> None:
    """Anyone who catches one can import it."""
    assert {kind.__name__ for kind in KINDS} <= set(errors.__all__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_says_what_follows(kind: type[LocalAgentError]) -> None:
    """A docstring, a status, a code of its own, and advice that does not contradict itself."""
    assert inspect.getdoc(kind)
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"[a-z_]+", kind.default_code)
    advice = kind.default_advice
    assert advice.sent or advice.billed == "no"
    assert advice.billed != "yes" or not (advice.same or advice.next)
    if issubclass(kind, RequestRejected):
        assert (advice.breaker, advice.same) == ("alive", False)
    if issubclass(kind, LocalRefusal):
        assert advice.breaker == "neutral"
    assert kind("x").retryable == (advice.same or advice.next)
    assert kind("x").billed == advice.billed


def test_codes_are_not_shared_between_branches() -> None:
    """A code names one class, except for the few that are a case of their parent's."""
    named = [kind for kind in KINDS if "default_code" in vars(kind)]
    assert len({kind.default_code for kind in named}) == len(named)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
                         ids=["copy", "deepcopy", "pickle"])  # fmt: skip
def test_errors_can_be_handed_on(kind: type[LocalAgentError], way: object) -> None:
    """Across processes, with everything that they hold."""
    error = kind("It failed.", hint="Fix it.", provider="p", target="p/m at here", retry_after=1.5, code="special")
    error.request_id, error.attempts = "la-1", 3
    again = way(error)  # type: ignore[operator]
    assert type(again) is kind
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_an_error_reads_as_a_sentence_with_its_mend() -> None:
    """What happened, where, and what to do."""
    error = ConnectFailed("No connection: refused.", target="p/m at here", hint="Is the server running?")
    assert str(error) == "No connection: refused. [p/m at here] Is the server running?"
    assert str(ConnectFailed("p/m at here: refused.", target="p/m at here")) == "p/m at here: refused."
    assert str(LocalAgentError("It failed.")) == "It failed."


def test_what_is_not_given_is_the_classs_own() -> None:
    """Code and advice may be given for a case."""
    plain = RateLimited("Slowly.")
    assert (plain.code, plain.advice, plain.retry_after) == ("rate_limited", RateLimited.default_advice, None)
    special = RateLimited("Slowly.", code="tokens", advice=errors.Advice(), retry_after=2.0)
    assert (special.code, special.advice.same, special.retry_after) == ("tokens", False, 2.0)


def test_an_interrupted_stream_holds_what_arrived() -> None:
    """And what ended it."""
    cause = UpstreamTimeout("Nothing came.", phase="idle")
    error = pickle.loads(pickle.dumps(StreamInterrupted("It broke off.", partial="Hel", cause=cause)))
    assert (error.partial, type(error.cause), error.cause.phase) == ("Hel", UpstreamTimeout, "idle")
    assert isinstance(error, UpstreamError)

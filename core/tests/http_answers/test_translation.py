"""What a model server answers becomes one typed error, with the right consequences, and hides what must be hidden."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from localagent.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    UpstreamAuth,
    UpstreamServerError,
)
from localagent.http_answers import ErrorRule, translation
from localagent.http_answers.answer_shapes import LOOKED_AT, READ
from localagent.http_answers.error_rules import TABLE
from localagent_testing.common_answers import COMMON_ANSWERS as ANSWERS
from localagent_testing.common_answers import KEY, PAGE
from localagent_testing.translated import TARGET, Answered, answered, found, inside, openai_error


@pytest.mark.parametrize("fault", ANSWERS)
def test_every_fault_becomes_its_error(fault: str) -> None:
    """Class, retry, billing, breaker, status and code for the client, and the server's hint are as the table says."""
    case, expected = ANSWERS[fault]
    assert found(case(), expected) == expected


@pytest.mark.parametrize("fault", ANSWERS)
def test_every_error_names_provider_target_and_phase_and_is_one_short_line(fault: str) -> None:
    """No markup, no line ends, nothing longer than a sentence; survives pickling with the status for the client."""
    error = ANSWERS[fault][0]()
    assert (error.provider, error.target, error.phase) == ("openai", TARGET, "read")
    assert str(error).isprintable()
    assert len(error.message) <= 300
    assert "<" not in error.message
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.status, vars(copy)) == (type(error), error.status, vars(error))


def outcome(case: Answered) -> tuple[Any, ...]:
    """Return all that a rule can change."""
    error = case()
    return type(error), error.message, error.hint, error.code, error.status, error.advice


def test_no_rule_of_the_core_can_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one rule, at least one fault becomes something else: each rule is needed, and each is tested."""
    whole = {fault: outcome(case) for fault, (case, _) in ANSWERS.items()}
    idle = []
    for number, rule in enumerate(TABLE):
        monkeypatch.setattr(translation, "TABLE", TABLE[:number] + TABLE[number + 1 :])
        if all(outcome(case) == whole[fault] for fault, (case, _) in ANSWERS.items()):
            idle.append(rule)
    assert idle == []


CALLERS = {400, 404, 410, 413, 415, 418, 422}
"""Statuses below 500 that may speak of what the user wrote."""


@pytest.mark.parametrize("status", sorted({*range(400, 432), 451, *range(494, 498), 499} - {419, 420, 427, 430}))
def test_only_what_the_user_wrote_is_the_user_s_fault(status: int) -> None:
    """Everything else has a status from 500 on, or asks to go slower; and it helps to ask another target."""
    error = answered(status, openai_error("No."))()
    assert isinstance(error, RequestRejected) == (status in CALLERS)
    assert (error.status < 500) == (status in CALLERS | {402, 429, 499})
    if status not in CALLERS | {409, 423, 499}:
        assert error.advice.next


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (407, "A proxy asks for credentials (HTTP 407)."),
        (421, "The request reached a server that is not responsible for this address (HTTP 421)."),
        (425, "The server asks to send the request again (HTTP 425)."),
        (431, "The server does not accept the HTTP form of the request (HTTP 431)."),
    ],
)
def test_what_is_not_the_user_s_fault_is_said_in_our_words(status: int, says: str) -> None:
    """With what the owner of the settings can do."""
    error = answered(status)()
    assert error.message == says
    assert (error.hint is None) == (status in (421, 425))


def test_a_server_s_sentence_is_the_message_where_the_user_must_change_the_request() -> None:
    """What is wrong with a request is said in the server's words; a failure is said in ours, with the server's code."""
    assert (
        answered(400, openai_error("Invalid value for 'temperature'."))().message == "Invalid value for 'temperature'."
    )
    assert answered(404, openai_error("No model gpt-9."))().message == "No model gpt-9."
    assert answered(500, openai_error("Traceback: secret", type="server_error"))().message == (
        "The server failed (HTTP 500, server_error)."
    )
    assert answered(400, openai_error("Your prompt: ...", code="content_filter"))().message == (
        "A content policy refused the request (HTTP 400, content_filter)."
    )


@pytest.mark.parametrize("status", [400, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529])
def test_a_server_s_sentence_is_kept_whatever_the_status(status: int) -> None:
    """A limit, a quota or a crash is explained by the server alone; keys in it are hidden, and it is bounded."""
    error = answered(status, openai_error(f"Limit 3 of {KEY}\nreached: " + "word " * 200))()
    assert error.detail is not None
    assert error.detail.startswith("Limit 3 of ***\\nreached: word")
    assert len(error.detail) <= 300
    assert error.detail in str(error)
    assert pickle.loads(pickle.dumps(error)).detail == error.detail


def test_a_quoted_sentence_stands_between_ours_and_what_to_do() -> None:
    """It is reported once, also where it is the message."""
    assert str(answered(402, openai_error("Top up.", type="x"))()) == (
        f'No money or quota is left (HTTP 402, x). [{TARGET}] The server said: "Top up." '
        "Check the plan and the billing of provider 'openai'."
    )
    assert str(answered(400, openai_error("No such field."))()) == f"No such field. [{TARGET}]"


@pytest.mark.parametrize(
    "case",
    [
        answered(401, openai_error("Key abc.")),
        answered(400, openai_error("Incorrect API key: abc")),
        answered(500, PAGE),
        answered(500),
        answered(503, b"x" * 2000),
    ],
)
def test_what_must_not_or_cannot_be_shown_is_no_detail(case: Answered) -> None:
    """What is said about a wrong key, pages, and nothing."""
    assert case().detail is None


def test_the_words_of_a_401_are_never_shown() -> None:
    """They may show the key; not even the code is taken when it looks like one."""
    error = answered(401, openai_error(f"Incorrect API key provided: {KEY}.", code=KEY))()
    assert error.message == "The provider does not accept the key (HTTP 401, invalid_request_error)."
    assert error.hint == "Check the key of provider 'openai', in the settings or in the environment."


def test_a_validation_error_says_where_and_what_but_not_what_was_sent() -> None:
    """The shape of FastAPI holds the user's input beside the complaint; only place and complaint are shown."""
    entries = [{"loc": ["body", "messages", 0, "content"], "msg": "Field required", "input": "a private prompt"}]
    assert answered(422, {"detail": entries})().message == "body.messages.0.content: Field required"


def test_a_request_too_large_shows_the_client_413_and_others_stay_400() -> None:
    """The status belongs to the one error, not to its class."""
    assert answered(413)().status == 413
    assert answered(400)().status == InvalidRequest.status == 400


def test_the_id_of_the_request_is_kept_when_it_is_clean() -> None:
    """The first of the known headers that can be shown is the upstream's request id."""
    assert answered(500, b"", x_request_id="req_8f14e45fceea167a5a36dedd4bea2543")().upstream_request_id == (
        "req_8f14e45fceea167a5a36dedd4bea2543"
    )
    assert answered(500, b"", x_request_id="a\r\nb", request_id="req_2")().upstream_request_id == "req_2"
    assert answered(500, b"", x_ms_request_id="3")().upstream_request_id == "3"
    assert answered(500)().upstream_request_id is None


BODIES: dict[str, bytes] = {
    "empty": b"",
    "a page": PAGE,
    "invalid UTF-8": b'{"error": "\xff\xfe"}',
    "not a number": b'{"error": {"message": NaN}}',
    "nested too deep": b'{"error":' * 20_000,
    "deep but whole": b"[" * 900 + b"]" * 900,
    "a number too long": b'{"error": {"code": ' + b"9" * 10_000 + b"}}",
    "digits too long": b'{"error": {"code": "' + b"9" * 10_000 + b'"}}',
    "an invalid place": b'{"detail": [{"loc": true, "msg": null}, 1, {"loc": [[1], {}, 1e9]}]}',
    "superscript digits": '{"error": {"code": "⁴²⁹"}}'.encode(),
    "null": b"null",
    "a number": b"1",
    "error null": b'{"error": null}',
    "error list": b'{"error": [1, {"a": []}]}',
    "wrong types": b'{"error": {"code": [1], "type": {}, "message": 5, "details": {"violations": 3}}, "detail": {}}',
    "cut": b'{"error": {"mess',
    "more than is looked at": b'{"error": {"message": "' + b"a" * (LOOKED_AT + 1) + b'"}}',
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_says_nothing_leaves_the_status(body: str) -> None:
    """Whatever the body is, the status decides and our own sentence is shown."""
    error = answered(400, BODIES[body])()
    assert type(error) is InvalidRequest
    assert error.message == "The server rejected the request as invalid (HTTP 400)."
    assert type(answered(502, BODIES[body])()) is UpstreamServerError


def test_a_sentence_in_plain_text_is_a_message() -> None:
    """Some servers answer without JSON."""
    assert answered(400, b"unexpected field: foo\n")().message == "unexpected field: foo"


def test_of_a_long_message_the_beginning_is_read() -> None:
    """A message as long as the body allows costs no more than a short one, and is cut between words."""
    error = answered(400, openai_error("This model's maximum context length is 8 tokens. " + "word " * 10_000))()
    assert type(error) is ContextLengthExceeded
    assert error.message.endswith("...")
    cut = answered(400, openai_error("a" * (READ - 5) + f" {KEY}"))()
    assert cut.message == "a" * 297 + "..."


def test_markup_inside_a_message_is_not_shown() -> None:
    """A page in a JSON string is still a page."""
    error = answered(400, openai_error("<!DOCTYPE html><html>no</html>"))()
    assert error.message == "The server rejected the request as invalid (HTTP 400, invalid_request_error)."


OWN = (
    ErrorRule(QuotaExhausted, names="purse_empty"),
    ErrorRule(ModelNotFound, {400, 401}, text=r"no berth for (?P<model>\w+)", hint="Run: harbour fetch {model}."),
    ErrorRule(RateLimited, body=lambda body: body == {"tide": "low"}, code="low_tide"),
    ErrorRule(RateLimited, {429, None}, text="invalid value|incorrect api key"),
)


def test_a_provider_s_own_rules_are_asked_first() -> None:
    """By code, by sentence and by the body; without them the same answers are what the core makes of them."""
    empty = answered(400, openai_error(code="Purse_Empty"))
    assert (type(empty(rules=OWN)), type(empty())) == (QuotaExhausted, InvalidRequest)
    berth = answered(400, {"error": "No berth for m2 here"})
    assert (type(berth(rules=OWN)), berth(rules=OWN).hint) == (ModelNotFound, "Run: harbour fetch m2.")
    tide = answered(500, {"tide": "low"})
    assert (type(tide(rules=OWN)), tide(rules=OWN).code) == (RateLimited, "low_tide")
    assert type(inside({"error": "Incorrect API key"})(rules=OWN)) is RateLimited
    assert type(inside({"error": "Incorrect API key"})()) is UpstreamAuth


def test_a_401_is_about_the_key_unless_a_rule_names_it() -> None:
    """A rule without a status leaves it alone; one that names it decides, and the server's words are still hidden."""
    assert type(answered(401, openai_error(code="purse_empty"))(rules=OWN)) is UpstreamAuth
    error = answered(401, {"error": "No berth for m2"})(rules=OWN)
    assert (type(error), error.detail, error.message) == (
        ModelNotFound,
        None,
        "The server does not have the model (HTTP 401).",
    )

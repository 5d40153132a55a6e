"""What a model server answers becomes one typed error, with the right consequences, and hides what must be hidden."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest
from server_answers import ANSWERS, KEY, PAGE, TARGET, Case, Expected, answer, openai

from localagent.errors import ContextLengthExceeded, InvalidRequest, LocalAgentError, UpstreamServerError
from localagent.http_answers import translation
from localagent.http_answers.answer_shapes import LOOKED_AT, READ
from localagent.http_answers.error_rules import TABLE


def retries(error: LocalAgentError) -> str:
    """Say where asking again may help, in the words of ``Expected``."""
    words = [word for word, on in (("same", error.advice.same), ("next", error.advice.next)) if on]
    return " ".join(words) or "none"


@pytest.mark.parametrize("fault", ANSWERS)
def test_every_fault_becomes_its_error(fault: str) -> None:
    """Class, retry, billing, breaker, status and code for the client, and the server's hint are as the table says."""
    case, expected = ANSWERS[fault]
    error = case()
    assert type(error) is expected.kind
    found = Expected(
        type(error), retries(error), error.billed, error.advice.breaker, error.status, error.code, error.retry_after
    )
    if expected.retry_after is not None:
        assert error.retry_after == pytest.approx(expected.retry_after, abs=1e-3)
        found = attrs.evolve(found, retry_after=expected.retry_after)
    assert found == expected


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


def outcome(case: Case) -> tuple[Any, ...]:
    """Return all that a line of the table can change."""
    error = case()
    return type(error), error.message, error.mend, error.code, error.status, error.advice


def test_no_line_of_the_table_can_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one line, at least one fault becomes something else: each line is needed, and each is tested."""
    whole = {fault: outcome(case) for fault, (case, _) in ANSWERS.items()}
    idle = []
    for number, rule in enumerate(TABLE):
        monkeypatch.setattr(translation, "TABLE", TABLE[:number] + TABLE[number + 1 :])
        if all(outcome(case) == whole[fault] for fault, (case, _) in ANSWERS.items()):
            idle.append(rule)
    assert idle == []


def test_a_server_s_sentence_is_the_message_where_the_user_must_change_the_request() -> None:
    """What is wrong with a request is said in the server's words; a failure is said in ours, with the server's code."""
    assert answer(400, openai("Invalid value for 'temperature'."))().message == "Invalid value for 'temperature'."
    assert answer(404, openai("No model gpt-9."))().message == "No model gpt-9."
    assert answer(500, openai("Traceback: secret", type="server_error"))().message == (
        "The server failed (HTTP 500, server_error)."
    )
    assert answer(400, openai("Your prompt: ...", code="content_filter"))().message == (
        "A content policy refused the request (HTTP 400, content_filter)."
    )


@pytest.mark.parametrize("status", [400, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529])
def test_a_server_s_sentence_is_kept_whatever_the_status(status: int) -> None:
    """A limit, a quota or a crash is explained by the server alone; keys in it are hidden, and it is bounded."""
    error = answer(status, openai(f"Limit 3 of {KEY}\nreached: " + "word " * 200))()
    assert error.detail is not None
    assert error.detail.startswith("Limit 3 of ***\\nreached: word")
    assert len(error.detail) <= 300
    assert error.detail in str(error)
    assert pickle.loads(pickle.dumps(error)).detail == error.detail


def test_a_quoted_sentence_stands_between_ours_and_what_to_do() -> None:
    """It is told once, also where it is the message."""
    assert str(answer(402, openai("Top up.", type="x"))()) == (
        f'No money or no quota is left (HTTP 402, x). [{TARGET}] The server said: "Top up." '
        "Check the plan and the billing of provider 'openai'."
    )
    assert str(answer(400, openai("No such field."))()) == f"No such field. [{TARGET}]"


@pytest.mark.parametrize("case", [answer(401, openai("Key abc.")), answer(400, openai("Incorrect API key: abc")),
                                  answer(500, PAGE), answer(500), answer(503, b"x" * 2000)])  # fmt: skip
def test_what_must_not_or_cannot_be_shown_is_no_detail(case: Case) -> None:
    """What is said of a wrong key, pages, and nothing."""
    assert case().detail is None


def test_the_words_of_a_401_are_never_shown() -> None:
    """They may show the key; not even the code is taken when it looks like one."""
    error = answer(401, openai(f"Incorrect API key provided: {KEY}.", code=KEY))()
    assert error.message == "The provider does not accept the key (HTTP 401, invalid_request_error)."
    assert error.mend == "Check the key of provider 'openai', in the settings or in the environment."


def test_a_validation_error_says_where_and_what_but_not_what_was_sent() -> None:
    """The shape of FastAPI holds the user's input beside the complaint; only place and complaint are shown."""
    entries = [{"loc": ["body", "messages", 0, "content"], "msg": "Field required", "input": "a private prompt"}]
    assert answer(422, {"detail": entries})().message == "body.messages.0.content: Field required"


def test_a_missing_ollama_model_says_how_to_get_it() -> None:
    """The mend is the command, with the name that the server did not find."""
    error = answer(404, {"error": "model 'llama3.2:3b' not found"})()
    assert error.mend == "Run: ollama pull llama3.2:3b."


def test_a_name_that_is_no_model_makes_no_command() -> None:
    """A server cannot put a shell command into the mend."""
    error = answer(404, {"error": "model 'x; rm -rf ~' not found"})()
    assert "rm" not in (error.mend or "")


def test_a_model_that_does_not_fit_says_how_much_memory_it_needs() -> None:
    """A figure that matches a strict pattern may pass into our own sentence."""
    error = answer(500, {"error": "model requires more system memory (2.7 GiB) than is available (1.1 GiB)"})()
    assert error.message == "The model needs 2.7 GiB of memory, more than the server has (HTTP 500)."


def test_nobody_can_park_a_key_by_what_they_write() -> None:
    """A message that quotes a user's words is not taken for the server's own verdict."""
    quoted = "Invalid value: 'your credit balance is too low'. Incorrect API key provided: you."
    assert type(answer(400, openai(quoted))()) is InvalidRequest


def test_a_request_too_large_shows_the_client_413_and_others_stay_400() -> None:
    """The status belongs to the one error, not to its class."""
    assert answer(413)().status == 413
    assert answer(400)().status == InvalidRequest.status == 400


def test_the_id_of_the_request_is_kept_when_it_is_clean() -> None:
    """The first of the known headers that can be shown is the upstream's request id."""
    assert answer(500, b"", x_request_id="req_8f14e45fceea167a5a36dedd4bea2543")().upstream_request_id == (
        "req_8f14e45fceea167a5a36dedd4bea2543"
    )
    assert answer(500, b"", x_request_id="a\r\nb", request_id="req_2")().upstream_request_id == "req_2"
    assert answer(500, b"", x_ms_request_id="3")().upstream_request_id == "3"
    assert answer(500)().upstream_request_id is None


BODIES: dict[str, bytes] = {
    "empty": b"",
    "a page": PAGE,
    "invalid UTF-8": b'{"error": "\xff\xfe"}',
    "not a number": b'{"error": {"message": NaN}}',
    "nested too deep": b'{"error":' * 20_000,
    "deep but whole": b"[" * 900 + b"]" * 900,
    "a number too long": b'{"error": {"code": ' + b"9" * 10_000 + b"}}",
    "digits too long": b'{"error": {"code": "' + b"9" * 10_000 + b'"}}',
    "a place that is none": b'{"detail": [{"loc": true, "msg": null}, 1, {"loc": [[1], {}, 1e9]}]}',
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
    error = answer(400, BODIES[body])()
    assert type(error) is InvalidRequest
    assert error.message == "The server refused the request as wrong (HTTP 400)."
    assert type(answer(502, BODIES[body])()) is UpstreamServerError


def test_a_sentence_in_plain_text_is_a_message() -> None:
    """Some servers answer without JSON."""
    assert answer(400, b"unexpected field: foo\n")().message == "unexpected field: foo"


def test_of_a_long_message_the_beginning_is_read() -> None:
    """A message as long as the body allows costs no more than a short one, and is cut between words."""
    error = answer(400, openai("This model's maximum context length is 8 tokens. " + "word " * 10_000))()
    assert type(error) is ContextLengthExceeded
    assert error.message.endswith("...")
    cut = answer(400, openai("a" * (READ - 5) + f" {KEY}"))()
    assert cut.message == "a" * 297 + "..."


def test_markup_inside_a_message_is_not_shown() -> None:
    """A page in a JSON string is still a page."""
    error = answer(400, openai("<!DOCTYPE html><html>no</html>"))()
    assert error.message == "The server refused the request as wrong (HTTP 400, invalid_request_error)."

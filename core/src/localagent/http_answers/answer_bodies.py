"""The bodies of answers in the OpenAI schema: decoded to an object, or turned into an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from localagent.errors import EmptyResponse, UpstreamProtocol
from localagent.http_answers.answer_shapes import is_error
from localagent.http_answers.density import LARGE, refuse_dense
from localagent.http_answers.translation import inner_error
from localagent.schema.answer_documents import ABSENT, Answer, Choice

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt


class Embeddings(msgspec.Struct, gc=False):
    """An answer with embeddings. Its vectors are long, so they are not decoded before their size is known."""

    data: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


FAILED = "error"
"""The finish reason with which Mistral and OpenRouter report a failed answer."""

AnyBody = TypeVar("AnyBody", Answer, Embeddings)

decode_embeddings = msgspec.json.Decoder(Embeddings).decode
_NULL = msgspec.Raw(b"null")
_AGAIN = msgspec.structs.replace(UpstreamProtocol.default_advice, same=True)
_UNBILLED = msgspec.structs.replace(UpstreamProtocol.default_advice, billed="no")


def read_body(raw: bytes, attempt: Attempt, decode: Callable[[bytes], AnyBody], checked: bool = False) -> AnyBody:
    """Decode the JSON object of a body.

    Args:
        raw: The body; it begins with the object.
        attempt: The attempt that the answer belongs to.
        decode: ``decode_answer``, or ``decode_embeddings``.
        checked: Whether ``looked_through`` has accepted the body.

    Raises:
        LocalAgentError: The body is not such an object, or it is an error.
    """
    if not checked and len(raw) > LARGE:
        refuse_dense(raw, numbers=decode is decode_embeddings)
    try:
        if not (checked or raw.isascii()):
            raw.decode()  # msgspec does not check what it skips
        answer = decode(raw)
    except msgspec.DecodeError as error:
        raise not_json(attempt, "it is broken", again="truncated" in str(error)) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise not_json(attempt, type(error).__name__) from None
    failed = answer.error not in (None, ABSENT, _NULL)
    if failed or (answer.__class__ is Answer and says_failed(answer, raw)):
        raise inner_error(raw, attempt)
    return answer


def says_failed(answer: Answer, raw: bytes) -> bool:
    """Whether an answer, or an event of one, reports a failure: by its finish reason, or because it is an error."""
    return answer.choices[0].finish_reason == FAILED if answer.choices else is_error(raw)


def not_json(attempt: Attempt, why: str, *, again: bool = False) -> UpstreamProtocol:
    """Return the error of a body that is not a JSON object; ``again``: asking the same server again may help."""
    message = f"The server's answer is not the JSON that was asked for ({why})."
    return protocol_error(attempt, message, advice=_AGAIN if again else None)


def web_page(attempt: Attempt) -> UpstreamProtocol:
    """Return the error of a body that is a web page."""
    hint = "Check the url in the settings."
    return protocol_error(attempt, "The server's answer is a web page.", advice=_UNBILLED, hint=hint)


def protocol_error(attempt: Attempt, message: str, **more: Any) -> UpstreamProtocol:
    """Return the error of an answer that violates the protocol."""
    return UpstreamProtocol(message, phase="read", target=str(attempt.target), **more)


def choices_in(answer: Answer, attempt: Attempt) -> list[Choice]:
    """Return the choices of an answer.

    Raises:
        LocalAgentError: The answer has no choices.
    """
    if answer.choices is None:
        raise protocol_error(attempt, "The server's answer contains no choices.")
    if not answer.choices:
        raise EmptyResponse("The server answered without a choice.", target=str(attempt.target))
    return answer.choices

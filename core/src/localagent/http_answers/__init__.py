"""What HTTP providers share: from status to error, retry hints, redaction, the base for OpenAI-like servers.

For authors of providers. Most need none of this: ``ProviderSetup.refusal`` and ``OpenAICompatible`` use it for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent import lazily

# fmt: off
# isort: off
if TYPE_CHECKING:
    from localagent.http_answers.density import (
        LARGE as LARGE, looked_through as looked_through, refuse_dense as refuse_dense,
    )
    from localagent.http_answers.error_rules import ErrorRule as ErrorRule
    from localagent.http_answers.openai_stream import OpenAIDecoder as OpenAIDecoder, events_of as events_of
    from localagent.http_answers.redaction import redact as redact, redact_address as redact_address
    from localagent.http_answers.translation import (
        error_from_answer as error_from_answer, error_from_document as error_from_document, inner_error as inner_error,
    )
    from localagent.http_answers.whole_answers import (
        chat_response as chat_response, completion_response as completion_response, embed_response as embed_response,
        joined_response as joined_response,
    )
# isort: on
# fmt: on

__getattr__, __all__ = lazily(
    __name__,
    {
        "density": "LARGE looked_through refuse_dense",
        "error_rules": "ErrorRule",
        "openai_stream": "OpenAIDecoder events_of",
        "redaction": "redact redact_address",
        "translation": "error_from_answer error_from_document inner_error",
        "whole_answers": "chat_response completion_response embed_response joined_response",
    },
)

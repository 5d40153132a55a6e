"""What HTTP providers share: errors from answers, retry hints, redaction, and the base for OpenAI-like servers.

For authors of providers. Most do not need it directly: ``ProviderSetup.refusal`` and ``OpenAICompatible`` use it.
"""

from __future__ import annotations

from localagent.http_answers.density import LARGE, looked_through, refuse_dense
from localagent.http_answers.error_rules import ErrorRule
from localagent.http_answers.openai_stream import OpenAIDecoder, events_of
from localagent.http_answers.redaction import KEY_PATTERN, printable, redact
from localagent.http_answers.translation import error_from_answer, inner_error
from localagent.http_answers.whole_answers import chat_response, completion_response, embed_response, joined_response

__all__ = [
    "KEY_PATTERN", "LARGE", "ErrorRule", "OpenAIDecoder", "chat_response", "completion_response", "embed_response",
    "error_from_answer", "events_of", "inner_error", "joined_response", "looked_through", "printable", "redact",
    "refuse_dense",
]  # fmt: skip

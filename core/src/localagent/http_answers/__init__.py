"""What HTTP providers share: from status to error, retry hints, redaction, the base for OpenAI-like servers.

For authors of providers. Most need none of this: ``ProviderSetup.refusal`` and ``OpenAICompatible`` use it for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent.lazy import lazily

if TYPE_CHECKING:
    from localagent.http_answers.density import LARGE as LARGE
    from localagent.http_answers.density import looked_through as looked_through
    from localagent.http_answers.density import refuse_dense as refuse_dense
    from localagent.http_answers.redaction import redact as redact
    from localagent.http_answers.redaction import redact_address as redact_address
    from localagent.http_answers.translation import error_from_answer as error_from_answer
    from localagent.http_answers.translation import error_from_document as error_from_document
    from localagent.http_answers.translation import inner_error as inner_error

_HOMES = {
    "LARGE": "localagent.http_answers.density",
    "error_from_answer": "localagent.http_answers.translation",
    "error_from_document": "localagent.http_answers.translation",
    "inner_error": "localagent.http_answers.translation",
    "looked_through": "localagent.http_answers.density",
    "redact": "localagent.http_answers.redaction",
    "redact_address": "localagent.http_answers.redaction",
    "refuse_dense": "localagent.http_answers.density",
}

__all__ = [*_HOMES]  # noqa: PLE0604
__getattr__ = lazily(__name__, _HOMES)

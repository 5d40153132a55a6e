"""What a key with a model scope may not send on: fields by which an upstream router is told to use other models.

Each router has names of its own, and the next one will have others, so fields are refused by the words in their names.
Of what OpenAI, Ollama, vLLM and llama.cpp call their own parameters, only those that choose adapters are refused.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from localagent import Principal, Request
from localagent.errors import NotAllowed
from localagent.http_answers import redact

ROUTING = re.compile(
    r"model|fallback|rout(?:e|ing)|provider|litellm|extra|target|deployment|engine|endpoint|upstream|plugin|transform"
    r"|preset|adapter|(?<![a-z])lora|draft|user_?config"
)


def check_scope(request: Request, principal: Principal) -> None:
    """Check that a request does not ask an upstream for other models than its key may use.

    Args:
        request: What would be sent on, in the common schema.
        principal: Who asks.

    Raises:
        NotAllowed: A field does.
    """
    if principal.models is None:
        return
    options: Any = request.get("options")  # what Ollama's clients say there may be fields of its own elsewhere
    names = [name for name in request.document if name != "model"]
    for name in [*names, *(options if isinstance(options, dict) else ())]:
        if ROUTING.search(_folded(name)):
            raise NotAllowed(f"This key is for certain models, so the field {redact(name)[:60]} is not passed on.",
                             mend="Leave it out, or use a key for all models.")  # fmt: skip


def _folded(name: str) -> str:
    """Return a name as the most lenient readers see it: those in Go take no notice of case, in Unicode's sense."""
    return unicodedata.normalize("NFKC", name).casefold()

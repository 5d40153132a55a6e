"""Which API a request speaks to, and so the shape of its errors."""

from __future__ import annotations

from collections.abc import Callable

from localagent import LocalAgentError
from localagent.plugin_api import FrontAnswer, FrontRequest
from localagent_gateway.apis.anthropic.errors import anthropic_error
from localagent_gateway.apis.anthropic.models import asked_by_anthropic
from localagent_gateway.apis.ollama.errors import ollama_error
from localagent_gateway.apis.openai.errors import openai_error

ErrorShape = Callable[[LocalAgentError, FrontRequest], FrontAnswer]


def shape_of(request: FrontRequest) -> ErrorShape:
    """Return the shape of a request's errors, by its path: also where nothing is served there, and before its route.

    Ollama's API is ``/`` and ``/api``; Anthropic's is ``/v1/messages``, and all of ``/v1`` for clients that name the
    version of that API; every other path is OpenAI's.

    Args:
        request: The request; its path and headers are read.
    """
    first, _, rest = request.path[1:].partition("/")
    if request.path == "/" or first == "api":
        return ollama_error
    if first == "v1" and (rest.partition("/")[0] == "messages" or asked_by_anthropic(request.headers)):
        return anthropic_error
    return openai_error

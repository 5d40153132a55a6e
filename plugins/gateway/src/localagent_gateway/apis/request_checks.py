"""Checks of a request before it enters the pipeline.

Fields that choose other models: a request whose key is limited to certain models may not pass on fields that make an
upstream router use other models. Routers use different names for them, so fields are refused by the words in their
names. Of the parameters of OpenAI, Ollama, vLLM and llama.cpp, only those that choose adapters are refused.

Tool calls by a model without tool support: with ``tool_choice: auto``, or without the field, text is a valid answer,
too, so the request is sent on, and the server decides. A request that demands a call would get text although its client
expects a call, so it is refused by name.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from typing import Any

from localagent import LocalAgentError, Principal, Request, Target
from localagent.errors import NotAllowed
from localagent.http_answers import redact
from localagent.runtime import Runtime
from localagent_gateway.errors import WrongField, wrong

ROUTING = re.compile(
    r"model|fallback|rout(?:e|ing)|provider|litellm|extra|target|deployment|engine|endpoint|upstream|plugin|transform"
    r"|preset|adapter|(?<![a-z])lora|draft|user_?config"
)
LOOKUP_SECONDS = 5.0  # timeout for an instance to list its models; a slower one gets the request itself


def check_scope(request: Request, principal: Principal) -> None:
    """Check that a request does not ask an upstream for models that its key may not use.

    Args:
        request: The request, in the common schema.
        principal: The caller.

    Raises:
        NotAllowed: A field may choose another model.
    """
    if principal.models is None:
        return
    options: Any = request.get("options")  # other servers may read options of Ollama's clients as fields
    names = [name for name in request.document if name != "model"]
    for name in [*names, *(options if isinstance(options, dict) else ())]:
        if ROUTING.search(_folded(name)):
            raise NotAllowed(f"The field {redact(name)[:60]} is not allowed with a key for certain models.",
                             hint="Remove the field, or use a key for all models.")  # fmt: skip


def _folded(name: str) -> str:
    """Return a name as the most lenient parsers read it: those in Go ignore case, by Unicode's rules."""
    return unicodedata.normalize("NFKC", name).casefold()


def drop_idle_choice(chat: dict[str, Any]) -> None:
    """Drop the fields for tool calls if there are no tools, because servers refuse them; a demanded call stays."""
    if chat.get("tools"):
        return
    chat.pop("tools", None)
    chat.pop("parallel_tool_calls", None)
    if chat.get("tool_choice") in ("auto", "none"):
        del chat["tool_choice"]


def demands_call(request: Request) -> bool:
    """Return whether a request demands a tool call: of any tool, or of a specific one."""
    document = request.document
    choice = document.get("tool_choice", document.get("function_call"))  # the latter is the older name
    if choice in (None, "auto", "none"):
        return False
    if isinstance(choice, dict) and isinstance(allowed := choice.get("allowed_tools"), dict):
        return allowed.get("mode") != "auto"
    return True


async def check_demand(request: Request, principal: Principal, core: Runtime) -> None:
    """Check that a demanded tool call is possible.

    Args:
        request: A request that demands a call.
        principal: The caller.
        core: The running core.

    Raises:
        WrongField: The request names no tools, or no model that may answer supports tools.
    """
    if not (request.get("tools") or request.get("functions")):
        raise wrong("The field tool_choice demands a call, but the field tools names no tool.", "tool_choice")
    targets = core.fleet.names.targets(request.model, principal)
    for target in targets:
        if not await _has_none(target, core):
            return
    asked = request.model or targets[0].name
    raise WrongField(
        f"The model {asked} cannot call tools, but the field tool_choice demands a call.",
        param="tool_choice", code="unsupported", hint="Use another model, or remove tool_choice.",
    )  # fmt: skip


async def _has_none(target: Target, core: Runtime) -> bool:
    """Return whether a model is known not to support tools; earlier knowledge is enough to accept a request."""
    names = (target.model, f"{target.model}:latest")
    state = core.instances.find(target.instance)
    known = state.models if state is not None else None
    if known is not None and not any(known[name].tools is False for name in names if name in known):
        return False
    with contextlib.suppress(LocalAgentError):
        models = await core.models.of(target.instance, LOOKUP_SECONDS)
        return any(model.tools is False for model in models if model.id in names)
    return False

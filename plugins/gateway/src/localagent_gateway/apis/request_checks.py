"""What a request must not ask for, checked before it goes into the pipeline.

Fields that choose other models: a key with a model scope may not send on fields by which an upstream router is told to
use other models. Each router has names of its own, and the next one will have others, so fields are refused by the
words in their names. Of what OpenAI, Ollama, vLLM and llama.cpp call their own parameters, only those that choose
adapters are refused.

A call of a tool by a model that can make none: with ``tool_choice: auto``, or without the field, words are an answer
too, so such a request is sent on, and what the server says counts. One that demands a call would get words where its
client expects a call, so it is refused by name.
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
LOOKUP_SECONDS = 5.0  # for an instance to list its models; one that takes longer is asked for the answer itself


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
                             hint="Leave it out, or use a key for all models.")  # fmt: skip


def _folded(name: str) -> str:
    """Return a name as the most lenient readers see it: those in Go take no notice of case, in Unicode's sense."""
    return unicodedata.normalize("NFKC", name).casefold()


def drop_idle_choice(chat: dict[str, Any]) -> None:
    """Drop what says how tools are called where there are none: servers refuse it; a demand is left to be refused."""
    if chat.get("tools"):
        return
    chat.pop("tools", None)
    chat.pop("parallel_tool_calls", None)
    if chat.get("tool_choice") in ("auto", "none"):
        del chat["tool_choice"]


def demands_call(request: Request) -> bool:
    """Whether a request says that a tool must be called: any, or a certain one."""
    document = request.document
    choice = document.get("tool_choice", document.get("function_call"))  # the latter is the older name
    if choice in (None, "auto", "none"):
        return False
    if isinstance(choice, dict) and isinstance(allowed := choice.get("allowed_tools"), dict):
        return allowed.get("mode") != "auto"
    return True


async def check_demand(request: Request, principal: Principal, core: Runtime) -> None:
    """Check that a call that is demanded can be made.

    Args:
        request: A request that demands a call.
        principal: Who asks.
        core: The running core.

    Raises:
        WrongField: The request names no tools, or every model that may answer is known to have none.
    """
    if not (request.get("tools") or request.get("functions")):
        raise wrong("The field tool_choice demands a call, and the field tools names no tool.", "tool_choice")
    targets = core.fleet.names.targets(request.model, principal)
    for target in targets:
        if not await _has_none(target, core):
            return
    asked = request.model or targets[0].name
    raise WrongField(
        f"The model {asked} cannot call tools, and the field tool_choice demands a call.",
        param="tool_choice", code="unsupported", hint="Ask another model, or leave tool_choice out.",
    )  # fmt: skip


async def _has_none(target: Target, core: Runtime) -> bool:
    """Whether a model is known to have no tools; what was known before is enough to let a request pass."""
    names = (target.model, f"{target.model}:latest")
    state = core.instances.find(target.instance)
    known = state.models if state is not None else None
    if known is not None and not any(known[name].tools is False for name in names if name in known):
        return False
    with contextlib.suppress(LocalAgentError):
        models = await core.models.of(target.instance, LOOKUP_SECONDS)
        return any(model.tools is False for model in models if model.id in names)
    return False

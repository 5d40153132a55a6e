"""Tools and their choice, from Anthropic's schema to OpenAI's.

===================================  ==================================================================================
at Anthropic                         in the OpenAI schema
===================================  ==================================================================================
a tool with ``input_schema``         a function with ``parameters``; ``name``, ``description``, ``strict`` are the same
a tool of a named type               refused: Anthropic's servers run it, or its schema is known to their models alone
``auto``, ``any``, ``tool``          ``auto``, ``required``, the function by its name
``none``                             ``none``
``disable_parallel_tool_use``        ``parallel_tool_calls: false``
===================================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localagent_gateway.apis.anthropic.blocks import only, text_of
from localagent_gateway.apis.anthropic.errors import unsupported, wrong
from localagent_gateway.apis.bodies import named

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def functions(tools: Any) -> list[dict[str, Any]]:
    """Return tools as functions.

    Args:
        tools: The ``tools`` of a request.

    Raises:
        InvalidRequest: One of them is no tool that a client runs (code ``unsupported``), or is wrong.
    """
    if not isinstance(tools, list):
        raise wrong("The field tools is no list.")
    return [_function(tool, f"tools[{number}]") for number, tool in enumerate(tools)]


def _function(tool: Any, where: str) -> dict[str, Any]:
    if not isinstance(tool, Mapping):
        raise wrong(f"{where} is no object.")
    kind = tool.get("type") or "custom"
    if kind != "custom":
        raise unsupported(f"{where}: a tool of type {named(kind)!r}", "Describe it with input_schema.")
    # How finely the input is streamed is the server's affair: eager_input_streaming changes no byte of it.
    known = ("name", "description", "input_schema", "strict", "eager_input_streaming", "allowed_callers")
    only(tool, where, *known)
    if tool.get("allowed_callers") not in (None, [], ["direct"]):
        raise unsupported(f"{where}.allowed_callers other than direct")
    if not isinstance(tool.get("input_schema"), dict):
        raise wrong(f"{where}.input_schema is no object.")
    function = {"name": text_of(tool, "name", where), "parameters": tool["input_schema"]}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def choice(said: Any) -> dict[str, Any]:
    """Return the fields that say which tools are to be called.

    Args:
        said: The ``tool_choice`` of a request.

    Raises:
        InvalidRequest: It is none of Anthropic's choices.
    """
    kind = said.get("type") if isinstance(said, Mapping) else None
    if not isinstance(kind, str) or (kind != "tool" and kind not in _CHOICES):
        raise wrong("The field tool_choice is none of auto, any, tool and none.")
    only(said, "tool_choice", "disable_parallel_tool_use", *(("name",) if kind == "tool" else ()))
    fields: dict[str, Any] = {"tool_choice": _CHOICES.get(kind)}
    if kind == "tool":
        fields["tool_choice"] = {"type": "function", "function": {"name": text_of(said, "name", "tool_choice")}}
    if said.get("disable_parallel_tool_use"):
        fields["parallel_tool_calls"] = False
    return fields

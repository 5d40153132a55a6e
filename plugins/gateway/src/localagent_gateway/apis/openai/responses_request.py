"""A request of the Responses API as a chat request.

Fields that both APIs know, and fields that nobody here knows, are passed on as they are. Fields of the Responses API
alone are translated, or refused where a chat cannot say them, or where the gateway would have to keep something.
"""

from __future__ import annotations

from typing import Any

from localagent import ChatRequest
from localagent_gateway.apis.bodies import named
from localagent_gateway.apis.openai.errors import WrongField
from localagent_gateway.apis.openai.responses_input import messages_of

Document = dict[str, Any]

# Told in the answer alone, or without meaning where no tools of a server are run. ``store: false`` is what happens.
_NOT_SENT = frozenset({
    "background", "conversation", "include", "input", "instructions", "max_output_tokens", "max_tool_calls",
    "metadata", "parallel_tool_calls", "previous_response_id", "prompt", "reasoning", "store", "stream",
    "stream_options", "text", "tool_choice", "tools", "truncation",
})  # fmt: skip

_STATE = {
    "store": "Leave store out or set it to false.",
    "background": "Leave background out and wait for the answer.",
    "previous_response_id": "Send the whole conversation as input.",
    "conversation": "Send the whole conversation as input.",
    "prompt": "Send instructions and input instead of the id of a prompt.",
}
_FORMAT = ("name", "description", "schema", "strict")
_FUNCTION = ("name", "description", "parameters", "strict")


def chat_request(document: Document) -> ChatRequest:
    """Return the chat request that a Responses request stands for.

    Args:
        document: The decoded body; stays as it is.

    Raises:
        InvalidRequest: A field is wrong, needs state that the gateway does not keep, or cannot be said in a chat.
    """
    _refuse_state(document)
    _refuse_unsupported(document)
    chat = {name: value for name, value in document.items() if name not in _NOT_SENT}
    chat["messages"] = _instructions(document) + messages_of(document.get("input"))
    if (most := document.get("max_output_tokens")) is not None:
        chat["max_completion_tokens"] = most
    chat |= _reasoning(document) | _text(document) | _tools(document)
    request = ChatRequest(chat)
    request.check()
    return request


def _refuse_state(document: Document) -> None:
    for name, mend in _STATE.items():
        if document.get(name):
            raise WrongField(f"The gateway keeps no state, so the field {name} cannot be served.",
                             param=name, code="unsupported", mend=mend)  # fmt: skip


def _refuse_unsupported(document: Document) -> None:
    if document.get("truncation") not in (None, "disabled"):
        raise _unsupported("truncation", document["truncation"])
    include = document.get("include") or []
    # Encrypted reasoning stands in for what a server would keep. No chat brings any, so there is none to include.
    strange = [one for one in include if one != "reasoning.encrypted_content"] if isinstance(include, list) else include
    if strange:
        raise _unsupported("include", strange)


def _instructions(document: Document) -> list[Document]:
    given = document.get("instructions")
    if given is not None and not isinstance(given, str):
        raise WrongField("The field instructions is no text.", param="instructions")
    return [{"role": "system", "content": given}] if given else []


def _reasoning(document: Document) -> Document:
    effort = _object(document, "reasoning").get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _text(document: Document) -> Document:
    text = _object(document, "text")
    found = {} if text.get("verbosity") is None else {"verbosity": text["verbosity"]}
    form = _object(text, "format")
    kind = form.get("type", "text")
    if kind == "json_schema":
        found["response_format"] = {"type": kind, "json_schema": _known(form, _FORMAT)}
    elif kind == "json_object":
        found["response_format"] = {"type": kind}
    elif kind != "text":
        raise _unsupported("text.format.type", kind)
    return found


def _tools(document: Document) -> Document:
    """Return the fields about tools; without tools a chat may have none of them."""
    tools = document.get("tools") or []
    if not isinstance(tools, list):
        raise WrongField("The field tools is no list.", param="tools")
    if not tools:
        return {}
    found = _known(document, ("tool_choice", "parallel_tool_calls"))
    if isinstance(choice := found.get("tool_choice"), dict):
        if choice.get("type") != "function":
            raise _unsupported("tool_choice", choice.get("type"))
        found["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    return {**found, "tools": [_function(tool) for tool in tools]}


def _function(tool: Any) -> Document:
    if not isinstance(tool, dict):
        raise WrongField("An entry of tools is no object.", param="tools")
    if tool.get("type") != "function":
        raise WrongField(f"Tools of type {named(tool.get('type'))} are not run here: only function tools are.",
                         param="tools", code="unsupported")  # fmt: skip
    if not isinstance(tool.get("name"), str):
        raise WrongField("A function in tools has no name.", param="tools")
    return {"type": "function", "function": _known(tool, _FUNCTION)}


def _known(given: Document, names: tuple[str, ...]) -> Document:
    return {name: given[name] for name in names if given.get(name) is not None}


def _object(document: Document, name: str) -> Document:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WrongField(f"The field {name} is no object.", param=name)
    return value


def _unsupported(field: str, value: Any) -> WrongField:
    return WrongField(f"The field {field} cannot be served as {named(value)}.", param=field, code="unsupported")

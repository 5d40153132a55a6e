"""Anthropic's requests in the OpenAI schema."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.errors import InvalidRequest
from localagent_gateway.apis.anthropic.requests import chat_request, counted_request

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"name": "weather", "description": "Tell the weather.", "input_schema": SCHEMA}
HI = {"role": "user", "content": "Hi"}


def seen(**body: Any) -> dict[str, Any]:
    """Return the document that a body makes."""
    return chat_request({"max_tokens": 9, "messages": [HI], **body}).document


def said(*messages: Any) -> list[dict[str, Any]]:
    """Return the messages that these make."""
    return seen(messages=list(messages))["messages"]


def by(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def result(content: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", "content": content, **more}


def test_a_bare_request_says_nothing_that_was_not_asked() -> None:
    """Model, limit and messages alone; null is not said."""
    assert seen(model="a/b", top_k=None) == {"model": "a/b", "max_tokens": 9, "messages": [HI]}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 3}, {"temperature": 0.5, "top_p": 0.9, "top_k": 3}),
        ({"stop_sequences": ["END"]}, {"stop": ["END"]}),
        ({"stop_sequences": [], "tools": [], "metadata": {}}, {}),
        ({"metadata": {"user_id": "u"}}, {"user": "u"}),
        ({"service_tier": "auto", "speed": "standard", "cache_control": {"type": "ephemeral"}}, {}),
        ({"stream": True}, {"stream_options": {"include_usage": True}}),
        ({"stream": False}, {}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 16000}}, {"reasoning_effort": "high"}),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "max"}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "high"}},
            {"reasoning_effort": "high"},
        ),
        (
            {"output_config": {"effort": "high"}, "thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"reasoning_effort": "high"},
        ),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, {"reasoning_effort": "none"}),
        ({"output_config": {"effort": "high"}, "thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, {}),
        ({"tool_choice": {"type": "none"}, "tools": []}, {}),
    ],
)
def test_a_field_has_its_counterpart(given: dict[str, Any], meant: dict[str, Any]) -> None:
    """Each in the words of the OpenAI schema, whatever the order of two that have to do with one another."""
    assert seen(**given) == {"max_tokens": 9, "messages": [HI], **meant}


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
        (
            {"type": "tool", "name": "weather"},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
    ],
)
def test_a_choice_among_tools_has_its_counterpart(choice: dict[str, Any], meant: dict[str, Any]) -> None:
    """Where there are none, only a demand is said, which is refused later: servers refuse any choice of nothing."""
    request = seen(tools=[TOOL], tool_choice=choice)
    assert {name: request[name] for name in request if name not in ("max_tokens", "messages", "tools")} == meant
    demanded = {name: value for name, value in meant.items() if name == "tool_choice" and value not in ("auto", "none")}
    assert seen(tool_choice=choice) == {"max_tokens": 9, "messages": [HI], **demanded}


def test_tools_are_functions() -> None:
    """The schema of the input is that of the parameters; marks of a cache are left out."""
    tools = seen(tools=[{**TOOL, "type": "custom", "strict": True, "cache_control": {"type": "ephemeral"}}])["tools"]
    function = {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA, "strict": True}
    assert tools == [{"type": "function", "function": function}]


@pytest.mark.parametrize("system", ["Be brief.", [text("Be brief.", cache_control={"type": "ephemeral"})]])
def test_a_system_prompt_comes_first(system: Any) -> None:
    """As text or as a block: the same message."""
    assert seen(system=system)["messages"] == [{"role": "system", "content": "Be brief."}, HI]


def test_several_texts_stay_apart() -> None:
    """They are the parts of one message; nothing is put between them."""
    parts = [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]
    assert seen(system=[text("Be"), text("brief.")])["messages"][0] == {"role": "system", "content": parts}


def test_a_system_message_may_stand_in_the_midst() -> None:
    """The order of the conversation is kept."""
    system = {"role": "system", "content": "Be brief."}
    assert said(HI, system, HI) == [HI, system, HI]


def test_images_are_addresses() -> None:
    """Base64 becomes a data address, a web address stays."""
    own = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    far = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    addresses = [part["image_url"]["url"] for part in said(by("user", own, far, text("What?")))[0]["content"][:2]]
    assert addresses == ["data:image/png;base64,QUJD", "https://example.org/a.png"]


def test_an_assistants_blocks_are_one_message() -> None:
    """Thoughts, text and calls; the signature of thoughts says nothing here."""
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        text("Let me look."),
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Ulm"}, "caller": {"type": "direct"}},
    ]
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
    message = {"role": "assistant", "content": "Let me look.", "reasoning_content": "Hm.", "tool_calls": [call]}
    assert said(HI, by("assistant", *blocks))[1] == message


def test_calls_alone_have_no_content() -> None:
    """Null, as the schema wants it."""
    assert said(by("assistant", {"type": "tool_use", "id": "t", "name": "f", "input": {}}))[0]["content"] is None


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (result("Rain."), "Rain."),
        (result([text("Rain.")]), "Rain."),
        (result([text("Rain"), text("or snow")]), [text("Rain"), text("or snow")]),
        (result(), ""),
        (result("No city.", is_error=True), "Error: No city."),
        (result(is_error=True), "Error:"),
    ],
)
def test_a_result_is_a_message_of_the_tool(given: Any, meant: Any) -> None:
    """Its text; an error is marked, because the schema has no field for it."""
    assert said(by("user", given)) == [{"role": "tool", "tool_call_id": "t1", "content": meant}]


def test_what_the_user_says_comes_after_the_results() -> None:
    """Results first, each a message, then the user's."""
    roles = [message["role"] for message in said(by("user", result("a"), result("b"), text("And?")))]
    assert roles == ["tool", "tool", "user"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"container": "c"}, "container"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"context_management": {}}, "context_management"),
        ({"service_tier": "standard_only"}, "service_tier"),
        ({"speed": "fast"}, "speed"),
        ({"metadata": {"other": "x"}}, "metadata.other"),
        ({"thinking": {"type": "between_tools"}}, "thinking"),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, "thinking.display"),
        ({"output_config": {"task_budget": 1}}, "output_config.task_budget"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools[0].allowed_callers"),
        ({"system": [{"type": "image"}]}, "system[0]"),
        ({"messages": [by("user", {"type": "document", "source": {}})]}, "'document'"),
        ({"messages": [by("user", text("Hi", citations=[{"type": "x"}]))]}, "messages[0].content[0].citations"),
        ({"messages": [by("user", {"type": "image", "source": {"type": "file", "file_id": "f"}})]}, "source"),
        (
            {"messages": [by("user", {"type": "image", "source": {"type": "base64", "media_type": "image/tiff"}})]},
            "media_type",
        ),
        ({"messages": [by("user", result([{"type": "image"}]))]}, "messages[0].content[0].content[0]"),
        ({"messages": [by("assistant", {"type": "redacted_thinking", "data": "x"})]}, "'redacted_thinking'"),
        ({"messages": [{**HI, "name": "x"}]}, "messages[0].name"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(body: dict[str, Any], named: str) -> None:
    """Nothing is dropped in silence."""
    with pytest.raises(InvalidRequest) as caught:
        seen(**body)
    assert caught.value.code == "unsupported"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": None},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": "9"},
        {"messages": None},
        {"messages": []},
        {"messages": ["Hi"]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": ["user"], "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [by("user")]},
        {"messages": [by("user", "Hi")]},
        {"messages": [by("user", {"type": "text"})]},
        {"messages": [by("user", text("x"), result("y"))]},
        {"messages": [by("user", {"type": "image", "source": "x"})]},
        {"messages": [by("user", {"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}})]},
        {"messages": [by("user", {"type": "tool_result", "content": "x"})]},
        {"messages": [by("assistant", {"type": "tool_use", "id": "t", "name": "f", "input": "x"})]},
        {"system": 1},
        {"tools": {}},
        {"tools": ["x"]},
        {"tools": [{"name": "f"}]},
        {"tools": [{"input_schema": {}}]},
        {"tool_choice": "auto"},
        {"tool_choice": {"type": "some"}},
        {"tool_choice": {"type": ["auto"]}},
        {"tool_choice": {"type": "tool"}},
        {"stop_sequences": "x"},
        {"stop_sequences": [1]},
        {"metadata": "x"},
        {"metadata": {"user_id": 1}},
        {"thinking": "x"},
        {"thinking": {"type": "enabled"}},
        {"output_config": "x"},
        {"output_config": {"effort": "some"}},
        {"output_config": {"effort": ["low"]}},
        {"output_config": {"format": {"type": "json_schema"}}},
    ],
)
def test_what_is_wrong_is_refused(body: dict[str, Any]) -> None:
    """With a typed error, whatever stands in the body."""
    with pytest.raises(InvalidRequest):
        seen(**body)


def test_a_count_needs_no_limit() -> None:
    """Tokens are counted of what would be sent."""
    assert counted_request({"messages": [HI], "system": "Be brief."}).document["messages"][0]["role"] == "system"

"""What the gateway's APIs say about an answer, read back from their bytes; each by the rules of its own API."""

from __future__ import annotations

import json
from typing import Any

from upstream_answers import Call, Told


def data_of(body: bytes) -> list[dict[str, Any]]:
    """Return the data of the events of a stream, without the terminator."""
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def anthropic_message(body: bytes) -> dict[str, Any]:
    """Return the message that an event stream of ``/v1/messages`` makes; one block is open at a time."""
    message: dict[str, Any] = {}
    open_block: int | None = None
    for event in data_of(body):
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert open_block is None
                open_block = event["index"]
                assert open_block == len(message["content"])
                message["content"].append({**event["content_block"], "pieces": []})
            case "content_block_delta":
                assert open_block == event["index"]
                delta = event["delta"]
                message["content"][open_block]["pieces"].append(
                    delta[{"input_json_delta": "partial_json", "text_delta": "text"}.get(delta["type"], "thinking")]
                )
            case "content_block_stop":
                open_block = None
            case "message_delta":
                assert open_block is None
                message |= event["delta"] | {"usage": event["usage"]}
    for block in message["content"]:
        text = "".join(block.pop("pieces"))
        block |= {"input": _object(text)} if block["type"] == "tool_use" else {block["type"]: text}
    return message


def read_by_anthropic(message: dict[str, Any]) -> Told:
    """A refusal is text there."""
    blocks = message["content"]
    reasons = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    made = [Call(one["name"], _text(one["input"]), _id(one["id"])) for one in blocks if one["type"] == "tool_use"]
    usage = message["usage"]
    return Told(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        calls=tuple(made),
        finish=reasons.get(message["stop_reason"], message["stop_reason"]),
        usage=(usage["input_tokens"], usage["output_tokens"]),
        stop=message["stop_sequence"],
    )


def read_by_ollama(body: bytes) -> Told:
    """Of all lines; a whole answer is one."""
    lines = [json.loads(line) for line in body.splitlines()]
    *before, last = lines
    assert not any(line["done"] for line in before)
    assert last["done"]
    messages = [line["message"] for line in lines]
    made = [
        Call(call["function"]["name"], _text(call["function"]["arguments"]), call.get("id"))
        for message in messages
        for call in message.get("tool_calls") or ()
    ]
    counted = "eval_count" in last
    return Told(
        "".join(message["content"] for message in messages),
        "".join(message.get("thinking") or "" for message in messages),
        calls=tuple(made),
        finish=last["done_reason"],
        usage=(last["prompt_eval_count"], last["eval_count"]) if counted else None,
    )


def last_response(body: bytes) -> dict[str, Any]:
    """Return the response of the last event of ``/v1/responses``, of which the events before say the same."""
    events = data_of(body)
    response: dict[str, Any] = events[-1]["response"]
    for item in (event["item"] for event in events if event["type"] == "response.output_item.done"):
        assert item in response["output"]
    for kind, field in (("output_text", "text"), ("refusal", "refusal"), ("function_call_arguments", "arguments")):
        pieces = "".join(event["delta"] for event in events if event["type"] == f"response.{kind}.delta")
        whole = "".join(event[field] for event in events if event["type"] == f"response.{kind}.done")
        assert sorted(pieces) == sorted(whole)
    return response


def read_by_responses(response: dict[str, Any]) -> Told:
    """The finish reason is in the status; a call has none there."""
    parts = [part for item in response["output"] if item["type"] != "function_call" for part in item["content"]]
    made = [
        Call(item["name"], item["arguments"], _id(item["call_id"]))
        for item in response["output"]
        if item["type"] == "function_call"
    ]
    reasons = {None: "stop", "max_output_tokens": "length", "content_filter": "content_filter"}
    finish = reasons[(response["incomplete_details"] or {}).get("reason")]
    usage = response["usage"]
    assert (response["completed_at"] is not None) == (response["status"] == "completed")
    return Told(
        "".join(part["text"] for part in parts if part["type"] == "output_text"),
        "".join(part["text"] for part in parts if part["type"] == "reasoning_text"),
        "".join(part["refusal"] for part in parts if part["type"] == "refusal"),
        calls=tuple(made),
        finish="tool_calls" if made and finish == "stop" else finish,
        usage=(usage["input_tokens"], usage["output_tokens"]) if usage else None,
    )


def _object(text: str) -> Any:
    """Return the input that pieces make; text that is not JSON stays text."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _id(id: str) -> str | None:
    """Return an id that the server gave; those that the gateway makes up begin otherwise."""
    assert id
    return id if id.startswith("id") else None

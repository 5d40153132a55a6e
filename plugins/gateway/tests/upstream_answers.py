"""Answers of servers in all their shapes, and what each of them says: a row for an answer.

A row gives the events of a stream, from which the whole answer is joined; or a whole message, from which the events are
split. What is expected is the same for both.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from localagent.schema import join_events
from localagent.schema.joining import split_document

HEAD = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@attrs.frozen
class Call:
    """A tool call; ``id`` is None where the server gives none, ``arguments`` are JSON text."""

    name: str
    arguments: str = "{}"
    id: str | None = None


@attrs.frozen
class Told:
    """What an answer says."""

    text: str = ""
    thought: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    usage: tuple[int, int] | None = (3, 2)
    stop: str | None = None


@attrs.frozen
class Answer:
    """A row: the events as objects, the whole answer, and what both say."""

    name: str
    events: list[dict[str, Any]]
    whole: dict[str, Any]
    seen: Told


def streamed(name: str, choices: list[Any], seen: Told, *, finish: str | None = "stop", usage: Any = USAGE) -> Answer:
    """Return a row of a streamed answer.

    Args:
        name: What is special about it.
        choices: Of each event its delta; or a list of choices; or, with the key ``event``, the rest of the event.
        seen: What it says.
        finish: The finish reason of a last event; None where ``choices`` hold it.
        usage: The token counts of an event behind that; None for none.
    """
    events = [_event(choice) for choice in choices]
    if finish is not None:
        events.append(_event([{"index": 0, "delta": {}, "finish_reason": finish}]))
    if usage is not None:
        events.append({**HEAD, "choices": [], "usage": usage})
    return Answer(name, events, join_events([json.dumps(event).encode() for event in events]), seen)


def whole(name: str, message: Any, seen: Told, *, finish: Any = "stop", usage: Any = USAGE, **choice: Any) -> Answer:
    """Return a row of a whole answer; its stream is the one that a server would have sent instead."""
    choices = [{"index": 0, "message": message, "finish_reason": finish, **choice}]
    document = {**HEAD, "object": "chat.completion", "choices": choices, "usage": usage}
    return Answer(name, [json.loads(event) for event in split_document(document)], document, seen)


def _event(said: Any) -> dict[str, Any]:
    if isinstance(said, list):
        return {**HEAD, "choices": said}
    if "event" in said:
        return {**HEAD, **said["event"]}
    return {**HEAD, "choices": [{"index": 0, "delta": said, "finish_reason": None}]}


def calls(*pieces: tuple[Any, Any, Any, Any]) -> dict[str, Any]:
    """Return a delta with pieces of tool calls: index, id, name, arguments; what is ... is left out."""
    return {"tool_calls": [_piece(*piece) for piece in pieces]}


def _piece(index: Any, id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not ...}
    return {key: value for key, value in (("index", index), ("id", id)) if value is not ...} | {"function": function}


def ending(finish: Any = "stop", *, beside: dict[str, Any] | None = None, **choice: Any) -> Any:
    """Return a last event with a finish reason, further fields of its choice, and others beside the choices."""
    choices = [{"index": 0, "delta": {}, "finish_reason": finish, **choice}]
    return {"event": {"choices": choices, **(beside or {})}}


_ = ...  # left out
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
TWO = (Call("f", '{"a":1}', "id1"), Call("g", '{"b":2}', "id2"))
WITHOUT_IDS = (Call("f", '{"a":1}'), Call("g", '{"b":2}'))
YES, HM = Told("Yes."), Told("Yes.", "Hm.")


def called(*made: Call, **more: Any) -> Told:
    return Told(**{"calls": made, "finish": "tool_calls", **more})


ONE = called(TWO[0])
BOTH = called(*TWO)

TEXTS = [
    streamed("text in pieces", [{"role": "assistant", "content": ""}, {"content": "Ye"}, {"content": "s."}], YES),
    streamed("text in one event with the end", [[{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]],
             YES, finish=None),
    streamed("content null beside text", [{"content": None}, {"content": "Yes."}, {"content": None}], YES),
    streamed("content as a list of parts", [{"content": [{"type": "text", "text": "Yes."}]}], YES),
    streamed("content as a list of several parts",
             [{"content": [{"type": "text", "text": "Ye"}, {"type": "text", "text": "s."}]}], YES),
    streamed("content as a list, then as text",
             [{"content": [{"type": "text", "text": "Ye"}]}, {"content": "s."}], YES),
    whole("content as a list with strings", {"content": ["Ye", "s."]}, YES),
    whole("content as one part", {"content": {"type": "text", "text": "Yes."}}, YES),
    whole("content with an image", {"content": [{"type": "text", "text": "Yes."}, {"type": "image_url"}]}, YES),
    whole("content with a part of another kind",
          {"content": [{"type": "audio"}, {"type": "text", "text": "Yes."}]}, YES),
    whole("output_text parts", {"content": [{"type": "output_text", "text": "Yes."}]}, YES),
    whole("content null", {"content": None}, Told()),
    whole("content an empty list", {"content": []}, Told()),
    whole("no content", {"role": "assistant"}, Told()),
    streamed("a whole message in the stream", [[{"index": 0, "message": {"content": "Yes."}}], ending()], YES,
             finish=None),
    streamed("a message behind its pieces", [{"content": "Yes."}, [{"index": 0, "message": {"content": "Yes."},
             "finish_reason": "stop"}]], YES, finish=None),
    streamed("text of a completion", [[{"index": 0, "text": "Yes."}], ending()], YES, finish=None),
    streamed("text of a completion beside a delta of the same",
             [[{"index": 0, "text": "Yes.", "delta": {"content": "Yes."}}], ending()], YES, finish=None),
    streamed("letters of all kinds", [{"content": 'é\u2028"\\ \n'}, {"content": "\U0001f600"}],
             Told('é\u2028"\\ \n\U0001f600')),
]  # fmt: skip
THOUGHTS = [
    streamed("reasoning_content", [{"reasoning_content": "H"}, {"reasoning_content": "m."}, {"content": "Yes."}], HM),
    streamed("reasoning", [{"reasoning": "H"}, {"reasoning": "m."}, {"content": "Yes."}], HM),
    streamed("thinking", [{"thinking": "Hm."}, {"content": "Yes."}], HM),
    streamed("reasoning by two names", [{"reasoning": "Hm.", "reasoning_content": "Hm."}, {"content": "Yes."}], HM),
    streamed("reasoning null", [{"reasoning": None, "content": "Yes."}], YES),
    streamed("reasoning and text in one event", [{"reasoning": "Hm.", "content": "Yes."}], HM),
    streamed("nested thinking, then text", [{"content": [THINKING]}, {"content": "Yes."}], HM),
    streamed("nested thinking and text parts", [{"content": [THINKING, {"type": "text", "text": "Yes."}]}], HM),
    whole("thinking as text in a part", {"content": [{"type": "thinking", "thinking": "Hm."}, "Yes."]}, HM),
    whole("a reasoning part",
          {"content": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Yes."}]}, HM),
    whole("thinking and refusal by a part's type alone", {"content": [{"type": "thinking", "text": "Hm."},
          {"type": "refusal", "text": "No."}]}, Told("", "Hm.", "No.")),
    whole("a reasoning part's summary", {"content": [{"type": "reasoning",
          "summary": [{"type": "summary_text", "text": "Hm."}]}, "Yes."]}, HM),
    whole("reasoning that cannot be read beside some that can",
          {"content": "Yes.", "reasoning_content": {"id": 1}, "reasoning": "Hm."}, HM),
    whole("reasoning alone", {"content": "", "reasoning_content": "Hm."}, Told("", "Hm.")),
    whole("reasoning of another shape", {"content": "Yes.", "reasoning": {"effort": "low"}}, YES),
    streamed("reasoning and a call", [{"reasoning": "Hm."}, calls((0, "id1", "f", '{"a":1}'))],
             called(TWO[0], thought="Hm."), finish="tool_calls"),
]  # fmt: skip
REFUSALS = [
    streamed("a refusal", [{"refusal": "N"}, {"refusal": "o."}], Told(refusal="No.")),
    whole("a refusal as a part", {"content": [{"type": "refusal", "refusal": "No."}]}, Told(refusal="No.")),
    streamed("a refusal behind text", [{"content": "Well. "}, {"refusal": "No."}], Told("Well. ", refusal="No.")),
    whole(
        "a refusal as a list of parts",
        {"content": None, "refusal": [{"type": "text", "text": "No."}]},
        Told(refusal="No."),
    ),
    streamed("refusal null", [{"content": "Yes.", "refusal": None}], YES),
]
CALLS = [
    streamed("a call in pieces", [calls((0, "id1", "f", "")), calls((0, _, _, '{"a"')), calls((0, _, _, ":1}"))], ONE,
             finish="tool_calls"),
    streamed("a call in one piece", [calls((0, "id1", "f", '{"a":1}'))], ONE, finish="tool_calls"),
    streamed("text and a call", [{"content": "Yes."}, calls((0, "id1", "f", '{"a":1}'))], called(TWO[0], text="Yes."),
             finish="tool_calls"),
    streamed("a call that ends by stop", [calls((0, "id1", "f", '{"a":1}'))], ONE),
    streamed("two calls, one after the other",
             [calls((0, "id1", "f", '{"a"')), calls((0, _, _, ":1}")), calls((1, "id2", "g", '{"b":2}'))], BOTH),
    streamed("two calls that alternate", [calls((0, "id1", "f", '{"a"')), calls((1, "id2", "g", '{"b"')),
             calls((0, _, _, ":1}")), calls((1, _, _, ":2}"))], BOTH),
    streamed("two calls that alternate, the second one ends first", [calls((0, "id1", "f", '{"a"')),
             calls((1, "id2", "g", '{"b"')), calls((1, _, _, ":2}")), calls((0, _, _, ":1}"))], BOTH),
    streamed("two calls in each event", [calls((0, "id1", "f", '{"a"'), (1, "id2", "g", '{"b"')),
             calls((1, _, _, ":2}"), (0, _, _, ":1}"))], BOTH),
    streamed("two calls that begin together", [calls((0, "id1", "f", ""), (1, "id2", "g", "")),
             calls((0, _, _, '{"a":1}')), calls((1, _, _, '{"b":2}'))], BOTH),
    streamed("text between the pieces of a call", [calls((0, "id1", "f", '{"a"')), {"content": "Yes."},
             calls((0, _, _, ":1}"))], called(TWO[0], text="Yes.")),
    streamed("three calls that alternate", [calls((0, "id1", "f", "{")), calls((1, "id2", "g", "{")),
             calls((2, "id3", "h", "{")), calls((1, _, _, '"b":2}')), calls((0, _, _, '"a":1}')),
             calls((2, _, _, "}"))],
             called(*TWO, Call("h", "{}", "id3"))),
    streamed("all calls have the index 0",
             [calls((0, "id1", "f", '{"a":1}')), calls((0, "id2", "g", '{"b":2}'))], BOTH),
    streamed("all calls have the index 0, in pieces", [calls((0, "id1", "f", '{"a"')), calls((0, _, _, ":1}")),
             calls((0, "id2", "g", '{"b"')), calls((0, _, _, ":2}"))], BOTH),
    streamed("index 0 for all, and no ids", [calls((0, _, "f", '{"a":1}')), calls((0, _, "g", '{"b":2}'))],
             called(*WITHOUT_IDS)),
    streamed("index 0 for all, no ids, one name", [calls((0, _, "f", '{"a":1}')), calls((0, _, "f", '{"b":2}'))],
             called(WITHOUT_IDS[0], Call("f", '{"b":2}'))),
    streamed("no index", [calls((_, "id1", "f", '{"a":1}')), calls((_, "id2", "g", '{"b":2}'))], BOTH),
    streamed("no index, pieces by id", [calls((_, "id1", "f", '{"a"'), (_, "id2", "g", '{"b"')),
             calls((_, "id2", _, ":2}")), calls((_, "id1", _, ":1}"))], BOTH),
    streamed("index null, no id", [calls((None, None, "f", '{"a":1}'), (None, None, "g", '{"b":2}'))],
             called(*WITHOUT_IDS)),
    streamed("empty ids", [calls((0, "", "f", '{"a":1}')), calls((1, "", "g", '{"b":2}'))], called(*WITHOUT_IDS)),
    streamed("one id for all calls", [calls((0, "id1", "f", '{"a":1}')), calls((1, "id1", "g", '{"b":2}'))],
             called(TWO[0], Call("g", '{"b":2}', "id1"))),
    streamed("id and name in every piece", [calls((0, "id1", "f", '{"a"')), calls((0, "id1", "f", ":1}"))], ONE),
    streamed("the name behind the id", [calls((0, "id1", _, "")), calls((0, _, "f", '{"a"')), calls((0, _, _, ":1}"))],
             ONE),
    streamed("the name behind the arguments", [calls((0, "id1", _, '{"a"')), calls((0, _, "f", ":1}"))], ONE),
    streamed("the name in pieces", [calls((0, "id1", "get_", "")), calls((0, _, "it", "")), calls((0, _, _, "{}"))],
             called(Call("get_it", "{}", "id1"))),
    streamed("a call that is never named", [calls((0, "id1", _, '{"a":1}'))], called(Call("", '{"a":1}', "id1"))),
    streamed("a signature in an event of its own", [calls((0, "id1", "f", '{"a":1}')), {"tool_calls": [{"index": 0,
             "function": {}, "extra_content": {"google": {"thought_signature": "c2ln"}}}]}], ONE),
    streamed("an empty list of calls", [{"content": "Yes.", "tool_calls": []}], YES),
    streamed("calls null", [{"content": "Yes.", "tool_calls": None}], YES),
    streamed("the old function_call", [{"function_call": {"name": "f", "arguments": '{"a"'}},
             {"function_call": {"arguments": ":1}"}}], called(WITHOUT_IDS[0]), finish="function_call"),
    whole("a whole answer's calls all numbered 0", {"content": None, "tool_calls":
          calls((0, "id1", "f", '{"a":1}'), (0, "id2", "g", '{"b":2}'))["tool_calls"]}, BOTH),
    whole("a whole answer's calls with one id", {"content": None, "tool_calls":
          calls((_, "id1", "f", '{"a":1}'), (_, "id1", "f", '{"b":2}'))["tool_calls"]},
          called(TWO[0], Call("f", '{"b":2}', "id1"))),
]  # fmt: skip
ARGUMENTS = [
    streamed("arguments as an object", [calls((0, "id1", "f", {"a": 1}))], ONE),
    streamed("arguments as objects, without ids", [calls((0, _, "f", {"a": 1})), calls((0, _, "f", {"b": 2}))],
             called(WITHOUT_IDS[0], Call("f", '{"b":2}'))),
    streamed("arguments as an empty object", [calls((0, "id1", "f", {}))], called(Call("f", "{}", "id1"))),
    streamed("arguments empty", [calls((0, "id1", "f", ""))], called(Call("f", "{}", "id1"))),
    streamed("arguments of white space", [calls((0, "id1", "f", " \n"))], called(Call("f", "{}", "id1"))),
    streamed("arguments null as text", [calls((0, "id1", "f", "null"))], called(Call("f", "{}", "id1"))),
    streamed("white space before arguments", [calls((0, "id1", "f", "\n")), calls((0, _, _, '{"a":1}'))], ONE),
    streamed("arguments null", [calls((0, "id1", "f", None))], called(Call("f", "{}", "id1"))),
    streamed("no arguments", [calls((0, "id1", "f", _))], called(Call("f", "{}", "id1"))),
    streamed("arguments as an empty list", [calls((0, "id1", "f", []))], called(Call("f", "{}", "id1"))),
    streamed("a call without arguments before another", [calls((0, "id1", "f", "")), calls((1, "id2", "g", '{"b":2}'))],
             called(Call("f", "{}", "id1"), TWO[1])),
    streamed("arguments with white space", [calls((0, "id1", "f", '{\n "a": 1\n}'))], ONE),
    streamed("arguments that a limit cut off", [calls((0, "id1", "f", '{"a"'))],
             called(Call("f", '{"a"', "id1"), finish="length"), finish="length"),
]  # fmt: skip
ENDS = [
    streamed("length", [{"content": "Yes."}], Told("Yes.", finish="length"), finish="length"),
    streamed("content_filter", [{"content": "Yes."}], Told("Yes.", finish="content_filter"), finish="content_filter"),
    streamed("an unknown reason", [{"content": "Yes."}], YES, finish="eos_token"),
    streamed("a reason of another API", [{"content": "Yes."}], Told("Yes.", finish="length"), finish="MAX_TOKENS"),
    streamed("tool_calls without one", [{"content": "Yes."}], YES, finish="tool_calls"),
    streamed("the stop sequence (vLLM)", [{"content": "Yes."}, ending(stop_reason="END")], Told("Yes.", stop="END"),
             finish=None),
    streamed("the stop sequence (SGLang)", [{"content": "Yes."}, ending(matched_stop="END")], Told("Yes.", stop="END"),
             finish=None),
    streamed("a stop token", [{"content": "Yes."}, ending(stop_reason=128001)], YES, finish=None),
]  # fmt: skip
COUNTS = [
    streamed("usage beside the end", [{"content": "Yes."}, ending(beside={"usage": USAGE})], YES, finish=None,
             usage=None),
    streamed("usage in every event", [{"event": {"choices": [{"index": 0, "delta": {"content": "Yes."}}],
             "usage": {"prompt_tokens": 3, "completion_tokens": 1}}}, ending(beside={"usage": USAGE})], YES,
             finish=None, usage=None),
    streamed("usage in x_groq", [{"content": "Yes."}, ending(beside={"x_groq": {"id": "r", "usage": USAGE}})], YES,
             finish=None, usage=None),
    streamed("usage in the choice", [{"content": "Yes."}, ending(usage=USAGE)], YES, finish=None, usage=None),
    streamed("usage as floats", [{"content": "Yes."}], YES, usage={"prompt_tokens": 3.0, "completion_tokens": 2.0}),
    streamed("usage null", [{"content": "Yes."}, ending(beside={"usage": None})], Told("Yes.", usage=None), finish=None,
             usage=None),
    streamed("usage that says nothing", [{"content": "Yes."}], Told("Yes.", usage=None), usage={}),
    streamed("no usage", [{"content": "Yes."}], Told("Yes.", usage=None), usage=None),
]  # fmt: skip
OTHERS = [
    streamed("a second choice in the same event", [[{"index": 0, "delta": {"content": "Yes."}},
             {"index": 1, "delta": {"content": "No."}}], [{"index": 1, "delta": {}, "finish_reason": "length"},
             {"index": 0, "delta": {}, "finish_reason": "stop"}]], YES, finish=None),
    streamed("a second choice in events of its own", [[{"index": 1, "delta": {"content": "No.", "reasoning": "Hm."}}],
             {"content": "Yes."}, [{"index": 1, "delta": calls((0, "id9", "x", "{}")), "finish_reason": "tool_calls"}]],
             YES),
    streamed("keep-alives", [{"event": {"choices": []}}, {"content": "Ye"}, {"event": {"object": "keep-alive"}},
             {"content": "s."}, {"event": {"choices": None}}], YES),
    streamed("filter results first, and an event without a delta last (Azure)", [{"event": {"id": "", "choices": [],
             "prompt_filter_results": []}}, {"content": "Yes."}, ending(), {"event": {"id": "", "choices": [
             {"index": 0, "finish_reason": None, "content_filter_offsets": {"check_offset": 4}}]}}], YES, finish=None),
    streamed("fields that nobody knows", [{"content": "Yes.", "vendor": {"x": [1]}}, {"vendor": 3}], YES),
]  # fmt: skip
ANSWERS = [*TEXTS, *THOUGHTS, *REFUSALS, *CALLS, *ARGUMENTS, *ENDS, *COUNTS, *OTHERS]

"""How much is thought before an answer, and the answer's form: ``thinking`` and ``output_config``.

================================  =====================================================================================
at Anthropic                      in the OpenAI schema
================================  =====================================================================================
``thinking`` ``disabled``         ``reasoning_effort: none``, whatever else is said
``thinking`` ``adaptive``         nothing: the model decides, as it does untold
``thinking`` ``enabled``          ``reasoning_effort`` by ``budget_tokens``, see ``BUDGETS``: the schema has no budget
``output_config.effort``          ``reasoning_effort``; it goes before a budget, because it needs no translation
``output_config.format``          ``response_format``
================================  =====================================================================================

Thoughts that are asked for hidden (``display: omitted``) are refused: nobody here could give them back later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localagent_gateway.apis.anthropic.blocks import only
from localagent_gateway.apis.anthropic.errors import unsupported, wrong

#: Budgets below these tokens are of that effort. Our own figures: 1,024 is the least that Anthropic takes, and 16,000
#: the budget of its examples (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking).
BUDGETS = ((4_096, "low"), (16_000, "medium"))
EFFORTS = ("low", "medium", "high", "xhigh", "max")  # no set: what a body names may not be hashable


def thinking(document: dict[str, Any], name: str, said: Any) -> None:
    """Say how much is to be thought.

    Raises:
        InvalidRequest: It is none of Anthropic's ways to think (code ``unsupported``), or its budget is wrong.
    """
    kind = said.get("type") if isinstance(said, Mapping) else None
    if kind not in ("enabled", "disabled", "adaptive"):
        raise unsupported("this thinking", "Use one of the types enabled, disabled, adaptive.")
    only(said, "thinking", "budget_tokens", "display")
    if said.get("display") not in (None, "summarized"):
        raise unsupported("thinking.display other than summarized")
    if kind == "disabled":
        document["reasoning_effort"] = "none"
    elif kind == "enabled":
        document.setdefault("reasoning_effort", _effort(said.get("budget_tokens")))


def _effort(budget: Any) -> str:
    if type(budget) is not int or budget < 1:
        raise wrong("thinking.budget_tokens is no number of tokens.")
    return next((effort for below, effort in BUDGETS if budget < below), "high")


def output_config(document: dict[str, Any], name: str, said: Any) -> None:
    """Say effort and form of the answer.

    Raises:
        InvalidRequest: It holds what cannot be said (code ``unsupported``), or is wrong.
    """
    if not isinstance(said, Mapping):
        raise wrong("The field output_config is no object.")
    only(said, "output_config", "effort", "format")
    effort = said.get("effort")
    if effort is not None:
        if effort not in EFFORTS:
            raise wrong(f"output_config.effort is none of: {', '.join(EFFORTS)}.")
        if document.get("reasoning_effort") != "none":
            document["reasoning_effort"] = effort
    if said.get("format") is not None:
        document["response_format"] = _form(said["format"])


def _form(said: Any) -> dict[str, Any]:
    """Return the form; Anthropic always holds an answer to its schema, which is ``strict`` in OpenAI's words."""
    schema = said.get("schema") if isinstance(said, Mapping) else None
    if not isinstance(schema, dict) or said.get("type") != "json_schema":
        raise wrong("output_config.format is no json_schema with a schema.")
    only(said, "output_config.format", "schema")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}

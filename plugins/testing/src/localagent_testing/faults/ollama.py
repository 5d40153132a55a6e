"""Faults that are specific to Ollama (F107 to F118)."""

from __future__ import annotations

from localagent import LocalAgentError
from localagent.errors import (
    ContextLengthExceeded,
    EmptyResponse,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    RateLimited,
    StreamInterrupted,
    UpstreamProtocol,
    UpstreamServerError,
)
from localagent_testing.faults.dialects import ollama_end, openai_chunk
from localagent_testing.faults.exchanges import Events, heard, refuses, replies, streams
from localagent_testing.faults.expectations import Expect, Says, fails, interrupted
from localagent_testing.faults.records import OLLAMA, OPENAI, Fault, excluded
from localagent_testing.http_bytes import answer, ndjson, sse

HERE = Says(same=False, next=True, billed="no", breaker="alive")
CUT = Says(same=False, next=False, billed="yes", breaker="failure")
RUNNER_FAILED = "an error was encountered while running the model: unexpected EOF"
#: Before content a missing terminator is either; after it there is no doubt.
NO_END = (UpstreamProtocol, StreamInterrupted)


def refused(id_: str, status: int, message: str, error: type[LocalAgentError], says: Says) -> Fault:
    """Return a row for an error answer of Ollama."""
    return Fault(id_, f"{status} {message}", refuses(status, message), fails(error, says=says), OLLAMA)


def stream(id_: str, title: str, events: Events, expect: Expect) -> Fault:
    """Return a row for an Ollama stream."""
    return Fault(id_, title, streams(events), expect, OLLAMA, "stream")


ROWS: tuple[Fault, ...] = (
    refused("F107", 404, "model 'faulty' not found", ModelNotFound, HERE),
    refused("F107.pull", 404, 'model "faulty" not found, try pulling it first', ModelNotFound, HERE),
    refused(
        "F108",
        503,
        "server busy, please try again.  maximum pending requests exceeded",
        Overloaded,
        Says(next=True, billed="no", breaker="neutral"),
    ),
    excluded(
        "F109",
        "a model is loaded for minutes",
        "It needs Ollama's list of loaded models, and another instance that has the model.",
        OLLAMA,
    ),
    *(
        refused(f"F110.{name}", 500, message, UpstreamServerError, Says(same=False, next=True, breaker="failure"))
        for name, message in (
            ("start", "timed out waiting for llama-server to start"),
            ("memory", "model requires more system memory (2.7 GiB) than is available (1.9 GiB)"),
        )
    ),
    *(
        refused(f"F111.{name}", 500, message, UpstreamServerError, Says(same=True, next=True, breaker="failure"))
        for name, message in (
            ("terminated", "llama runner process has terminated: exit status 2"),
            ("stopped", "model runner has unexpectedly stopped, this may be due to resource limitations"),
            ("ended", "unexpected EOF"),
        )
    ),
    stream(
        "F112.early",
        "an error line before any text",
        lambda d: [d.opening(), d.failure(RUNNER_FAILED)],
        fails(UpstreamServerError, says=Says(next=True, breaker="failure")),
    ),
    stream(
        "F112.late",
        "an error line after text",
        lambda d: [*heard(d), d.failure(RUNNER_FAILED)],
        interrupted(UpstreamServerError, says=CUT),
    ),
    stream(
        "F113.early",
        "the last line is cut, before any text",
        lambda d: [d.opening(), d.ending()[0][:-20]],
        fails(*NO_END, says=Says(next=True, breaker="failure")),
    ),
    stream(
        "F113.late",
        "the last line is cut, after text",
        lambda d: [*heard(d), d.ending()[0][:-20]],
        interrupted(says=CUT),
    ),
    stream(
        "F113.load",
        'done_reason "load" without text, streamed',
        lambda _: [ndjson([ollama_end(reason="load")])],
        fails(EmptyResponse),
    ),
    Fault(
        "F113.load-chat",
        'done_reason "load" without text',
        replies(answer(200, ollama_end(reason="load"))),
        fails(EmptyResponse),
        OLLAMA,
    ),
    refused(
        "F114.context",
        400,
        "the input length exceeds the context length",
        ContextLengthExceeded,
        Says(same=False, billed="no", breaker="alive"),
    ),
    refused(
        "F114.tools",
        400,
        "registry.ollama.ai/library/faulty:latest does not support tools",
        InvalidRequest,
        Says(same=False, billed="no", breaker="alive"),
    ),
    excluded(
        "F115", "the prompt is cut in silence", "The answer is good; that counts differ is for metrics to say.", OLLAMA
    ),
    excluded(
        "F116", "499 request canceled", "It is the answer to our own leaving, which nobody is there to read.", OLLAMA
    ),
    Fault(
        "F117",
        "under /v1 an error after text becomes an empty delta, without a finish reason or [DONE]",
        streams(lambda d: [*heard(d), sse([openai_chunk({"role": "assistant", "content": ""})])]),
        interrupted(says=CUT),
        OPENAI,
        "stream",
    ),
    refused(
        "F118.failed",
        502,
        "upstream error",
        UpstreamServerError,
        Says(same=True, next=True, billed="unknown", breaker="failure"),
    ),
    refused(
        "F118.rate",
        429,
        "too many requests, please wait",
        RateLimited,
        Says(same=True, next=True, billed="no", breaker="neutral"),
    ),
)

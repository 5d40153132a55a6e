"""Answers that refuse the request or the key (F1 to F13)."""

from __future__ import annotations

from localagent.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    PermissionDenied,
    QuotaExhausted,
    UpstreamAuth,
    UpstreamServerError,
    UpstreamTimeout,
)
from localagent_testing.canaries import CANARY_PROMPT
from localagent_testing.faults.exchanges import HTML, HTML_TRACES, Maker, does, refuses, replies
from localagent_testing.faults.expectations import Says, fails
from localagent_testing.faults.records import OPENAI, Fault
from localagent_testing.faults.vendors import anthropic, vllm
from localagent_testing.http_bytes import answer
from localagent_testing.steps import Fin, ReadHead, Send, Stall

NEXT = Says(same=False, next=True, billed="no", breaker="neutral")
OURS = Says(same=False, next=False, billed="no", breaker="alive")
SLOW = Says(same=True, next=True, billed="unknown", breaker="failure")
QUOTA = fails(QuotaExhausted, says=NEXT, code="insufficient_quota")

MASKED_KEY = "sk-proj-********************Zx9Q"


def _too_large(body: bytes | str, content_type: str) -> Maker:
    """Answer 413 while the request still comes, close the sending half, and drop the rest of it."""
    closing = {"Connection": "close"}
    return does(ReadHead(), Send(answer(413, body, closing, content_type=content_type)), Fin(), Stall())


ROWS: tuple[Fault, ...] = (
    Fault(
        "F1",
        "401 invalid_api_key, the message shows the key masked",
        refuses(
            401, f"Incorrect API key provided: {MASKED_KEY}.", kind="invalid_request_error", code="invalid_api_key"
        ),
        fails(UpstreamAuth, says=NEXT, hidden=(MASKED_KEY, "sk-proj", "Zx9Q", "Incorrect API key")),
    ),
    Fault(
        "F2",
        "401 not a member of the organization",
        refuses(401, "You must be a member of an organization to use the API.", kind="invalid_request_error"),
        fails(UpstreamAuth, says=NEXT),
    ),
    Fault(
        "F2.address",
        "401 address not authorized",
        refuses(401, "Your IP 203.0.113.9 is not authorized.", kind="invalid_request_error", code="ip_not_authorized"),
        fails(UpstreamAuth, says=NEXT, hidden=("203.0.113.9",)),
    ),
    Fault(
        "F3",
        "403 unsupported country",
        refuses(
            403,
            "Country, region, or territory not supported",
            kind="request_forbidden",
            code="unsupported_country_region_territory",
        ),
        fails(PermissionDenied, says=NEXT),
    ),
    Fault(
        "F4",
        "404 model_not_found",
        refuses(404, "The model 'faulty' does not exist.", kind="invalid_request_error", code="model_not_found"),
        fails(ModelNotFound, says=Says(next=True, billed="no", breaker="alive"), code="model_not_found"),
    ),
    Fault(
        "F5",
        "400 for a wrong parameter",
        refuses(400, "temperature must be at most 2.", kind="invalid_request_error", param="temperature"),
        fails(InvalidRequest, says=OURS, shown=("temperature must be at most 2",)),
    ),
    Fault(
        "F6",
        "400 context_length_exceeded",
        refuses(
            400,
            "This model's maximum context length is 4096 tokens.",
            kind="invalid_request_error",
            code="context_length_exceeded",
        ),
        fails(
            ContextLengthExceeded,
            says=Says(same=False, billed="no", breaker="alive"),
            code="context_length_exceeded",
        ),
        OPENAI,
    ),
    Fault(
        "F6.llama-cpp",
        "400 exceed_context_size_error, as llama.cpp words it",
        refuses(
            400,
            "the request exceeds the available context size, try increasing it",
            kind="exceed_context_size_error",
        ),
        fails(ContextLengthExceeded, code="context_length_exceeded"),
        OPENAI,
    ),
    Fault(
        "F6.vllm",
        "400 BadRequestError with the context length in its text, as vLLM words it",
        replies(vllm("This model's maximum context length is 2048 tokens. However, you requested 4000 tokens.")),
        fails(ContextLengthExceeded, code="context_length_exceeded"),
        OPENAI,
    ),
    Fault(
        "F7",
        "400 content_filter",
        refuses(400, "The response was filtered.", kind="invalid_request_error", code="content_filter"),
        fails(ContentFiltered, says=OURS, code="content_filter"),
        OPENAI,
    ),
    Fault(
        "F7.policy",
        "400 content_policy_violation",
        refuses(400, "Rejected by our safety system.", kind="invalid_request_error", code="content_policy_violation"),
        fails(ContentFiltered, says=OURS, code="content_filter"),
        OPENAI,
    ),
    Fault(
        "F8",
        "400 whose text is about billing",
        replies(
            answer(
                400,
                anthropic("invalid_request_error", "You have reached your specified workspace API usage limits."),
            )
        ),
        QUOTA,
        OPENAI,
    ),
    Fault(
        "F8.balance",
        "400 credit balance too low",
        replies(
            answer(
                400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")
            )
        ),
        QUOTA,
        OPENAI,
    ),
    Fault(
        "F9",
        "402 billing_error",
        replies(answer(402, anthropic("billing_error", "There is an issue with your billing."))),
        QUOTA,
        OPENAI,
    ),
    Fault(
        "F9.credits",
        "402 insufficient credits",
        replies(answer(402, {"error": {"code": 402, "message": "Insufficient credits. Add more."}})),
        QUOTA,
    ),
    Fault("F10", "408", refuses(408, "Request timed out."), fails(UpstreamTimeout, says=SLOW)),
    Fault(
        "F11",
        "409 conflict",
        refuses(409, "Could not take the lock in time.", kind="conflict_error"),
        fails(UpstreamServerError, says=Says(same=True, billed="no", breaker="neutral")),
    ),
    Fault(
        "F12",
        "413 as JSON",
        refuses(413, "Request exceeds the maximum size.", kind="request_too_large"),
        fails(InvalidRequest, says=OURS, code="request_too_large"),
    ),
    Fault(
        "F12.early",
        "413 as HTML from the edge, sent and closed while the request still comes",
        _too_large("<html><body><center>cloudflare</center></body></html>", HTML),
        fails(InvalidRequest, says=OURS, code="request_too_large", hidden=HTML_TRACES),
        prompt_size=4 * 1024 * 1024,
    ),
    Fault(
        "F13",
        "422 with a list of details",
        replies(
            answer(
                422,
                {
                    "detail": [
                        {
                            "type": "missing",
                            "loc": ["body", "messages"],
                            "msg": "field required",
                            "input": CANARY_PROMPT,
                        }
                    ]
                },
            )
        ),
        fails(InvalidRequest, says=OURS, shown=("field required",)),
    ),
)

"""Answers that report a failure of the server, or of something in front of it (F25 to F31)."""

from __future__ import annotations

from localagent.errors import InvalidRequest, Overloaded, UpstreamAuth, UpstreamServerError
from localagent_testing.faults.exchanges import HTML, HTML_TRACES, Maker, does, page, refuses, replies
from localagent_testing.faults.expectations import Says, fails, hint
from localagent_testing.faults.records import OPENAI, Fault
from localagent_testing.faults.vendors import anthropic, gemini
from localagent_testing.http_bytes import answer, chunk, head
from localagent_testing.steps import ReadRequest, Repeat, Send

SICK = Says(same=True, next=True, billed="unknown", breaker="failure")
KEY = Says(same=False, next=True, billed="no", breaker="neutral")
FULL = Says(same=True, next=True, billed="no", breaker="failure")


def _endless_page() -> Maker:
    pieces = Repeat((Send(chunk(b"<p>cloudflare</p>" * 4096)),))
    return does(ReadRequest(), Send(head(502, {"Content-Type": HTML, "Transfer-Encoding": "chunked"})), pieces)


ROWS: tuple[Fault, ...] = (
    Fault(
        "F25",
        "500 server_error",
        refuses(500, "The server had an error.", kind="server_error"),
        fails(UpstreamServerError, says=SICK),
    ),
    Fault(
        "F25.anthropic",
        "500 api_error",
        replies(answer(500, anthropic("api_error", "Internal server error"))),
        fails(UpstreamServerError, says=SICK),
        OPENAI,
    ),
    Fault(
        "F25.gemini",
        "500 INTERNAL",
        replies(answer(500, gemini(500, "INTERNAL", "Your input context is too long."))),
        fails(UpstreamServerError, says=SICK),
        OPENAI,
    ),
    *(
        Fault(
            f"F26.{status}",
            f"{status} with a page of the edge",
            page(status, f"{status} from nginx or cloudflare"),
            fails(UpstreamServerError, says=SICK, hidden=HTML_TRACES),
        )
        for status in (502, 504, 520, 522, 524)
    ),
    Fault(
        "F26.endless",
        "502 with a page that never ends",
        _endless_page(),
        fails(UpstreamServerError, says=SICK, hidden=HTML_TRACES, closed=True),
    ),
    Fault(
        "F27",
        "503 server_is_overloaded",
        refuses(503, "The server is overloaded.", kind="server_error", code="server_is_overloaded"),
        fails(Overloaded, says=FULL),
        OPENAI,
    ),
    Fault(
        "F27.gemini",
        "503 UNAVAILABLE",
        replies(answer(503, gemini(503, "UNAVAILABLE", "The model is overloaded."))),
        fails(Overloaded, says=FULL),
        OPENAI,
    ),
    Fault(
        "F28",
        "529 overloaded_error",
        replies(answer(529, anthropic("overloaded_error", "Overloaded"))),
        fails(Overloaded, says=FULL),
        OPENAI,
    ),
    Fault(
        "F29",
        "503 with retry-after: 20 (that another target answers at once takes two servers)",
        refuses(503, "Busy.", kind="server_error", headers={"retry-after": "20"}),
        fails(Overloaded, says=Says(next=True, billed="no"), retry_after=hint(20.0)),
        OPENAI,
    ),
    Fault(
        "F30.false",
        "503 with x-should-retry: false",
        refuses(503, "Busy.", headers={"x-should-retry": "false"}),
        fails(Overloaded, says=Says(same=False)),
        OPENAI,
    ),
    Fault(
        "F30.true",
        "400 with x-should-retry: true",
        refuses(400, "Try again.", kind="invalid_request_error", headers={"x-should-retry": "true"}),
        fails(InvalidRequest, says=Says(same=True)),
        OPENAI,
    ),
    Fault(
        "F31",
        "401 with a page of the edge",
        page(401, "401 Authorization Required"),
        fails(
            UpstreamAuth,
            says=Says(same=False, next=True, billed="no", breaker="neutral"),
            hidden=("<h1", "Authorization Required"),
        ),
    ),
)

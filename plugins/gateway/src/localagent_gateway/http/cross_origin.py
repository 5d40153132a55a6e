"""What browsers ask and need to hear before a web page of another origin may read an answer.

The CORS protocol of the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol). Pages are not let use
cookies or other credentials of the browser: a key is a header, which the page has to know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from localagent import FrontAnswer, FrontStream

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
MAX_AGE_SECONDS = 600
HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{1,4096}", re.ASCII)  # tokens of RFC 9110 in a list


def preflight(method: str, headers: Mapping[str, str]) -> FrontAnswer | None:
    """Return the answer to a browser that asks before it asks; None for any other request.

    Args:
        method: The request's method.
        headers: Its headers; it comes from an origin that may ask.
    """
    if method != "OPTIONS" or "origin" not in headers or "access-control-request-method" not in headers:
        return None
    allowed = {"access-control-allow-methods": METHODS, "access-control-max-age": str(MAX_AGE_SECONDS)}
    wanted = headers.get("access-control-request-headers", "")
    if HEADER_NAMES.fullmatch(wanted):
        allowed["access-control-allow-headers"] = wanted  # "*" would leave out Authorization
    return FrontAnswer(204, headers=allowed)


def readable(answer: FrontAnswer | FrontStream, origin: str) -> FrontAnswer | FrontStream:
    """Return an answer that the browser lets a page of this origin read, with all its headers."""
    more = {"access-control-allow-origin": origin, "access-control-expose-headers": "*", "vary": "Origin"}
    return msgspec.structs.replace(answer, headers={**answer.headers, **more})

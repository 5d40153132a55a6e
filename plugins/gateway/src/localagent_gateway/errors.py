"""What the gateway itself refuses, as errors of the one tree with the status that HTTP has for it."""

from __future__ import annotations

from typing import Any

from localagent.errors import InvalidRequest, LocalRefusal, StartError


class WrongField(InvalidRequest):
    """A field of the request is wrong, or cannot be served.

    Args:
        message: One sentence that names the field.
        param: The field, as programs find it in the errors of OpenAI's API.
        fields: As for every error.
    """

    def __init__(self, message: str, *, param: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.param = param


def wrong(what: str, param: str | None = None) -> WrongField:
    """Return the error for a request that is wrong.

    Args:
        what: A sentence that names the field.
        param: The field, as programs find it in the errors of OpenAI's API.
    """
    return WrongField(what, param=param)


def unsupported(what: str, hint: str | None = None, param: str | None = None) -> WrongField:
    """Return the error for what the gateway cannot say to a model: "The gateway cannot say ..."."""
    return WrongField(f"The gateway cannot say {what}.", param=param, hint=hint, code="unsupported")


class NotFound(InvalidRequest):
    """There is nothing at this path."""

    status = 404
    default_code = "not_found"


class WrongMethod(InvalidRequest):
    """The path answers other methods.

    Args:
        message: One sentence.
        allow: The methods, as the header ``Allow`` tells them.
    """

    status = 405
    default_code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Malformed(InvalidRequest):
    """The request is framed in a way that HTTP does not know."""

    default_code = "malformed_request"


class UnknownVersion(InvalidRequest):
    """The request is in a version of HTTP that is not spoken."""

    status = 505
    default_code = "http_version_not_supported"


class TargetTooLong(InvalidRequest):
    """The address of the request is too long."""

    status = 414
    default_code = "uri_too_long"


class HeadersTooLarge(InvalidRequest):
    """A header is too large, or there are too many."""

    status = 431
    default_code = "request_headers_too_large"


class TooLarge(InvalidRequest):
    """The body is larger than the settings allow."""

    status = 413
    default_code = "request_too_large"


class TooSlow(InvalidRequest):
    """The body did not arrive in time."""

    status = 408
    default_code = "request_timeout"


class WrongEncoding(InvalidRequest):
    """The body is compressed, or its content type says that it is not JSON."""

    status = 415
    default_code = "unsupported_media_type"


class WrongPlace(InvalidRequest):
    """The request was meant for another host, or comes from a web page that may not ask."""

    status = 403
    default_code = "wrong_host"


class Busy(LocalRefusal):
    """The gateway has no room for the request now; ``retry_after`` says when it may."""

    default_code = "gateway_busy"


class PartlyDone(StartError):
    """Some workers were changed and some were not; the message says which."""

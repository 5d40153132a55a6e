"""The errors of the gateway itself, each with its HTTP status; all belong to LocalAgent's error tree."""

from __future__ import annotations

from typing import Any

from localagent.errors import InvalidRequest, LocalRefusal, StartError


class WrongField(InvalidRequest):
    """A field of the request is wrong or not supported.

    Args:
        message: One sentence that names the field.
        param: The field, as OpenAI's API names it in ``param``.
        fields: Those of every error.
    """

    def __init__(self, message: str, *, param: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.param = param


def wrong(what: str, param: str | None = None) -> WrongField:
    """Return the error for an invalid request.

    Args:
        what: A sentence that names the field.
        param: The field, as OpenAI's API names it in ``param``.
    """
    return WrongField(what, param=param)


def unsupported(what: str, hint: str | None = None, param: str | None = None) -> WrongField:
    """Return the error for a part of a request that the gateway does not support.

    Args:
        what: The part; follows "The gateway does not support".
        hint: What the client can do instead.
        param: The field, as OpenAI's API names it in ``param``.
    """
    return WrongField(f"The gateway does not support {what}.", param=param, hint=hint, code="unsupported")


class NotFound(InvalidRequest):
    """The path does not exist."""

    status = 404
    default_code = "not_found"


class WrongMethod(InvalidRequest):
    """The path does not support the method.

    Args:
        message: One sentence.
        allow: The supported methods, in the format of the header ``Allow``.
    """

    status = 405
    default_code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Malformed(InvalidRequest):
    """The request is not well-formed HTTP."""

    default_code = "malformed_request"


class UnknownVersion(InvalidRequest):
    """The request uses a version of HTTP that is not supported."""

    status = 505
    default_code = "http_version_not_supported"


class TargetTooLong(InvalidRequest):
    """The address of the request is too long."""

    status = 414
    default_code = "uri_too_long"


class HeadersTooLarge(InvalidRequest):
    """A header is too large, or there are too many headers."""

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
    """The body is compressed, or its content type is not JSON."""

    status = 415
    default_code = "unsupported_media_type"


class WrongPlace(InvalidRequest):
    """The request is for another host, or comes from a web page that may not call the gateway."""

    status = 403
    default_code = "wrong_host"


class Busy(LocalRefusal):
    """The gateway has no room for the request now; ``retry_after`` is the time in seconds until it may."""

    default_code = "gateway_busy"


class PartlyDone(StartError):
    """A change reached some workers only; the message names them."""

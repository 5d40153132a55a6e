"""Redacts addresses and names from clients, so that they can be logged and repeated in an error."""

from __future__ import annotations

import re
from urllib.parse import unquote

from localagent.http_answers import KEY_PATTERN, printable

#: In an address, a key may appear without a word that names it, so all parts are checked for the look of a key.
ADDRESS_LOOKED_AT = 1000  # characters
_SEPARATOR = re.compile(r"([/?&;=#,])")
_PREFIXED = re.compile(
    r"""(?ix) (?<![a-z0-9])
      (?: (?:la|sk|pk|rk|gsk|csk|hf|xai|pplx|fw|r8|nvapi|tgp|gh[a-z]|github_pat|glpat|xox[a-z])[-_](?:\s*\S){6}
        | (?:bearer|basic)\s+\S+ )
    """
)
_NAMES = "key|token|api[-_ ]?key|x[-_]api[-_]key|(?:access|auth|id|refresh|session)[-_]?token|(?:client[-_]?)?secret"
_NAME = re.compile(rf"(?i)\s*(?:{_NAMES}|auth|authorization|bearer|passwd|password|pwd|credentials?|sig|signature)\s*")
_NAMED = re.compile(rf"{_NAME.pattern}:\s*\S+")
_RUN = re.compile(r"(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20,}|[A-Za-z0-9]{32,}")
_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}")
_TURN = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])")
RANDOM = 0.3  # changes between upper case, lower case and digits per character: 0.6 in random text, 0.2 in names


def redact_address(address: str) -> str:
    """Return an address, with or without a query, in a form that can be logged and repeated in an error.

    Each part is checked with its percent escapes decoded. A part that looks like a key, or follows the name of one,
    becomes ``***``. Control characters are escaped, and the result is cut to 300 characters.

    Args:
        address: The path and query, or a part of them, as the client sent it.
    """
    text = address
    if len(address) > ADDRESS_LOOKED_AT:  # cut between parts: half a key could not be recognised
        text = "".join(_SEPARATOR.split(address[:ADDRESS_LOOKED_AT])[:-1]) + "..."
    parts = _SEPARATOR.split(_decoded(text))
    hidden = [i for i in range(0, len(parts), 2) if parts[i] and _is_secret(parts[i], parts[i - 2] if i else "")]
    for i in hidden:
        parts[i] = "***"
    return printable("".join(parts) if hidden else text)


def _decoded(text: str) -> str:
    """Return a text with its percent escapes decoded, nested ones included."""
    for _ in range(3):
        if "%" not in text:
            break
        text = unquote(text)
    return text


def _is_secret(part: str, before: str) -> bool:
    """Return whether a part of an address looks like a key, with or without blanks, or follows the name of one."""
    if _NAME.fullmatch(before) or _NAMED.search(part) or _looks_secret(part):
        return True
    whole = "".join(part.split())
    return whole != part and _looks_secret(whole)


def _looks_secret(text: str) -> bool:
    return any(shape.search(text) for shape in (KEY_PATTERN, _PREFIXED, _RUN, _UUID)) or any(
        len(_TURN.findall(token)) > RANDOM * len(token) for token in _TOKEN.findall(text)
    )

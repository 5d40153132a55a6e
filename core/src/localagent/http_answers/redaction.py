"""Text of others, made fit to be shown: without keys, addresses' secrets and control characters."""

from __future__ import annotations

import re
from urllib.parse import unquote

SHOWN = 300  # characters of a server's message
KEY = re.compile(
    r"""(?ix)
      \bbearer\s+\S+ | \bbasic\s+[a-z0-9+/=]{16,}
    | (?<![a-z0-9]) sk[-_][^\s"'`<>(),;]{3,} | sk-[^\s"'`<>(),;]{20,}
    | (?<![a-z0-9]) (?:pk|rk|gsk|csk|hf|xai|pplx|fw|r8|nvapi|tgp|ghp|glpat)[-_][^\s"'`<>(),;]{16,}
    | AIza[\w-]{10,} | \bAKIA[a-z0-9]{12,} | \bya29\.[\w-]+ | \beyJ[\w.-]{16,}
    | \b(?:api[-_ ]?key|secret|password|access[-_ ]?token|authorization)\b(?:\s+provided)?["']?\s*[:=]\s*
      ["']?(?:bearer\s+|basic\s+)?\S+
    """
)
# How the keys of most other providers look: a bare run of letters and digits. An id such as req_... is none.
_LONG = re.compile(r"(?<![A-Za-z0-9_])(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}")
_URL = re.compile(r"""(?i)\b([a-z][a-z0-9+.-]{0,15}://)(?:[^\s/"'<>]*@)?([^\s?#"'<>]*)(?:[?#][^\s"'<>]*)?""")

# In an address a key may stand by itself, without a word that says what it is, so its parts are looked at more closely.
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
RANDOM = 0.3  # turns between capitals, small letters and digits for each character: 0.6 at random, 0.2 in names


def redact(text: str) -> str:
    """Return a server's text so that it can be shown and logged.

    Keys become ``***``; addresses lose their user and their query; characters that print nothing, move the cursor or
    end a line are written as escapes; what is longer than 300 characters is cut.

    Args:
        text: Any text from outside.
    """
    return _shown(_URL.sub(r"\1\2", _LONG.sub("***", KEY.sub("***", text))))


def redact_address(address: str) -> str:
    """Return an address's path, with or without a query, so that it can be logged and repeated in an error.

    It is looked at part by part, percent escapes decoded. What looks like a key, or has the name of one before it,
    becomes ``***``; control characters are written as escapes; what is longer than 300 characters is cut.

    Args:
        address: The path and query, or a part of them, as somebody sent it.
    """
    text = address
    if len(address) > ADDRESS_LOOKED_AT:  # a key that is cut in two could be hidden no more
        text = "".join(_SEPARATOR.split(address[:ADDRESS_LOOKED_AT])[:-1]) + "..."
    parts = _SEPARATOR.split(_decoded(text))
    hidden = [i for i in range(0, len(parts), 2) if parts[i] and _is_secret(parts[i], parts[i - 2] if i else "")]
    for i in hidden:
        parts[i] = "***"
    return _shown("".join(parts) if hidden else text)


def _decoded(text: str) -> str:
    """Return a text without percent escapes, also those of escapes."""
    for _ in range(3):
        if "%" not in text:
            break
        text = unquote(text)
    return text


def _is_secret(part: str, before: str) -> bool:
    """Return whether a part of an address looks like a key, blanks in it or not, or stands behind the name of one."""
    if _NAME.fullmatch(before) or _NAMED.search(part) or _looks_secret(part):
        return True
    whole = "".join(part.split())
    return whole != part and _looks_secret(whole)


def _looks_secret(text: str) -> bool:
    return any(shape.search(text) for shape in (KEY, _PREFIXED, _RUN, _UUID)) or any(
        len(_TURN.findall(token)) > RANDOM * len(token) for token in _TOKEN.findall(text)
    )


def clean_header(value: str | None) -> str | None:
    """Return a header's value if it can be shown and logged as it is, else None.

    Args:
        value: The value; dropped when it is empty, longer than 200 characters, looks like a key, or holds control
            characters.
    """
    if not value or len(value) > 200 or not value.isprintable() or KEY.search(value):
        return None
    return value


def _shown(text: str) -> str:
    """Write what prints nothing, moves the cursor or ends a line as escapes, and cut what is too long."""
    parts = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[: SHOWN + 1])
    shown = "".join(parts)
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."

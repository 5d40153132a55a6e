"""Text of others, made fit to be shown: without keys, addresses' secrets and control characters."""

from __future__ import annotations

import re

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


def redact(text: str) -> str:
    """Return a server's text so that it can be shown and logged.

    Keys become ``***``; addresses lose their user and their query; characters that print nothing, move the cursor or
    end a line are written as escapes; what is longer than 300 characters is cut.

    Args:
        text: Any text from outside.
    """
    hidden = _URL.sub(r"\1\2", _LONG.sub("***", KEY.sub("***", text)))
    shown = "".join(char if char.isprintable() else _escape(char) for char in hidden[: SHOWN + 1])
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."


def clean_header(value: str | None) -> str | None:
    """Return a header's value if it can be shown and logged as it is, else None.

    Args:
        value: The value; dropped when it is empty, longer than 200 characters, looks like a key, or holds control
            characters.
    """
    if not value or len(value) > 200 or not value.isprintable() or KEY.search(value):
        return None
    return value


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

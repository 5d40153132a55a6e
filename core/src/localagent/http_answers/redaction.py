"""Makes foreign text safe to show: without keys, secrets in addresses and control characters."""

from __future__ import annotations

import re

SHOWN = 300  # characters of a server's message that are shown
KEY_PATTERN = re.compile(
    r"""(?ix)
      \bbearer\s+\S+ | \bbasic\s+[a-z0-9+/=]{16,}
    | (?<![a-z0-9]) sk[-_][^\s"'`<>(),;]{3,} | sk-[^\s"'`<>(),;]{20,}
    | (?<![a-z0-9]) (?:pk|rk|gsk|csk|hf|xai|pplx|fw|r8|nvapi|tgp|ghp|glpat)[-_][^\s"'`<>(),;]{16,}
    | AIza[\w-]{10,} | \bAKIA[a-z0-9]{12,} | \bya29\.[\w-]+ | \beyJ[\w.-]{16,}
    | \b(?:api[-_ ]?key|secret|password|access[-_ ]?token|authorization)\b(?:\s+provided)?["']?\s*[:=]\s*
      ["']?(?:bearer\s+|basic\s+)?\S+
    """
)
"""Matches text that is a key by its form or by the word before it."""
# The form of most other providers' keys: a bare run of letters and digits. An id such as req_... is not a key.
_LONG = re.compile(r"(?<![A-Za-z0-9_])(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}")
_URL = re.compile(r"""(?i)\b([a-z][a-z0-9+.-]{0,15}://)(?:[^\s/"'<>]*@)?([^\s?#"'<>]*)(?:[?#][^\s"'<>]*)?""")


def redact(text: str) -> str:
    """Return a server's text in a form that is safe to show and log.

    Keys become ``***``; user and query are removed from addresses; characters that are invisible, move the cursor or
    end a line are written as escapes; a text of more than 300 characters is cut.

    Args:
        text: Any text from outside.
    """
    return printable(_URL.sub(r"\1\2", _LONG.sub("***", KEY_PATTERN.sub("***", text))))


def clean_header(value: str | None) -> str | None:
    """Return a header's value if it is safe to show and log, else None.

    Args:
        value: The value; None is returned when it is empty, longer than 200 characters, looks like a key, or contains
            control characters.
    """
    if not value or len(value) > 200 or not value.isprintable() or KEY_PATTERN.search(value):
        return None
    return value


def printable(text: str) -> str:
    """Return up to 300 characters of a text, with escapes for those that are invisible, move the cursor or end a line.

    Args:
        text: Any text from outside.
    """
    parts = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[: SHOWN + 1])
    shown = "".join(parts)
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."

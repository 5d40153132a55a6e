"""Blocks of content: how they are read, and what becomes of text and images in the OpenAI schema.

==================  ===================================================================================================
at Anthropic        in the OpenAI schema
==================  ===================================================================================================
``text``            a part ``text``; a single one is a bare string
``image``           a part ``image_url``: a ``data:`` address for ``base64``, the same address for ``url``
``cache_control``   nothing: it marks what Anthropic's servers keep for later requests, and changes no answer
==================  ===================================================================================================

A field that says something and stands in no table is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localagent_gateway.errors import unsupported, wrong

Block = Mapping[str, Any]
Parts = list[dict[str, Any]]

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")  # no set: what a body names may not be hashable
_EVERYWHERE = frozenset({"type", "cache_control"})


def blocks(content: Any, where: str) -> Iterator[tuple[str, str, Block]]:
    """Go through content: each block with its name in errors and its type.

    Args:
        content: A text, which is one block, or a list of blocks.
        where: What errors call the content.

    Raises:
        InvalidRequest: It is neither, or one of the list is no block.
    """
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise wrong(f"{where} is neither text nor a list of blocks.")
    for number, block in enumerate(content):
        place = f"{where}[{number}]"
        if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
            raise wrong(f"{place} is no block with a type.")
        yield place, block["type"], block


def only(block: Block, where: str, *known: str) -> None:
    """Refuse what a block says beside the known fields.

    Raises:
        InvalidRequest: A field is not known (code ``unsupported``).
    """
    for name, value in block.items():
        if value and name not in known and name not in _EVERYWHERE:
            raise unsupported(f"{where}.{name[:60]}")


def text_of(block: Block, name: str, where: str) -> str:
    """Return a field of a block that must be text.

    Raises:
        InvalidRequest: It is none.
    """
    value = block.get(name)
    if not isinstance(value, str):
        raise wrong(f"{where}.{name} is no text.")
    return value


def text_part(block: Block, where: str) -> dict[str, Any]:
    """Return the part that a block of type ``text`` makes."""
    only(block, where, "text")
    return {"type": "text", "text": text_of(block, "text", where)}


def image_part(block: Block, where: str) -> dict[str, Any]:
    """Return the part that a block of type ``image`` makes.

    Raises:
        InvalidRequest: Its source is neither base64 of a known format nor a web address.
    """
    only(block, where, "source")
    source = block.get("source")
    if not isinstance(source, Mapping):
        raise wrong(f"{where}.source is no object.")
    return {"type": "image_url", "image_url": {"url": _address(source, f"{where}.source")}}


def content_of(parts: Parts) -> str | Parts:
    """Return parts as the content of a message; a single text alone, as every server takes it."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _address(source: Block, where: str) -> str:
    kind = source.get("type")
    if kind == "base64":
        only(source, where, "media_type", "data")
        if source.get("media_type") not in IMAGES:
            raise unsupported(f"{where}.media_type", f"Use one of: {', '.join(IMAGES)}.")
        return f"data:{source['media_type']};base64,{text_of(source, 'data', where)}"
    if kind == "url":
        only(source, where, "url")
        address = text_of(source, "url", where)
        if not address.startswith(("https://", "http://")):  # others would read files of the server
            raise wrong(f"{where}.url is no web address.")
        return address
    raise unsupported(f"{where}, which is neither base64 nor url")

"""The settings of a model server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from localagent_provider_llamacpp.models import DEFAULT_MODEL

# Fields that the supervisor sets itself; a model server at an unexpected place could not be found or trusted.
RESERVED = frozenset({"api_keys", "api_prefix", "hostnames", "model", "model_alias", "port", "reuse_port",
                      "ssl_file_cert", "ssl_file_key"})  # fmt: skip


def _check_extra(settings: Any, attribute: Any, extra: Mapping[str, Any]) -> None:
    for name in extra:
        if name.partition(".")[0] in RESERVED:
            raise ValueError(f"extra: {name!r} is set by LocalAgent itself")
    try:
        json.dumps(dict(extra))
    except TypeError:
        raise ValueError(
            "extra: only numbers, strings, booleans and lists of these can be passed to llama.cpp"
        ) from None


@attrs.frozen
class ModelServerSettings:
    """The settings of a model server.

    Attributes:
        model: The model; ``models.find_model`` describes the ways to name it.
        threads: Number of compute threads; None means one less than the available processors, at most 8.
        context: Maximum tokens of one conversation, prompt and answer together.
        parallel: Conversations that are computed at the same time; others wait. Memory grows with ``context`` x
            ``parallel``.
        batch: Tokens of a prompt that are computed in one step; also the longest text that can be embedded. A call
            that is cancelled during its prompt, and every other conversation, waits until a step is done: 512 tokens
            take seconds on a slow processor.
        embeddings: Whether the server answers embeddings (the mean over the text's tokens) in addition to chats.
        load_timeout: Seconds after which loading counts as failed.
        environment: Names of additional environment variables for the process. It gets only these and the ones it
            needs, so no keys of other providers.
        extra: Further fields of llama.cpp's ``CommonParams`` by name, such as ``{"flash_attn_type":
            "LLAMA_FLASH_ATTN_TYPE_ENABLED"}`` or ``{"sampling.temp": 0.2}``.
    """

    model: str = DEFAULT_MODEL
    threads: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    context: int = attrs.field(default=4096, validator=attrs.validators.ge(1))
    parallel: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    batch: int = attrs.field(default=512, validator=attrs.validators.ge(1))
    embeddings: bool = True
    load_timeout: float = attrs.field(default=300.0, validator=attrs.validators.gt(0))
    environment: tuple[str, ...] = ()
    extra: Mapping[str, Any] = attrs.field(factory=dict, validator=_check_extra)

"""Embeddings in the OpenAI schema, told in Ollama's; their numbers stay the text that they came as."""

from __future__ import annotations

import msgspec

from localagent import Response
from localagent.errors import UpstreamProtocol
from localagent_gateway.apis.ollama.answers import durations
from localagent_gateway.apis.ollama.documents import Embeddings, Vectors

_decode = msgspec.json.Decoder(Vectors).decode
_encode = msgspec.json.Encoder().encode


def embeddings(response: Response, nanoseconds: int) -> bytes:
    """Return the answer of ``/api/embed``.

    Args:
        response: The answer of the pipeline.
        nanoseconds: How long it took.

    Raises:
        UpstreamProtocol: The answer holds no list of vectors.
    """
    return _encode(
        Embeddings(
            model=response.model,
            embeddings=_vectors(response),
            total_duration=nanoseconds,
            load_duration=durations(response.facts).get("load_duration"),
            prompt_eval_count=response.usage.prompt_tokens if response.usage is not None else None,
        )
    )


def only_embedding(response: Response) -> bytes:
    """Return the answer of ``/api/embeddings``: one vector; errors as in ``embeddings``."""
    return _encode({"embedding": _vectors(response)[0]})


def _vectors(response: Response) -> list[msgspec.Raw]:
    """Return the vectors in the order of the inputs."""
    try:
        rows = _decode(response.raw).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        rows = []
    vectors = [row.embedding for row in sorted(rows, key=lambda row: row.index)]
    if not vectors or not all(bytes(vector).startswith(b"[") for vector in vectors):
        raise UpstreamProtocol("The server's answer holds no list of embeddings.")
    return vectors

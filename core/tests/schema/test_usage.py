"""Token counts: None for what was not reported, and parts that never exceed the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent import Usage
from localagent.schema.answer_documents import usage_of

COUNT = st.none() | st.integers(-5, 1000) | st.floats(allow_nan=True) | st.text(max_size=3) | st.booleans()
DETAILS = st.none() | st.integers() | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens"), COUNT)
)  # fmt: skip
REPORTED = st.fixed_dictionaries({}, optional={
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), COUNT),
    "prompt_tokens_details": DETAILS, "completion_tokens_details": DETAILS,
})  # fmt: skip


@pytest.mark.parametrize(("reported", "usage"), [
    ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2, 5)),
    ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(3, 2, 5)),
    ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, None, 3)),  # embeddings
    ({"completion_tokens": 0}, Usage(None, 0, None)),
    ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 6}},
     Usage(9, 4, 13, cached_tokens=6)),
    ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}},
     Usage(9, 4, 13, cached_tokens=0)),
    ({"prompt_tokens": 9, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 3}},
     Usage(9, 4, 13, reasoning_tokens=3)),
    ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 20}},
     Usage(9, 4, 13, cached_tokens=9)),
    ({"prompt_tokens": 9, "completion_tokens": 4,
      "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 6, "audio_tokens": 1},
      "completion_tokens_details": {"audio_tokens": 2}},
     Usage(9, 4, 13, cached_tokens=6, cache_write_tokens=3, audio_tokens=3)),
    ({}, None), (None, None), ([], None), ({"tokens": 3}, None),
])  # fmt: skip
def test_counts_are_read_as_reported(reported: Any, usage: Usage | None) -> None:
    """A count that is missing or cannot be read is None; one that is reported as 0 is 0."""
    assert usage_of(reported) == usage


@given(REPORTED)
def test_parts_never_exceed_the_whole(reported: dict[str, Any]) -> None:
    """Whatever a server reports, counts are not negative, and parts are no more than what they are a part of."""
    usage = usage_of(reported)
    if usage is None:
        return
    counts = [getattr(usage, name) for name in Usage.__struct_fields__ if name != "estimated"]
    assert all(count is None or (type(count) is int and count >= 0) for count in counts)
    if usage.prompt_tokens is not None:
        assert (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0) <= usage.prompt_tokens
    if usage.completion_tokens is not None:
        assert (usage.reasoning_tokens or 0) <= usage.completion_tokens
    if usage.total_tokens is not None:
        assert (usage.audio_tokens or 0) <= usage.total_tokens

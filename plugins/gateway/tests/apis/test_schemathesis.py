"""Requests made from the gateway's own OpenAPI document, right and wrong ones: none makes it fail.

250 by default, 5,000 with ``LOCALAGENT_FULL=1``; the same ones every time.
"""

from __future__ import annotations

import asyncio
import collections
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from localagent_testing import fake_provider_plugin
from localagent_testing.contracts.base import often

CASES = 250
SEEDS = range(1, often(1, 20) + 1)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def attack(url: str, document: dict[str, Any], number: int) -> collections.Counter[int]:
    """Send the cases, check each answer, and return how often each status came; ``number`` seeds them."""
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    strategies = [
        operation.as_strategy(generation_mode=mode)
        for operation in operations
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if mode is GenerationMode.POSITIVE or operation.body or operation.path_parameters
    ]
    found: collections.Counter[int] = collections.Counter()

    @seed(number)
    @settings(
        max_examples=CASES, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )  # fmt: skip
    @given(st.one_of(strategies))
    def one(case: Any) -> None:
        answer = case.call(base_url=url, session=session)
        case.validate_response(answer, checks=CHECKS)
        found[answer.status_code] += 1

    with requests.Session() as session:
        one()
    return found


@pytest.mark.parametrize("number", SEEDS)
async def test_no_request_of_the_document_makes_the_gateway_fail(serve: Any, number: int) -> None:
    """No status of 500 and above; statuses, media types and bodies are as the document says."""
    async with serve(plugins=[fake_provider_plugin()]) as served:
        async with httpx.AsyncClient() as http:
            document = (await http.get(f"{served.url}/openapi.json")).json()
        found = await asyncio.to_thread(attack, served.url, document, number)
        print(f"seed {number}: {dict(sorted(found.items()))}")
    assert sum(found.values()) >= CASES
    assert found[200] > CASES / 20

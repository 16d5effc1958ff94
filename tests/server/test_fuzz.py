"""Fuzz every page by the OpenAPI document that the sidecar publishes: each answer must be one that it promises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from guardrail.server.app import create_app
from guardrail.server.settings import Settings
from tests.guards import guard
from tests.sidecar import CLOSED

schemathesis: Any = pytest.importorskip("schemathesis", reason="the pages are fuzzed with schemathesis")

PHASES = [Phase.explicit, Phase.generate]
open_pages = schemathesis.openapi.from_asgi("/openapi.json", create_app(guard(), Settings(max_batch=8)))
closed_pages = schemathesis.openapi.from_asgi("/openapi.json", create_app(guard(), CLOSED))


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def lines(context: Any, value: Any) -> bytes:
    values = value if isinstance(value, list) else [value]
    return "".join(json.dumps(one, default=str) + "\n" for one in values).encode()


@open_pages.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=15, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_no_request_gets_an_answer_that_was_not_promised(case: Any) -> None:
    case.call_and_validate()


@closed_pages.include(path_regex="^/v1/").parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=3, phases=PHASES, suppress_health_check=list(HealthCheck))
def test_every_request_without_the_key_is_refused_as_promised(case: Any) -> None:
    assert case.call_and_validate().status_code == 401

"""Test what the sidecar answers to what it cannot take: never anything of the request, in answers, logs or metrics."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fastapi.testclient import TestClient

from guardrail.doors import Streaming
from guardrail.result import Result
from guardrail.server.app import create_app
from tests.guards import SECRET, guard
from tests.sidecar import sidecar

JSON = {"content-type": "application/json"}
NAME = "Zyxwvut"


@pytest.mark.parametrize(
    ("page", "body", "field"),
    [
        ("check", {"text": None, "txt": SECRET}, "body"),
        ("check", {"text": [SECRET]}, "body.text"),
        ("check", {"text": "x", SECRET: 1}, "body"),
        ("check", [SECRET], "body"),
        ("check", SECRET, "body"),
        ("check/batch", {"texts": SECRET}, "body.texts"),
        ("check/batch", {"texts": ["x", {SECRET: SECRET}]}, "body.texts"),
        ("stream", {"chunks": [SECRET, 5]}, "body.chunks"),
        ("stream", {"chunks": [], SECRET: SECRET}, "body"),
        ("stream", [SECRET], "body"),
        ("moderations", {"input": [{"type": SECRET, "text": SECRET}]}, None),
        ("moderations", {"input": {SECRET: SECRET}}, None),
    ],
)
def test_a_malformed_request_is_named_by_its_field_and_not_repeated(page: str, body: Any, field: str | None) -> None:
    with sidecar() as client:
        answer = client.post(f"/v1/{page}", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["type"] == "invalid_request"
    assert all(set(wrong) == {"field", "message"} for wrong in error["fields"])
    assert field is None or field in [wrong["field"] for wrong in error["fields"]]
    assert NAME not in answer.text


@pytest.mark.parametrize("body", [b"{", f'{{"text": {NAME}}}'.encode(), b"\xff\xfe", b"[" * 100_000, b""])
@pytest.mark.parametrize("page", ["check", "stream", "moderations"])
def test_no_json_is_no_request(page: str, body: bytes) -> None:
    with sidecar() as client:
        answer = client.post(f"/v1/{page}", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["type"] in ("bad_request", "invalid_request")
    assert NAME not in answer.text


def test_a_body_of_another_type_is_refused() -> None:
    with sidecar() as client:
        assert client.post("/v1/check", content=f"text={NAME}".encode()).status_code == 422
        answer = client.post("/v1/stream", content=SECRET.encode(), headers={"content-type": "text/html"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (415, "unsupported_media_type")
        assert client.post("/v1/stream", content=b"x").status_code == 415


def test_unknown_pages_and_methods_have_the_same_shape() -> None:
    with sidecar() as client:
        missing = client.get(f"/v1/{NAME}")
        assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found")
        assert NAME not in missing.text
        wrong = client.get("/v1/check")
        assert (wrong.status_code, wrong.json()["error"]["type"], wrong.headers["allow"]) == (
            405,
            "method_not_allowed",
            "POST",
        )


class Broken(Streaming):
    async def acheck(self, text: str) -> Result:
        raise ValueError(text)


def broken() -> Broken:
    from guardrail.policy import Policy
    from tests.fakes import MapRewriter, WordDetector, plain_words

    return Broken(Policy(), WordDetector(), MapRewriter(plain_words))


def test_an_unexpected_error_is_500_and_its_message_goes_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), TestClient(create_app(broken()), raise_server_exceptions=False) as client:
        answer = client.post("/v1/check", json={"text": SECRET})
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "internal_error")
    assert "unexpected ValueError at test_problems.py:" in caplog.text
    assert NAME not in caplog.text + answer.text


def test_no_log_line_and_no_metric_holds_a_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "guardrail"), sidecar() as client:
        client.post(f"/v1/check?text={NAME}", json={"text": SECRET})
        client.post("/v1/check", json={"txt": SECRET})
        client.post(f"/{NAME}", json={"text": SECRET}, headers={"x-own": NAME})
        client.request(NAME.upper(), "/v1/check", json={"text": SECRET})
        client.post("/v1/stream", json={"chunks": [SECRET]})
        metrics = client.get("/metrics").text
    assert "POST /v1/check 200" in caplog.text
    assert "POST unknown 404" in caplog.text
    assert "other " in caplog.text
    assert NAME.lower() not in (caplog.text + metrics).lower()


def test_metrics_count_pages_decisions_labels_and_failures() -> None:
    with sidecar() as client:
        for text in ("Fine.", SECRET, SECRET):
            client.post("/v1/check", json={"text": text})
        client.post("/v1/detect", json={"text": SECRET})
        client.get("/v1/nothing")
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for line in (
        'guardrail_http_requests_total{method="POST",page="/v1/check",status="200"} 3.0',
        'guardrail_http_requests_total{method="GET",page="unknown",status="404"} 1.0',
        'guardrail_decisions_total{action="allow"} 1.0',
        'guardrail_decisions_total{action="rewrite"} 2.0',
        'guardrail_labels_total{label="toxicity"} 3.0',
        "guardrail_text_characters_count 4.0",
        'guardrail_http_request_seconds_count{page="/v1/check"} 3.0',
        "guardrail_http_requests_running 1.0",
    ):
        assert line in lines


def test_a_failure_is_counted_by_its_kind() -> None:
    from tests.guards import failing

    with sidecar(guard(detector=failing(RuntimeError(SECRET)))) as client:
        client.post("/v1/check", json={"text": SECRET})
        assert 'guardrail_failures_total{error="ModelRuntimeError"} 1.0' in client.get("/metrics").text

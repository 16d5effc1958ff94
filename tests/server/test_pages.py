"""Test the pages that judge: they answer what the guard answers, in the form of ``guardrail check --json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from guardrail.errors import DeadlineError, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action, Label
from guardrail.server.settings import Settings
from guardrail.wire import jsonable
from tests.asgi import MENDED, TEXT
from tests.cli import run
from tests.guards import CLEAN, SECRET, failing, guard, same
from tests.sidecar import sidecar


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with sidecar() as client:
        yield client


def timeless(value: Any) -> Any:
    return {**value, "latency_ms": 0.0}


@pytest.mark.parametrize("text", [*CLEAN, TEXT, "", " \n", "x" * 5000, SECRET])
def test_check_is_what_the_guard_says(client: TestClient, text: str) -> None:
    answer = client.post("/v1/check", content=json.dumps({"text": text}), headers={"content-type": "application/json"})
    assert answer.status_code == 200
    readable = text.replace("\ud83d", "\ufffd")
    assert timeless(answer.json()) == jsonable(same(guard().check(readable)))


def test_check_answers_like_the_command_line(client: TestClient) -> None:
    printed = json.loads(run("check", TEXT, "--json").stdout)
    assert timeless(client.post("/v1/check", json={"text": TEXT}).json()) == timeless(printed)


def test_a_batch_is_each_text_by_itself_in_order(client: TestClient) -> None:
    texts = [TEXT, "", "Fine.", TEXT]
    results = client.post("/v1/check/batch", json={"texts": texts}).json()["results"]
    assert [result["text"] for result in results] == [MENDED, "", "Fine.", MENDED]
    assert client.post("/v1/check/batch", json={"texts": []}).json() == {"results": []}


def test_a_batch_has_a_limit() -> None:
    with sidecar(settings=Settings(max_batch=2)) as client:
        assert client.post("/v1/check/batch", json={"texts": ["a", "b"]}).status_code == 200
        for page, body in (("check/batch", {"texts": ["a"] * 3}), ("moderations", {"input": ["a"] * 3})):
            answer = client.post(f"/v1/{page}", json=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (422, "invalid_request")
            assert "3 texts are over max_batch = 2" in answer.json()["error"]["message"]


def test_detect_gives_every_score_of_every_sentence(client: TestClient) -> None:
    text = "👋🏽 Hello. The idiot chairman spoke. A stereotype."
    found = client.post("/v1/detect", json={"text": text}).json()
    plain = guard().detect(text)
    assert {name: found[name] for name in ("flagged", "scores", "groups", "findings", "coverage", "model")} == jsonable(
        plain
    )
    assert found["thresholds"]["toxicity"] == 0.5
    sentences = found["sentences"]
    assert [text[s["start"] : s["end"]] for s in sentences] == [
        "👋🏽 Hello.",
        "The idiot chairman spoke.",
        "A stereotype.",
    ]
    assert set(sentences[0]["scores"]) == set(Label) - {Label.OBFUSCATION}
    assert [s["scores"]["toxicity"] for s in sentences] == [0.01, 0.9, 0.01]
    where = {s["label"]: text[s["start"] : s["end"]] for s in sentences[1]["stretches"]}
    assert (where["toxicity"], where["gendered_term"], where["hate"]) == (
        "idiot",
        "chairman",
        "The idiot chairman spoke.",
    )
    assert (sentences[0]["groups"], len(sentences[2]["groups"])) == ([], 11)


def test_what_lies_under_the_thresholds_is_no_finding_but_has_its_score() -> None:
    with sidecar(guard(Policy(threshold=0.95))) as client:
        found = client.post("/v1/detect", json={"text": TEXT}).json()
    assert (found["flagged"], found["findings"]) == (False, [])
    assert found["sentences"][1]["scores"]["toxicity"] == 0.9


def test_detect_of_nothing_is_nothing(client: TestClient) -> None:
    found = client.post("/v1/detect", json={"text": " "}).json()
    assert (found["flagged"], found["sentences"], found["coverage"]) == (False, [], 1.0)


def test_moderations_have_openais_shape(client: TestClient) -> None:
    answer = client.post("/v1/moderations", json={"model": "omni-moderation-latest", "input": TEXT, "other": 1}).json()
    assert set(answer) == {"id", "model", "results"}
    assert answer["id"].startswith("modr-")
    (result,) = answer["results"]
    assert result["flagged"] is True
    assert [name for name, found in result["categories"].items() if found] == ["harassment"]
    assert result["category_scores"]["harassment"] == 0.9
    assert set(result["categories"]) == set(result["category_scores"])
    assert {"hate", "stereotype"} <= set(result["categories"])
    assert not {"sexual", "self-harm", "violence"} & set(result["categories"])


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (["Fine.", TEXT], [False, True]),
        ([{"type": "text", "text": "Fine."}, {"type": "text", "text": TEXT}], [True]),
        ([], []),
        ("", [False]),
    ],
)
def test_moderations_take_one_text_many_or_parts(client: TestClient, given: Any, flags: list[bool]) -> None:
    answer = client.post("/v1/moderations", json={"input": given})
    assert [result["flagged"] for result in answer.json()["results"]] == flags


def test_the_policy_in_force_can_be_read() -> None:
    with sidecar(guard(Policy(actions={Label.HATE: Action.BLOCK}, thresholds={Label.HARM: 0.25}))) as client:
        policy = client.get("/v1/policy").json()
    assert policy["actions"]["hate"] == "block"
    assert policy["actions"]["obfuscation"] == "flag"
    assert policy["thresholds"]["harm"] == 0.25
    assert policy["severity"] == [str(action) for action in Action]


def test_where_the_policy_raises_the_answer_says_so() -> None:
    with sidecar(guard(Policy(action=Action.RAISE))) as client:
        answer = client.post("/v1/check", json={"text": TEXT})
        assert (answer.status_code, answer.json()["action"], answer.json()["flagged"]) == (200, "raise", True)
        assert "idiot" not in answer.text
        results = client.post("/v1/check/batch", json={"texts": ["Fine.", TEXT]}).json()["results"]
        assert [result["action"] for result in results] == ["allow", "raise"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ModelRuntimeError("it failed"), 503, "guard_failed"),
        (DeadlineError("too late"), 504, "deadline"),
        (RuntimeError(SECRET), 503, "guard_failed"),
    ],
)
def test_a_guard_that_cannot_judge_is_an_error_without_the_text(error: Exception, status: int, kind: str) -> None:
    door = guard(Policy(on_error="raise", on_timeout="raise"), detector=failing(error))
    with sidecar(door) as client:
        for page, body in (
            ("check", {"text": SECRET}),
            ("check/batch", {"texts": [SECRET]}),
            ("detect", {"text": SECRET}),
            ("moderations", {"input": SECRET}),
        ):
            answer = client.post(f"/v1/{page}", json=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
            assert answer.headers["retry-after"] == "1"
            assert "Zyxwvut" not in answer.text


def test_a_guard_that_blocks_on_errors_answers_with_the_message() -> None:
    with sidecar(guard(detector=failing(RuntimeError(SECRET)))) as client:
        answer = client.post("/v1/check", json={"text": SECRET}).json()
    assert (answer["action"], answer["text"]) == ("block", Policy().block_message)
    assert answer["error"].startswith("ModelRuntimeError: ")


def test_a_text_over_the_policys_limit_is_blocked_and_not_detected_in() -> None:
    with sidecar(guard(Policy(max_chars=10))) as client:
        assert client.post("/v1/check", json={"text": "x" * 11}).json()["action"] == "block"
        assert client.post("/v1/detect", json={"text": "x" * 11}).status_code == 503

"""Test the onnxruntime detector on a tiny random network of the product's own architecture."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail import _ort
from guardrail._runtime import Deadline
from guardrail.detect.base import PieceScores
from guardrail.detect.onnx import OnnxDetector
from guardrail.detect.spans import stretches
from guardrail.errors import DeadlineError, ModelIntegrityError, ModelRuntimeError
from guardrail.guard import Pipeline
from guardrail.judge import Judge
from guardrail.models.bundle import open_bundle
from guardrail.models.store import find
from guardrail.policy import Policy
from guardrail.result import GROUPS, MODEL_LABELS, Action, Label
from tests.bundles import MAX_TOKENS, THRESHOLDS, detector_tables, tiny_net, tiny_tokenizer, write_detector
from tests.fakes import MapRewriter, plain_words

pytest.importorskip("torch", reason="the tiny network is made with the training code")
pytestmark = pytest.mark.training

TEXTS = ("The idiot spoke first.", "Hello there!", "women", "A bcd efg, hij.", "men lead the team", "x")
TOKENIZER = tiny_tokenizer()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """The tiny network exported as it is, and quantised as the product's detector is."""
    from guardrail.training.detector.export import export_fp32, quantize

    folder = tmp_path_factory.mktemp("onnx")
    export_fp32(tiny_net(), folder / "fp32.onnx")
    quantize(folder / "fp32.onnx", folder / "int8.onnx")
    return {name: (folder / f"{name}.onnx").read_bytes() for name in ("fp32", "int8")}


@pytest.fixture(scope="module")
def folder(models: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "tiny"
    write_detector(path, {"model.onnx": models["fp32"], "tokenizer.json": TOKENIZER})
    return path


@pytest.fixture(scope="module")
def detector(folder: Path) -> OnnxDetector:
    return OnnxDetector(open_bundle(folder))


def made(
    folder: Path, model: bytes, tokenizer: bytes = TOKENIZER, *, tables: str | None = None, **facts: object
) -> OnnxDetector:
    write_detector(folder / "tiny", {"model.onnx": model, "tokenizer.json": tokenizer}, tables=tables, **facts)
    return OnnxDetector(open_bundle(folder / "tiny"))


@pytest.fixture(scope="module")
def quantised(models: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> OnnxDetector:
    return made(tmp_path_factory.mktemp("quantised"), models["int8"])


def numbers(scores: Sequence[PieceScores]) -> np.ndarray[Any, Any]:
    return np.array([[*one.labels.values(), *one.groups.values()] for one in scores])


def torch_scores(texts: Sequence[str]) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    import torch
    from tokenizers import Tokenizer

    net, tokenizer = tiny_net(), Tokenizer.from_str(TOKENIZER.decode())
    heads, tokens = [], []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            labels, groups, spans = (torch.sigmoid(out)[0].numpy() for out in net(ids, torch.ones_like(ids)))
        heads.append(np.concatenate([labels, groups]))
        tokens.append(spans)
    return np.array(heads), tokens


def test_it_says_who_it_is_and_what_it_can_do(detector: OnnxDetector) -> None:
    assert (detector.name, detector.max_tokens, detector.languages) == ("tiny@1.0.0", MAX_TOKENS, ("en",))
    assert detector.thresholds == {target: dict.fromkeys(MODEL_LABELS, value) for target, value in THRESHOLDS.items()}


def test_scores_are_those_of_the_network_it_was_exported_from(detector: OnnxDetector) -> None:
    scores = detector.score(TEXTS, Deadline())
    wanted, _ = torch_scores(TEXTS)
    np.testing.assert_allclose(numbers(scores), wanted, atol=1e-4)
    assert all(tuple(one.labels) == MODEL_LABELS and tuple(one.groups) == GROUPS for one in scores)
    assert wanted.std(axis=0).min() > 0.01, "the tiny network scores everything alike: the test shows nothing"


def test_quantised_scores_are_near_those_of_the_network(quantised: OnnxDetector) -> None:
    scores = numbers(quantised.score(TEXTS, Deadline()))
    wanted, _ = torch_scores(TEXTS)
    assert np.abs(scores - wanted).mean() < 0.03


def test_calibration_scales_and_shifts_the_log_odds(
    models: Mapping[str, bytes], tmp_path: Path, detector: OnnxDetector
) -> None:
    calibrated = made(tmp_path, models["fp32"], tables=detector_tables((0.5, -1.0)))
    raw, found = numbers(detector.score(TEXTS, Deadline())), numbers(calibrated.score(TEXTS, Deadline()))
    width = len(MODEL_LABELS)
    odds = np.log(raw[:, :width] / (1 - raw[:, :width]))
    np.testing.assert_allclose(found[:, :width], 1 / (1 + np.exp(-(0.5 * odds - 1.0))), atol=1e-4)
    np.testing.assert_allclose(found[:, width:], raw[:, width:], atol=1e-6)


@given(texts=st.lists(st.sampled_from(TEXTS), max_size=20))
@settings(max_examples=25)
def test_a_piece_s_scores_do_not_depend_on_its_company(quantised: OnnxDetector, texts: list[str]) -> None:
    alone = {text: quantised.score([text], Deadline())[0] for text in set(texts)}
    assert quantised.score(texts, Deadline()) == [alone[text] for text in texts]


def test_spans_are_the_words_of_the_tokens_over_the_threshold(detector: OnnxDetector) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(TOKENIZER.decode())
    _, wanted = torch_scores(TEXTS)
    seen = 0
    for text, one, rows in zip(TEXTS, detector.score(TEXTS, Deadline()), wanted, strict=True):
        offsets = tokenizer.encode(text).offsets
        for column, label in enumerate(MODEL_LABELS):
            expected = list(stretches(text, offsets, [float(row[column]) for row in rows]))
            spans = [span for span in one.spans if span.label is label]
            assert [(span.start, span.end) for span in spans] == [(start, end) for start, end, _ in expected]
            assert [span.score for span in spans] == pytest.approx([score for _, _, score in expected], abs=1e-3)
            seen += len(spans)
    assert seen > 5


def test_tokens_are_counted_without_the_special_ones(detector: OnnxDetector) -> None:
    assert detector.count_tokens("The idiot, xy") == [(0, 3), (4, 9), (9, 10), (11, 12), (12, 13)]
    assert detector.count_tokens("") == []


def test_a_piece_beyond_the_model_is_an_error_and_never_cut(detector: OnnxDetector) -> None:
    fitting = " ".join(["team"] * MAX_TOKENS)
    assert len(detector.score([fitting], Deadline())) == 1
    with pytest.raises(ModelRuntimeError, match=rf"a piece has {MAX_TOKENS + 1} tokens, the model takes {MAX_TOKENS}"):
        detector.score(["fine", fitting + " team"], Deadline())


@pytest.mark.parametrize("text", ["the idiot " * 500, "x" * 3000, "😀 über " * 200, "A" * 11 + " " + "b" * 40])
def test_a_judge_cuts_every_text_into_pieces_that_fit(detector: OnnxDetector, text: str) -> None:
    (found,) = Judge(detector, Policy()).detect([text], Deadline())
    assert found.coverage == 1.0


@given(st.text(st.characters(codec=None), max_size=120))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_guard_on_it_takes_every_text(detector: OnnxDetector, text: str) -> None:
    result = Pipeline(Policy(action=Action.FLAG, on_error="raise"), detector, MapRewriter(plain_words)).check(text)
    assert result.text == text
    assert all(0 <= f.start <= f.end <= len(text) for f in result.findings)


def test_nothing_to_score(detector: OnnxDetector) -> None:
    assert detector.score([], Deadline()) == []


def test_a_passed_deadline_stops_it_and_it_stays_usable(detector: OnnxDetector) -> None:
    with pytest.raises(DeadlineError):
        detector.score(TEXTS, Deadline(0.0))
    assert len(detector.score(TEXTS, Deadline(3600))) == len(TEXTS)


def test_a_model_that_fails_as_it_runs_is_named_and_the_text_is_not(
    detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled() -> object:
        options = _ort.runtime().RunOptions()
        options.terminate = True
        options.log_severity_level = 4
        return options

    monkeypatch.setattr(_ort, "run_options", cancelled)
    with pytest.raises(ModelRuntimeError) as caught:
        detector.score(["the zyxwvut"], Deadline())
    assert str(caught.value).startswith("the detector tiny@1.0.0 failed in onnxruntime (")
    assert "zyxwvut" not in str(caught.value)


def test_many_threads_get_the_same_scores(folder: Path, detector: OnnxDetector) -> None:
    fresh, wanted, wrong = OnnxDetector(open_bundle(folder)), numbers(detector.score(TEXTS, Deadline())), []

    def work() -> None:
        try:
            for _ in range(25):
                if not np.allclose(numbers(fresh.score(TEXTS, Deadline())), wanted, atol=1e-4):
                    wrong.append("differs")
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


FORK = """
import os, sys
from pathlib import Path
from guardrail._runtime import Deadline
from guardrail.detect.onnx import OnnxDetector
from guardrail.models.bundle import open_bundle
from guardrail.models.store import find

detector = OnnxDetector(open_bundle(Path(sys.argv[1])))
before = detector.score(["the idiot spoke"], Deadline(60))
child = os.fork()
if child == 0:
    os._exit(0 if detector.score(["the idiot spoke"], Deadline(60)) == before else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(status or detector.score(["the idiot spoke"], Deadline(60)) != before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_scores_with_a_session_of_its_own(folder: Path) -> None:
    command = [sys.executable, "-c", FORK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_damaged_file_is_refused_when_it_is_loaded(models: Mapping[str, bytes], tmp_path: Path) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        broken = made(tmp_path, models["fp32"])
        data = bytearray((tmp_path / "tiny" / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / "tiny" / name).write_bytes(data)
        for _ in range(2):
            with pytest.raises(ModelIntegrityError, match=f"{name} has sha256"):
                broken.load()
        with pytest.raises(ModelIntegrityError):
            Pipeline(Policy(on_error="allow"), broken, MapRewriter(plain_words)).check("Hello there.")


@pytest.mark.parametrize("junk", [b"", b"<html>not found</html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_model_is_refused(models: Mapping[str, bytes], tmp_path: Path, junk: bytes) -> None:
    with pytest.raises(ModelIntegrityError, match=r"bundle 'tiny' does not load \("):
        made(tmp_path, junk).load()
    with pytest.raises(ModelIntegrityError, match=r"bundle 'tiny' does not load \("):
        made(tmp_path, models["fp32"], tokenizer=junk).load()


def foreign(outputs: Mapping[str, int], inputs: Sequence[str] = ("input_ids", "attention_mask")) -> bytes:
    """Return a model whose outputs, of these widths, are zeros."""
    import onnx
    from onnx import TensorProto, helper

    nodes, values = [], []
    for name, width in outputs.items():
        zeros = helper.make_tensor("", TensorProto.FLOAT, [1, width], [0.0] * width)
        nodes.append(helper.make_node("Constant", [], [name], value=zeros))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]))
    taken = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs]
    graph = helper.make_graph(nodes, "foreign", taken, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    data: bytes = onnx.ModelProto.SerializeToString(model)
    return data


WIDTHS = {"logits": len(MODEL_LABELS), "group_logits": len(GROUPS), "token_logits": len(MODEL_LABELS)}


@pytest.mark.parametrize(
    ("outputs", "inputs", "named"),
    [
        ({"logits": 6}, ("input_ids", "attention_mask"), "group_logits, token_logits"),
        ({**WIDTHS, "logits": 2}, ("input_ids", "attention_mask"), "logits"),
        ({**WIDTHS, "token_logits": 7}, ("input_ids", "attention_mask"), "token_logits"),
        (WIDTHS, ("input_ids",), "attention_mask"),
        (WIDTHS, ("input_ids", "attention_mask", "token_type_ids"), "token_type_ids"),
    ],
)
def test_a_foreign_network_is_refused(
    tmp_path: Path, outputs: Mapping[str, int], inputs: Sequence[str], named: str
) -> None:
    with pytest.raises(ModelIntegrityError, match=f"has another network than it says: see {named}$"):
        made(tmp_path, foreign(outputs, inputs)).load()


def test_another_kind_of_bundle_is_refused_at_once(models: Mapping[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match="bundle 'tiny' is a rewriter-base; a detector is needed"):
        made(tmp_path, models["fp32"], kind="rewriter-base")


@pytest.mark.parametrize(
    ("tables", "facts"),
    [
        ("", {}),
        ("[calibration]\nhate = [1.0, 0.0]", {}),
        (detector_tables().replace("[1.0, 0.0]", "[1.0]"), {}),
        (detector_tables().replace("[1.0, 0.0]", "[nan, 0.0]"), {}),
        (detector_tables().replace("[1.0, 0.0]", "3"), {}),
        (detector_tables().replace("hate = 0.5", ""), {}),
        (detector_tables().replace("hate = 0.5", "hate = 0.0"), {}),
        (detector_tables().replace("hate = 0.5", "hate = 'high'"), {}),
        (None, {"max_tokens": 0}),
        (None, {"max_tokens": "many"}),
        (None, {"labels": ["rudeness"]}),
        (None, {"languages": 3}),
    ],
)
def test_a_description_that_cannot_be_right_is_refused_at_once(
    tmp_path: Path, tables: str | None, facts: Mapping[str, object]
) -> None:
    with pytest.raises(ModelIntegrityError, match="bundle 'tiny' lacks a valid entry"):
        made(tmp_path, b"", TOKENIZER, tables=tables, **facts)


def test_nothing_is_read_before_the_first_text(tmp_path: Path) -> None:
    detector = made(tmp_path, b"no model")
    assert detector.thresholds["fpr<=0.01"][Label.HATE] == 0.5


def test_the_bundle_opens_in_optimum(folder: Path, detector: OnnxDetector, models: Mapping[str, bytes]) -> None:
    runtime = pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)
    import torch
    from transformers import BertConfig, PreTrainedTokenizerFast

    config = BertConfig(
        vocab_size=128,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        architectures=["BertForSequenceClassification"],
    )
    config.id2label = dict(enumerate(MODEL_LABELS))
    config.label2id = {label: index for index, label in config.id2label.items()}
    path = folder.with_name("optimum")
    config_file = config.to_json_string().encode()
    write_detector(path, {"model.onnx": models["fp32"], "tokenizer.json": TOKENIZER, "config.json": config_file})
    model = runtime.ORTModelForSequenceClassification.from_pretrained(
        path, file_name="model.onnx", local_files_only=True
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path / "tokenizer.json"), pad_token="[PAD]")
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    ours = numbers(detector.score(TEXTS, Deadline()))[:, : len(MODEL_LABELS)]
    np.testing.assert_allclose(torch.sigmoid(logits).numpy(), ours, atol=1e-4)


@pytest.mark.model
def test_the_bundled_detector_opens_in_optimum_with_its_own_config() -> None:
    runtime = pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)
    from transformers import PreTrainedTokenizerFast

    bundled = find("detector-fast")
    model = runtime.ORTModelForSequenceClassification.from_pretrained(bundled.path, local_files_only=True)
    assert tuple(model.config.id2label.values()) == MODEL_LABELS
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(bundled.path / "tokenizer.json"), pad_token="[PAD]")
    batch = tokenizer("The idiot spoke first.", return_tensors="pt")
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0].numpy()
    calibration = np.array([bundled.info["calibration"][label] for label in MODEL_LABELS])
    (ours,) = OnnxDetector(bundled).score(["The idiot spoke first."], Deadline())
    wanted = 1 / (1 + np.exp(-(logits * calibration[:, 0] + calibration[:, 1])))
    np.testing.assert_allclose(list(ours.labels.values()), wanted, atol=1e-4)

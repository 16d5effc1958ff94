"""Test the onnxruntime rewriter through its public door, on a tiny random model."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from tokenizers import Tokenizer

from guardrail._runtime import Deadline
from guardrail.errors import DeadlineError, ModelIntegrityError, ModelRuntimeError
from guardrail.rewrite import prompt
from guardrail.rewrite.adapter import lora_inputs
from guardrail.rewrite.base import RewriteRequest
from guardrail.rewrite.decode import Cache, Decoder, greedy, lookup
from guardrail.rewrite.onnx import OnnxRewriter
from guardrail.training.rewriter.tiny import CONTROLS, END, SHAPE, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.training

TALKATIVE = tiny_model(seed=0)
FINISHING = tiny_model(seed=2, end_bias=2.0)
TOKENIZER = tiny_tokenizer()
SHARED = OnnxRewriter("tiny", FINISHING, TOKENIZER, max_new_tokens=80)
SUFFIX = Tokenizer.from_buffer(TOKENIZER).encode(prompt.SUFFIX).ids
SENTENCES = ("The chairman spoke.", "Women cannot park.", "x")


def rewriter(model: bytes = FINISHING, adapter: bytes | None = None, max_new_tokens: int = 80) -> OnnxRewriter:
    return OnnxRewriter("tiny", model, TOKENIZER, adapter, max_new_tokens=max_new_tokens)


def adapter(rank: int, seed: int, strength: float) -> bytes:
    random = np.random.default_rng(seed)
    tensors = {}
    for layer in range(SHAPE.layers):
        for name, (width, height) in SHAPE.projections().items():
            tensors[f"layers.{layer}.{name}.A"] = random.normal(0, 0.2, (width, rank)).astype(np.float16)
            tensors[f"layers.{layer}.{name}.B"] = random.normal(0, strength, (rank, height)).astype(np.float16)
    return save(tensors)


def requests(texts: Sequence[str] = SENTENCES) -> list[RewriteRequest]:
    return [RewriteRequest(text) for text in texts]


def test_candidates_come_in_order_and_do_not_depend_on_company() -> None:
    model = rewriter()
    together = model.rewrite(requests(), Deadline())
    assert any(together)
    assert together == [model.rewrite([one], Deadline())[0] for one in requests()]
    assert model.rewrite([], Deadline()) == []


@pytest.mark.parametrize("seed", range(6))
def test_drafting_ahead_gives_the_plain_greedy_answer_in_fewer_runs(seed: int) -> None:
    decoder = Decoder(tiny_model(seed=seed, end_bias=1.0))
    ids = np.random.default_rng(seed).integers(3, SHAPE.vocab, 30).tolist()
    stop = frozenset({END})
    plain = greedy(decoder, decoder.cache(400), ids, stop=stop, limit=200, drafts=0)
    for drafts in (1, 3, 8):
        ahead = greedy(decoder, decoder.cache(400), ids, stop=stop, limit=200, drafts=drafts, hint=plain.ids[:5])
        assert (ahead.ids, ahead.finished) == (plain.ids, plain.finished)
        assert ahead.runs < plain.runs
    wrong = greedy(decoder, decoder.cache(400), ids, stop=stop, limit=200, hint=[7, 7, 7, 7])
    assert wrong.ids == plain.ids


def test_reading_in_pieces_gives_the_logits_of_one_read() -> None:
    decoder, ids = Decoder(TALKATIVE), list(range(10, 60))
    whole = decoder.logits(decoder.cache(len(ids)), ids, len(ids))
    first = decoder.cache(20)
    decoder.logits(first, ids[:20], 1)
    second = decoder.cache(len(ids), first)
    rest = decoder.logits(second, ids[20:], 30)
    np.testing.assert_array_equal(rest, whole[20:])
    assert first.length == 20


def test_a_cache_that_is_too_small_or_too_large_is_refused() -> None:
    decoder = Decoder(TALKATIVE)
    with pytest.raises(ModelRuntimeError, match="do not fit"):
        decoder.logits(decoder.cache(5), [9] * 7, 1)
    with pytest.raises(ModelRuntimeError, match="do not fit"):
        decoder.cache(decoder.context)


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 8))
def test_lookup_returns_what_followed_the_same_ending(history: list[int], count: int) -> None:
    guess = lookup(history, count)
    assert len(guess) <= count
    if guess:
        ending = history[-1]
        assert any(
            history[i] == ending and history[i + 1 : i + 1 + len(guess)] == guess for i in range(len(history) - 1)
        )
    elif count:
        assert history[-1:] not in [[token] for token in history[:-1]]


def test_lookup_prefers_the_longest_match() -> None:
    assert lookup([1, 2, 3, 9, 0, 3, 8, 1, 2, 3], 1) == [9]


def test_zero_adapters_change_nothing_and_a_real_one_does() -> None:
    base = rewriter().rewrite(requests(), Deadline())
    assert rewriter(adapter=adapter(0, 0, 0.0)).rewrite(requests(), Deadline()) == base
    assert rewriter(adapter=adapter(4, 0, 0.0)).rewrite(requests(), Deadline()) == base
    assert rewriter(adapter=adapter(4, 0, 0.5)).rewrite(requests(), Deadline()) != base


def test_adapters_of_the_wrong_shape_or_name_are_refused() -> None:
    good = load(adapter(4, 0, 0.1))
    for name, broken in {
        "missing": {key: value for key, value in good.items() if key != "layers.1.up_proj.B"},
        "foreign": {**good, "layers.9.up_proj.A": good["layers.1.up_proj.A"]},
        "ranks": {**good, "layers.1.up_proj.B": good["layers.1.up_proj.B"][:2]},
        "widths": {**good, "layers.1.q_proj.A": np.zeros((3, 4), np.float16)},
    }.items():
        with pytest.raises(ModelIntegrityError):
            rewriter(adapter=save(broken)).rewrite(requests(), Deadline())
            pytest.fail(name)
    with pytest.raises(ModelIntegrityError, match="safetensors"):
        lora_inputs(b"no adapter", SHAPE.layers)
    wide = {**good, "layers.0.o_proj.B": np.zeros((4, 7), np.float16)}
    with pytest.raises(ModelRuntimeError, match="does not fit"):
        rewriter(adapter=save(wide)).rewrite(requests(), Deadline())


def test_a_deadline_stops_a_running_answer_and_the_model_stays_usable() -> None:
    slow = rewriter(TALKATIVE, max_new_tokens=900)
    assert slow.rewrite(requests(), Deadline()) == ["", "", ""]
    with pytest.raises(DeadlineError):
        slow.rewrite(requests(), Deadline(0.02))
    with pytest.raises(DeadlineError):
        slow.rewrite(requests(), Deadline(0.0))
    assert slow.rewrite(requests(["again"]), Deadline()) == [""]


def test_a_sentence_that_cannot_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    model, roomy = rewriter(max_new_tokens=20), rewriter(max_new_tokens=SHAPE.context - 40)
    for warm in (model, roomy):
        warm.rewrite(requests(["warm"]), Deadline())
    monkeypatch.setattr(Decoder, "logits", lambda *_: pytest.fail("the model was run"))
    assert model.rewrite(requests(["a" * 21]), Deadline()) == [""]
    flags = tuple((f"label {i}", "é" * 80) for i in range(4))
    long = RewriteRequest("short", before="é" * 160, after="é" * 160, flags=flags)
    assert roomy.rewrite([long], Deadline()) == [""]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([*CONTROLS, "user\n", "a", "<|", "|>", "é", "\x00"]), max_size=6).map("".join))
def test_no_text_turns_into_control_tokens(text: str) -> None:
    SHARED.rewrite(requests(["warm"]), Deadline())
    fed: list[list[int]] = []
    run = Decoder.logits

    def spy(self: Decoder, cache: Cache, ids: Sequence[int], *rest: int) -> object:
        fed.append(list(ids))
        return run(self, cache, ids, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "logits", spy)
        # The prompt spells the marks differently already; the encoder must hold without that.
        patch.setattr(prompt, "body", lambda request: request.sentence)
        SHARED.rewrite([RewriteRequest(text)], Deadline())
    reading = next(ids for ids in fed if len(ids) >= len(SUFFIX))
    assert [token for token in reading if token < len(CONTROLS)] == [token for token in SUFFIX if token < len(CONTROLS)]
    assert Tokenizer.from_buffer(TOKENIZER).decode(reading[: reading.index(END)]) == text


def test_threads_share_one_rewriter() -> None:
    model, answers = rewriter(), []
    threads = [threading.Thread(target=lambda: answers.append(model.rewrite(requests(), Deadline()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 6


def test_nothing_loads_before_the_first_rewrite_and_broken_parts_are_named() -> None:
    with pytest.raises(ModelRuntimeError, match="'tiny'"):
        rewriter(model=b"no model").rewrite(requests(), Deadline())
    with pytest.raises(ModelRuntimeError) as caught:
        OnnxRewriter("tiny", FINISHING, b"{}").rewrite(requests(["secret words"]), Deadline())
    assert "secret" not in str(caught.value)
    with pytest.raises(ModelRuntimeError) as caught:
        SHARED.rewrite(requests(["secret \ud800 words"]), Deadline())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_telemetry_is_off_before_onnxruntime_is_imported() -> None:
    code = (
        "import os, sys; os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "import guardrail.rewrite.onnx, guardrail._ort as ort\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "ort.runtime(); assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_builds_its_own_session() -> None:
    code = (
        "import os\n"
        "from guardrail._runtime import Deadline\n"
        "from guardrail.rewrite.base import RewriteRequest\n"
        "from guardrail.rewrite.onnx import OnnxRewriter\n"
        "from guardrail.training.rewriter.tiny import tiny_model, tiny_tokenizer\n"
        "model = OnnxRewriter('tiny', tiny_model(seed=2, end_bias=2.0), tiny_tokenizer())\n"
        "ask = lambda: model.rewrite([RewriteRequest('x')], Deadline())\n"
        "here, child = ask(), os.fork()\n"
        "if child == 0: os._exit(0 if ask() == here else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=3), st.integers(0, 8))
def test_words_to_avoid_never_come_about_whatever_is_guessed_ahead(sentences: list[str], drafts: int) -> None:
    decoder = Decoder(TALKATIVE, threads=1)
    prompt_ids = Tokenizer.from_buffer(TOKENIZER).encode(" ".join(sentences)).ids
    free = greedy(decoder, decoder.cache(200), prompt_ids, stop=frozenset(), limit=12, drafts=drafts).ids
    banned = [[free[0]], list(free[3:5])]
    kept = greedy(decoder, decoder.cache(200), prompt_ids, stop=frozenset(), limit=12, drafts=drafts, banned=banned).ids
    plain = greedy(decoder, decoder.cache(200), prompt_ids, stop=frozenset(), limit=12, drafts=0, banned=banned).ids
    assert free[0] not in kept
    assert all(kept[i : i + 2] != tuple(banned[1]) for i in range(len(kept)))
    assert kept == plain

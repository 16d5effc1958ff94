"""Check local models as baselines, on random networks of a few thousand weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from guardrail._runtime import Deadline
from guardrail.errors import ConfigError, DeadlineError
from guardrail.rewrite.base import RewriteRequest
from guardrail.rewrite.shots import Shots
from guardrail.training.evaluate.rewriting.local import Fluency, LocalRewriter, Vectors, perplexity, similarity
from tests.training import tiny

pytestmark = pytest.mark.training
REQUEST = RewriteRequest("the chairman said it", flags=(("gendered_term", "chairman"),))


def save_tokenizer(folder: Path, template: str | None = None) -> int:
    made = PreTrainedTokenizerFast(
        tokenizer_object=tiny.tokenizer(), unk_token="[UNK]", pad_token="[PAD]", eos_token="[SEP]", bos_token="[CLS]"
    )
    made.chat_template = template
    made.save_pretrained(folder)
    return len(made)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    torch.manual_seed(0)
    size = save_tokenizer(folder)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=size, n_positions=512, n_embd=16, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=3)
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seq2seq")
    torch.manual_seed(0)
    size = save_tokenizer(folder)
    T5ForConditionalGeneration(
        T5Config(
            vocab_size=size,
            d_model=16,
            d_ff=32,
            d_kv=8,
            num_layers=1,
            num_heads=2,
            decoder_start_token_id=0,
            pad_token_id=0,
            eos_token_id=3,
        )
    ).save_pretrained(folder)
    return folder


def test_a_decoder_without_a_template_is_shown_pairs_and_stops_at_a_line(decoder: Path) -> None:
    shots = Shots([("the chairman is late", "the chair is late")], 1)
    rewriter = LocalRewriter(decoder, "tiny", shots=shots)
    prompt = rewriter.prompt(REQUEST)
    assert "Text: the chairman is late\nRewritten text: the chair is late\n" in prompt
    assert prompt.endswith('Flagged: gendered term "chairman"\nText: the chairman said it\nRewritten text:')
    (answer,) = rewriter.rewrite([REQUEST], Deadline(None))
    assert "\n" not in answer
    assert rewriter.rewrite([REQUEST], Deadline(None)) == [answer]


def test_a_decoder_with_a_template_gets_turns(decoder: Path, tmp_path: Path) -> None:
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    for path in decoder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    save_tokenizer(tmp_path, template)
    prompt = LocalRewriter(tmp_path, "chat").prompt(REQUEST)
    assert prompt.startswith("[system]")
    assert prompt.endswith("Text: the chairman said it[assistant]")


def test_a_seq2seq_model_is_given_the_short_instruction(seq2seq: Path) -> None:
    rewriter = LocalRewriter(seq2seq, "t5")
    assert rewriter.prompt(REQUEST).startswith("Rewrite in neutral words and keep the meaning.\nFlagged:")
    assert len(rewriter.rewrite([REQUEST, REQUEST], Deadline(None))) == 2


def test_an_expired_deadline_stops_it(decoder: Path) -> None:
    with pytest.raises(DeadlineError):
        LocalRewriter(decoder, "tiny").rewrite([REQUEST], Deadline(0.0))


@pytest.mark.parametrize("name", ["nothing", "gpt2", "model.gguf"])
def test_what_is_no_local_model_is_refused_and_never_fetched(tmp_path: Path, name: str) -> None:
    for opened in (lambda place: LocalRewriter(place, "x"), Fluency, Vectors):
        with pytest.raises(ConfigError, match="no local model"):
            opened(tmp_path / name)


def test_perplexity_is_that_of_the_model_s_own_loss(decoder: Path) -> None:
    fluency = Fluency(decoder)
    loss, tokens = fluency.loss(["the chairman said it", "", "the chairman said it"])
    net = GPT2LMHeadModel.from_pretrained(decoder).eval()
    ids = torch.tensor([fluency._tokenizer("the chairman said it")["input_ids"]])
    with torch.inference_mode():
        expected = float(net(input_ids=ids, labels=ids).loss)
    assert loss[0] / tokens[0] == pytest.approx(expected, rel=1e-4)
    assert loss[0] == loss[2]
    assert perplexity(loss[:1], tokens[:1]) == pytest.approx(math.exp(expected), rel=1e-4)
    assert math.isnan(perplexity(np.zeros(1), np.zeros(1)))


def test_vectors_have_length_one_whatever_stands_beside_them(tmp_path: Path) -> None:
    folder = tiny.save_base(tmp_path)
    save_tokenizer(folder)
    vectors = Vectors(folder)
    both = vectors.encode(["the chairman", "women and men said it on the mill"])
    assert np.linalg.norm(both, axis=1) == pytest.approx([1, 1])
    assert both[0] == pytest.approx(vectors.encode(["the chairman"])[0], abs=1e-5)
    assert len(vectors.encode([])) == 0


def test_similarity_is_one_for_the_same_and_nought_for_unrelated_rows() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 8)) + 2.0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert similarity(rows, rows) == pytest.approx(np.ones(400))
    assert abs(float(similarity(rows, np.roll(rows, 5, axis=0)).mean())) < 0.05
    assert float((rows * np.roll(rows, 5, axis=0)).sum(1).mean()) > 0.5
    assert similarity(rows[:1], rows[:1]) == pytest.approx([1.0])

"""Make the small things that rewriter training is tested with: bases with random weights, their bundle, a pool."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path

import torch
from tokenizers import Tokenizer, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from guardrail.training.bundles import write_bundle
from guardrail.training.rewriter.graph import GGUF_NAMES, build
from guardrail.training.rewriter.pairs import PairSettings
from guardrail.training.rewriter.tiny import END, SHAPE, RandomWeights, tiny_tokenizer

NOUNS = "clerk pilot nurse guard baker judge driver teacher".split()
PLACES = "harbour bridge library tunnel".split()
SMALL = {"dev_rate": 0.3, "max_dev": 6, "authored_repeat": 1, "clean_rate": 0.3}


def dense_llama(weights: RandomWeights) -> LlamaForCausalLM:
    """Return the weights of a tiny exported model as a Hugging Face model, dequantised."""
    config = LlamaConfig(
        vocab_size=SHAPE.vocab,
        hidden_size=SHAPE.hidden,
        intermediate_size=SHAPE.inner,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.heads,
        num_key_value_heads=SHAPE.kv_heads,
        head_dim=SHAPE.head_size,
        rope_theta=SHAPE.rope_base,
        rms_norm_eps=SHAPE.norm_epsilon,
        max_position_embeddings=SHAPE.context,
        tie_word_embeddings=True,
    )
    state = {"model.embed_tokens.weight": weights.q80("token_embd").dense()}
    state["model.norm.weight"] = weights.norm("output_norm")
    for layer in range(SHAPE.layers):
        at, stored_at = f"model.layers.{layer}", f"blk.{layer}"
        state[f"{at}.input_layernorm.weight"] = weights.norm(f"{stored_at}.attn_norm")
        state[f"{at}.post_attention_layernorm.weight"] = weights.norm(f"{stored_at}.ffn_norm")
        for name, stored_name in GGUF_NAMES.items():
            block = "self_attn" if stored_name.startswith("attn") else "mlp"
            state[f"{at}.{block}.{name}.weight"] = weights.q41(f"{stored_at}.{stored_name}").dense()
    model: LlamaForCausalLM = LlamaForCausalLM(config).eval()
    left_out = model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, strict=False)
    assert (left_out.missing_keys, left_out.unexpected_keys) == (["lm_head.weight"], [])
    model.tie_weights()
    return model


def save_llama(folder: Path, *, seed: int = 3) -> Path:
    """Save a tiny decoder and its tokenizer as a checkpoint; returns the folder."""
    dense_llama(RandomWeights(seed=seed, end_bias=1.0)).save_pretrained(folder)
    _save_tokenizer(folder, Tokenizer.from_str(tiny_tokenizer().decode()))
    return folder


def save_t5(folder: Path) -> Path:
    """Save a tiny encoder-decoder of flan-t5's kind and its tokenizer; returns the folder."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=SHAPE.vocab,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=END,
        tie_word_embeddings=False,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer = Tokenizer.from_str(tiny_tokenizer().decode())
    ending = [("<|im_end|>", END)]
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|im_end|>", special_tokens=ending)
    _save_tokenizer(folder, tokenizer)
    return folder


def save_bundle(folder: Path, *, seed: int = 3) -> Path:
    """Save the bundle of the decoder that ``save_llama`` makes of the same seed; returns the folder."""
    folder.mkdir()
    model = build(RandomWeights(seed=seed, end_bias=1.0), SHAPE.context)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (folder / "tokenizer.json").write_bytes(tiny_tokenizer())
    generation = {"eos_id": END, "stop": ("<|im_end|>",), **asdict(SHAPE)}
    facts = {"name": folder.name, "kind": "rewriter-base", "version": "1.0.0", "license": "Apache-2.0"}
    write_bundle(folder, {**facts, "generation": generation})
    return folder


def save_data(folder: Path) -> tuple[Path, Path]:
    """Save an empty pool and a folder of authored rows, two in three of them biased; returns both folders."""
    pool, authored = folder / "pool", folder / "authored"
    pool.mkdir(parents=True)
    authored.mkdir()
    for name in PairSettings().files:
        with gzip.open(pool / f"{name}.jsonl.gz", "wt") as empty:
            empty.write("")
    rows = []
    for index, (noun, place) in enumerate((noun, place) for noun in NOUNS for place in PLACES):
        clean = f"The {noun} left the {place} early."
        biased = index % 3 > 0
        text = f"The dumb {noun} left the {place} early." if biased else clean
        row = {"text": text, "target": clean, "label": int(biased), "brief": "few"}
        rows.append({**row, "labels": ["toxicity"] if biased else [], "spans": ["dumb"] if biased else []})
    (authored / "few.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return pool, authored


def recipe_text(**tables: dict[str, object]) -> str:
    """Return a recipe of a few steps on a handful of rows, with ``tables`` added."""
    run: dict[str, object] = {"max_steps": 4, "batch_tokens": 500, "eval_every": 2, "checkpoint_every": 2}
    default: dict[str, dict[str, object]] = {"run": run, "pairs": dict(SMALL), "lora": {"r": 4, "alpha": 8}}
    default["export"] = {"parity": 2, "measured": 4, "max_new_tokens": 8}
    for name, table in tables.items():
        default[name] = {**default.get(name, {}), **table}
    lines = []
    for name, table in default.items():
        # JSON and TOML write strings, numbers, booleans and lists of them alike.
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _save_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)

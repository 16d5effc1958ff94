"""Write model bundles for tests: any files with their hashes, and a tiny detector of the product's own architecture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from guardrail.result import GROUPS, MODEL_LABELS

if TYPE_CHECKING:
    from guardrail.training.detector.model import DetectorNet

MAX_TOKENS = 12
THRESHOLDS = {"fpr<=0.01": 0.5, "fpr<=0.001": 0.9}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_bundle(folder: Path, files: Mapping[str, bytes], *, tables: str = "", **facts: object) -> str:
    """Write files and a ``bundle.toml`` that pins them; return the hash of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {"name": folder.name, "kind": "detector", "version": "1.0.0", "license": "Apache-2.0", **facts}
    lines = [f"{key} = {json.dumps(value)}" for key, value in known.items()] + [tables, "[files]"]
    for name, data in files.items():
        lines.append(f"{json.dumps(name)} = {json.dumps(sha256(data))}")
        (folder / name).write_bytes(data)
    text = "\n".join(lines).encode()
    (folder / "bundle.toml").write_bytes(text)
    return sha256(text)


def detector_tables(calibration: tuple[float, float] = (1.0, 0.0)) -> str:
    """Return the TOML tables of a detector's ``bundle.toml``."""
    lines = ["[calibration]", *(f"{label} = {list(calibration)}" for label in MODEL_LABELS)]
    for target, value in THRESHOLDS.items():
        lines += [f'[thresholds."{target}"]', *(f"{label} = {value}" for label in MODEL_LABELS)]
    return "\n".join(lines)


def write_detector(folder: Path, files: Mapping[str, bytes], *, tables: str | None = None, **facts: object) -> str:
    """Write a detector bundle around ``model.onnx`` and ``tokenizer.json``."""
    own: dict[str, object] = {
        "languages": ["en"],
        "max_tokens": MAX_TOKENS,
        "labels": list(MODEL_LABELS),
        "groups": list(GROUPS),
    }
    return write_bundle(folder, files, tables=detector_tables() if tables is None else tables, **{**own, **facts})


def tiny_tokenizer() -> bytes:
    """Return a WordPiece tokenizer that knows some words and spells the others."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?-'"
    words = ["the", "idiot", "spoke", "first", "hello", "there", "women", "men", "lead", "team"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    text: str = tokenizer.to_str()
    return text.encode()


def tiny_net(seed: int = 0) -> DetectorNet:
    """Return a random detector network of two small layers; its scores spread over (0, 1)."""
    import torch
    from transformers import BertConfig, BertModel

    from guardrail.training.detector.model import DetectorNet

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=128,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.4,
            attn_implementation="eager",
        )
        net = DetectorNet(BertModel(config, add_pooling_layer=False), 32)
        for head in (net.label_head, net.group_head, net.span_head):
            torch.nn.init.normal_(head.weight, std=0.4)
    return net.eval()

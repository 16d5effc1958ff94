"""Make the small things that detector training is tested with: an encoder with random weights and its tokenizer."""

from __future__ import annotations

import gzip
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from guardrail.training.detector.model import DetectorNet, build
from guardrail.training.evaluate.detector import Size

HIDDEN = 32
SIZE = Size(
    rows=30,
    strange_rows=4,
    baseline_rows=400,
    clean_replies=8,
    probes=12,
    noise_texts=3,
    documents=2,
    page_sources=8,
    sentences=1,
    latency_rounds=0,
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the a an and of to in on at is are was she he her his they it as for by be not all said will women men nurse"
    " clerk chairman idiot lazy draconian rules plan board meeting stone mill form tea late early good bad"
).split()


def tokenizer() -> Tokenizer:
    """Return an uncased WordPiece tokenizer that spells out the words it does not know."""
    letters = string.ascii_lowercase + string.digits
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *string.punctuation, *WORDS]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    made.add_special_tokens(list(SPECIAL))
    return made


def save_base(folder: Path, *, seed: int = 0, layers: int = 2) -> Path:
    """Save a random encoder as a pretrained model's folder; returns the folder."""
    made = tokenizer()
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=made.get_vocab_size(),
        hidden_size=HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    made.save(str(folder / "tokenizer.json"))
    return folder


def net(base: Path, *, seed: int = 0, dropout: float | None = None) -> DetectorNet:
    """Build a detector on ``save_base``'s folder, its heads drawn from ``seed``."""
    torch.manual_seed(seed)
    made = build(base)
    if dropout is not None:
        for module in made.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
    return made


def write_pool(folder: Path, files: Iterable[tuple[str, Sequence[Mapping[str, object]]]]) -> Path:
    """Write pool files as gzip JSON Lines; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files:
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def pool(folder: Path, rows: int = 24) -> Path:
    """Write a pool of every file that training and evaluation read; a quarter of each is in the dev fold."""
    flags = {
        "cad": ("hate", ["hate"], "idiot"),
        "edos": ("stereotype", ["g:gender"], "women"),
        "hatexplain": ("toxic", ["hate", "toxic"], "idiot"),
        "implicit_hate": ("hate", ["hate", "stereotype"], "lazy"),
        "jigsaw_balanced": ("toxic", ["toxic"], "idiot"),
        "pairs_synthetic_loaded": ("loaded", ["loaded"], "draconian"),
        "pairs_winobias_plus": ("gendered_term", ["gendered_term"], "chairman"),
        "pairs_wnc_small": ("loaded", ["loaded"], "draconian"),
        "sbic_dev": ("stereotype", ["hate", "stereotype", "toxic"], "women"),
        "toxic_spans": ("toxic", ["toxic"], "idiot"),
        "toxigen_annotated": ("stereotype", ["g:gender", "hate", "stereotype"], "lazy"),
    }
    files: list[tuple[str, Sequence[Mapping[str, object]]]]
    files = [(name, [_flagged(name, i, *flag) for i in range(rows)]) for name, flag in flags.items()]
    prose = [{"text": f"The mill of {1700 + i} was built of stone. It is not late for tea {i}."} for i in range(rows)]
    replies = [{"response": f"Add the tea at {i} and wait for the form. Then it is good."} for i in range(4 * rows)]
    vague = {"labels": ["stereotype"], "scope": ["stereotype"], "quality": "noisy", "fold": "train"}
    unlabelled = [{"text": f"Nobody said what the form of {i} is. It was late."} | vague for i in range(rows)]
    names = ("normal_oasst", "normal_gpteacher", "normal_dolly_sub", "normal_seed_tasks")
    files += [("bold_wiki", prose), ("clean_llm_outputs", prose), ("redditbias", unlabelled)]
    files += [(name, replies) for name in names]
    return write_pool(folder, files)


def _flagged(name: str, i: int, label: str, scope: list[str], word: str) -> dict[str, object]:
    row: dict[str, object] = {"scope": scope, "quality": "gold", "fold": "dev" if i % 8 in (0, 1) else "train"}
    if i % 2 and not name.startswith("pairs_"):
        return row | {"text": f"the plan of {name} is good {i}", "labels": [], "spans": []}
    text = f"the {word} plan of {name} is bad {i}"
    target = {"target": text.replace(f"{word} ", "")} if name.startswith("pairs_") else {}
    return row | {"text": text, "labels": [label], "spans": [[4, 4 + len(word)]]} | target

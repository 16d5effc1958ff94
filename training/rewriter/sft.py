"""Fine-tune a chat model into the SR-LLM rewriter: a LoRA adapter trained on the answer's tokens alone."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from guardrail.errors import ConfigError
from guardrail.rewrite.prompt import END, PREFIX, PROMPT_VERSION, SUFFIX, body
from guardrail.training.rewriter.pairs import HELD_OUT, Example, build_examples
from guardrail.training.rewriter.recipe import LoraSettings, OptimSettings, Recipe, RunSettings, load_recipe

TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of everything after the shared prefix; those from ``answer`` on are learnt."""

    ids: tuple[int, ...]
    answer: int


@dataclass(slots=True)
class Progress:
    """Where training stands; what a checkpoint keeps beside the tensors."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_step: int = 0
    stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Tokenizer(Protocol):
    """What is needed of a tokenizer."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of ``text``."""


def encode(example: Example, tokenizer: Tokenizer) -> Encoded:
    """Tokenise one example without its prefix; the answer is the target and the end-of-turn token."""
    prompt = tokenizer.encode(body(example.request) + SUFFIX, add_special_tokens=False)
    answer = tokenizer.encode(example.target + END, add_special_tokens=False)
    return Encoded((*prompt, *answer), len(prompt))


def batches(items: Sequence[Encoded], budget: int, rng: random.Random) -> list[list[Encoded]]:
    """Group items of like length, rows x longest within ``budget`` tokens, in an order drawn by ``rng``."""
    # Sorting within large random pools keeps padding low without fixing which examples meet in a batch.
    shuffled = rng.sample(items, len(items))
    out: list[list[Encoded]] = []
    for start in range(0, len(shuffled), 512):
        batch: list[Encoded] = []
        for item in sorted(shuffled[start : start + 512], key=lambda one: len(one.ids)):
            if batch and len(item.ids) * (len(batch) + 1) > budget:
                out.append(batch)
                batch = []
            batch.append(item)
        out.append(batch)
    rng.shuffle(out)
    return out


def collate(batch: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, attention mask and loss mask, each ``(rows, longest)``; the loss mask marks the answers' tokens."""
    longest = max(len(item.ids) for item in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    attention = torch.zeros(len(batch), longest, dtype=torch.long)
    learnt = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, item in enumerate(batch):
        length = len(item.ids)
        ids[row, :length] = torch.tensor(item.ids)
        attention[row, :length] = 1
        learnt[row, item.answer : length] = True
    return ids, attention, learnt


def answer_loss(model: nn.Module, prefix: Tensor, batch: Sequence[Encoded]) -> tuple[Tensor, int]:
    """Return the summed cross-entropy of the answers' tokens and their number.

    The prefix is run once for the whole batch and its keys and values are shared; logits are computed only where an
    answer's token is predicted, which saves most of the cost of a large vocabulary.
    """
    causal_lm: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    ids, attention, learnt = (tensor.to(prefix.device) for tensor in collate(batch))
    past = causal_lm.model(prefix[None], use_cache=True).past_key_values
    past.batch_repeat_interleave(len(batch))
    whole = torch.cat([attention.new_ones(len(batch), len(prefix)), attention], dim=1)
    hidden = causal_lm.model(ids, attention_mask=whole, past_key_values=past, use_cache=True).last_hidden_state
    logits = causal_lm.lm_head(hidden[:, :-1][learnt[:, 1:]]).float()
    wanted = ids[:, 1:][learnt[:, 1:]]
    return nn.functional.cross_entropy(logits, wanted, reduction="sum"), len(wanted)


def lr_share(settings: OptimSettings, step: int, progress: float) -> float:
    """Return the share of the peak learning rate at ``step``, with ``progress`` of the whole run done (0..1)."""
    warmup = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    done = min(1.0, max(0.0, progress))
    decay = 0.5 * (1 + math.cos(math.pi * done)) if settings.schedule == "cosine" else 1 - done
    return warmup * (settings.min_lr_share + (1 - settings.min_lr_share) * decay)


def dev_loss(model: nn.Module, prefix: Tensor, items: Sequence[Encoded], budget: int) -> float:
    """Return the mean loss per answer token over ``items``."""
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches(items, budget, random.Random(0)):
            loss, tokens = answer_loss(model, prefix, batch)
            total, count = total + float(loss), count + tokens
    model.train()
    return total / max(1, count)


def add_lora(base: nn.Module, settings: LoraSettings) -> PeftModel:
    """Return ``base`` with a fresh fp32 adapter on every linear projection."""
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(TARGET_MODULES),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


def train(
    model: PeftModel,
    prefix: Sequence[int],
    train_items: Sequence[Encoded],
    dev_items: Sequence[Encoded],
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
) -> Progress:
    """Train ``model`` in place, keep the adapter with the best dev loss in ``out`` and return the course of the run.

    Stops at ``epochs``, ``max_steps``, ``max_minutes`` or after ``patience`` evaluations without gain, whichever comes
    first; the learning rate decays with whichever of steps and time is further on, so that it always reaches its end.
    With ``resume`` it goes on from the last checkpoint in ``out``.
    """
    if not train_items or not dev_items:
        raise ConfigError(f"{len(train_items)} training and {len(dev_items)} dev examples; both must be at least 1")
    run = recipe.run
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.optim.lr, weight_decay=recipe.optim.weight_decay)
    progress = _restore(model, optimizer, out / CHECKPOINT) if resume else Progress()
    shared = torch.tensor(prefix, device=weights[0].device)
    total = _total_steps(train_items, run)
    started, before = time.monotonic(), progress.seconds
    model.train()
    for batch in _stream(train_items, run, skip=progress.step):
        if progress.step >= total or progress.seconds >= 60 * run.max_minutes or progress.stale >= run.patience:
            break
        done = max(progress.step / total, progress.seconds / 60 / run.max_minutes)
        rate = recipe.optim.lr * lr_share(recipe.optim, progress.step, done)
        # Dropout is seeded by the step, so a resumed run draws what the unbroken run would have drawn.
        torch.manual_seed(run.seed * 1_000_003 + progress.step)
        loss = _step(model, optimizer, shared, batch, rate, recipe.optim.clip)
        progress.step += 1
        progress.tokens += sum(len(item.ids) for item in batch)
        progress.seconds = before + time.monotonic() - started
        if progress.step % 10 == 0:
            _say(step=progress.step, of=total, loss=loss, lr=rate, seconds=progress.seconds, tokens=progress.tokens)
        if progress.step % run.eval_every == 0:
            _evaluate(model, shared, dev_items, recipe, progress, out)
            progress.seconds = before + time.monotonic() - started
        if progress.step % run.checkpoint_every == 0:
            _checkpoint(model, optimizer, progress, out / CHECKPOINT)
    if not progress.history or progress.history[-1]["step"] != progress.step:
        _evaluate(model, shared, dev_items, recipe, progress, out)
    progress.seconds = before + time.monotonic() - started
    return progress


def _step(
    model: PeftModel,
    optimizer: torch.optim.Optimizer,
    prefix: Tensor,
    batch: Sequence[Encoded],
    rate: float,
    clip: float,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss, count = answer_loss(model, prefix, batch)
    mean = loss / count
    torch.autograd.backward(mean)
    nn.utils.clip_grad_norm_((weight for group in optimizer.param_groups for weight in group["params"]), clip)
    optimizer.step()
    return float(mean.detach())


def _evaluate(
    model: PeftModel, prefix: Tensor, items: Sequence[Encoded], recipe: Recipe, progress: Progress, out: Path
) -> None:
    loss = dev_loss(model, prefix, items, recipe.run.batch_tokens)
    progress.history.append({"step": progress.step, "dev_loss": loss, "seconds": progress.seconds})
    better = loss < progress.best_loss
    progress.stale = 0 if better else progress.stale + 1
    if better:
        progress.best_loss, progress.best_step = loss, progress.step
        model.save_pretrained(str(out), save_embedding_layers=False)
    _say(step=progress.step, dev_loss=loss, best=progress.best_loss, seconds=progress.seconds)


def _total_steps(items: Sequence[Encoded], run: RunSettings) -> int:
    one_epoch = len(batches(items, run.batch_tokens, random.Random(f"{run.seed}:0")))
    return min(run.max_steps, max(1, round(one_epoch * run.epochs)))


def _stream(items: Sequence[Encoded], run: RunSettings, *, skip: int) -> Iterator[list[Encoded]]:
    epoch = 0
    while True:
        for batch in batches(items, run.batch_tokens, random.Random(f"{run.seed}:{epoch}")):
            if skip:
                skip -= 1
            else:
                yield batch
        epoch += 1


def _checkpoint(model: PeftModel, optimizer: torch.optim.Optimizer, progress: Progress, folder: Path) -> None:
    """Write tensors as safetensors and counters as JSON; the folder is swapped in whole."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    adapter = {
        name: value.contiguous()
        for name, value in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    save_file(adapter, fresh / "adapter.safetensors")
    moments = {
        f"{index}.{name}": value.contiguous()
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    save_file(moments, fresh / "optimizer.safetensors")
    (fresh / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _restore(model: PeftModel, optimizer: torch.optim.Optimizer, folder: Path) -> Progress:
    if not (folder / "progress.json").exists():
        raise ConfigError(f"no checkpoint in {folder.parent.name!r}; start without --resume")
    set_peft_model_state_dict(model, load_file(folder / "adapter.safetensors"))
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))


def _say(**values: float) -> None:
    print(json.dumps({name: round(value, 6) for name, value in values.items()}), flush=True)


def _digest(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def _git_hash() -> str:
    command, here = ["git", "rev-parse", "HEAD"], Path(__file__).parent
    found = subprocess.run(command, capture_output=True, text=True, cwd=here, check=False)
    return found.stdout.strip() if found.returncode == 0 else "none"


def run_card(
    recipe: Recipe, arguments: argparse.Namespace, progress: Progress, counts: Mapping[str, object]
) -> dict[str, object]:
    """Return what ``run.json`` records: how the adapter came to be, with no text and no path of this machine."""
    return {
        "recipe": asdict(recipe),
        "prompt": PROMPT_VERSION,
        "base": arguments.base.name,
        "base_sha256": _digest(arguments.base.glob("*.safetensors")),
        "authored_sha256": _digest(path for path in arguments.authored.glob("*.jsonl") if path.name != HELD_OUT),
        "pool_sha256": _digest(path for name in recipe.pairs.files for path in arguments.data.glob(f"{name}.jsonl.gz")),
        "git": _git_hash(),
        "torch": torch.__version__,
        "counts": counts,
        **asdict(progress),
    }


def _load(recipe: Recipe, base: Path) -> tuple[nn.Module, Tokenizer]:
    torch.set_num_threads(recipe.model.threads)
    torch.manual_seed(recipe.run.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, recipe.model.dtype))
    # PEFT copies this into adapter_config.json, where a path of this machine has no place.
    model.name_or_path = base.name
    return model.to(device), AutoTokenizer.from_pretrained(base)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="TOML recipe")
    parser.add_argument("--data", type=Path, required=True, help="pool folder")
    parser.add_argument("--authored", type=Path, required=True, help="folder of authored rows")
    parser.add_argument("--base", type=Path, required=True, help="base model in Hugging Face layout")
    parser.add_argument("--out", type=Path, required=True, help="folder for the adapter and run.json")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    built = build_examples(arguments.data, arguments.authored, recipe.pairs)
    base, tokenizer = _load(recipe, arguments.base)
    model = add_lora(base, recipe.lora)
    prefix = tokenizer.encode(PREFIX, add_special_tokens=False)
    encoded = [[encode(example, tokenizer) for example in part] for part in (built.train, built.dev)]
    _say(train=len(encoded[0]), dev=len(encoded[1]), tokens=sum(len(item.ids) for item in encoded[0]))
    progress = train(model, prefix, encoded[0], encoded[1], recipe, arguments.out, resume=arguments.resume)
    sizes = {"train": len(built.train), "dev": len(built.dev)}
    card = run_card(recipe, arguments, progress, {**sizes, "taken": built.taken, "rejected": built.rejected})
    (arguments.out / "run.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
    _say(best=progress.best_loss, best_step=progress.best_step, steps=progress.step, seconds=progress.seconds)


if __name__ == "__main__":
    main()

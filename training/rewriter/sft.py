"""Fine-tune a chat model into the SR-LLM rewriter: an adapter trained on the answer's tokens alone.

python -m guardrail.training.rewriter.sft --recipe FILE --data POOL --authored DIR --base DIR --out DIR [--resume]
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from guardrail.rewrite.prompt import prefix
from guardrail.training.rewriter.checkpoints import Progress
from guardrail.training.rewriter.encode import Encoded, encode, encode_seq2seq
from guardrail.training.rewriter.loop import Tell, say, total_steps, train
from guardrail.training.rewriter.model import adapt, load_base
from guardrail.training.rewriter.objective import (
    Objective,
    in_bfloat16,
    seq2seq_loss,
    shared_prefix,
    whole_sequences,
)
from guardrail.training.rewriter.pairs import Built, Example, build_examples
from guardrail.training.rewriter.recipe import ModelSettings, Recipe, load_recipe
from guardrail.training.rewriter.record import run_card

LOG_EVERY = 10


def fine_tune(
    recipe: Recipe,
    base: str,
    built: Built,
    out: Path,
    *,
    resume: bool = False,
    bar: Callable[[int], Tell] | None = None,
) -> Progress:
    """Train an adapter on the examples and keep the best in ``out``; ``bar`` makes the teller of a number of steps."""
    model, tokenizer = load_base(recipe, base)
    tuned = adapt(model, recipe)
    encoded = [encode_all(part, tokenizer, recipe.model) for part in (built.train, built.dev)]
    say(train=len(encoded[0]), dev=len(encoded[1]), tokens=sum(len(item.ids) for item in encoded[0]))
    total = total_steps(encoded[0], recipe.run)
    tell = (bar or _log)(total)
    goal = objective_of(recipe.model, tokenizer)
    return train(tuned, goal, encoded[0], encoded[1], recipe, out, resume=resume, tell=tell)


def encode_all(examples: list[Example], tokenizer: Any, settings: ModelSettings) -> list[Encoded]:
    """Tokenise examples for the kind of model that is trained."""
    if settings.kind == "seq2seq":
        return [encode_seq2seq(example, tokenizer, settings.prompt) for example in examples]
    return [encode(example, tokenizer) for example in examples]


def objective_of(settings: ModelSettings, tokenizer: Any) -> Objective:
    """Return the loss for a kind of model and of tuning."""
    made: Objective
    if settings.kind == "seq2seq":
        made = seq2seq_loss
    else:
        opening = tokenizer.encode(prefix(settings.prompt), add_special_tokens=False)
        made = whole_sequences(opening) if settings.tuning == "prefix" else shared_prefix(opening)
    return in_bfloat16(made) if settings.autocast else made


def _log(total: int) -> Tell:
    def tell(step: int, loss: float | None) -> None:
        if step % LOG_EVERY == 0 and loss is not None:
            say(step=step, of=total, loss=loss)

    return tell


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="TOML recipe")
    parser.add_argument("--data", type=Path, required=True, help="pool folder")
    parser.add_argument("--authored", type=Path, required=True, help="folder of authored rows")
    parser.add_argument("--base", required=True, help="base model in Hugging Face layout, or a hub id")
    parser.add_argument("--out", type=Path, required=True, help="folder for the adapter and run.json")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch, 0 for the recipe's")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    if arguments.threads:
        recipe = replace(recipe, model=replace(recipe.model, threads=arguments.threads))
    built = build_examples(arguments.data, arguments.authored, recipe.pairs)
    progress = fine_tune(recipe, arguments.base, built, arguments.out, resume=arguments.resume)
    card = run_card(recipe, arguments.base, arguments.data, arguments.authored, progress, built)
    (arguments.out / "run.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
    say(best=progress.best_loss, best_step=progress.best_step, steps=progress.step, seconds=progress.seconds)


if __name__ == "__main__":
    main()

"""Look at what a run is made from before it takes hours: the pool's files, the base encoders, their hashes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from transformers import AutoConfig

from guardrail.errors import ConfigError
from guardrail.models.bundle import open_bundle
from guardrail.training.bundles import file_sha256
from guardrail.training.data.authored import FOLDER
from guardrail.training.data.pool import CLEAN_REPLIES, sha256_of
from guardrail.training.detector.batches import tokenizer_of
from guardrail.training.detector.recipe import Recipe


def pool_files(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the pool's files that a recipe trains on and chooses thresholds on."""
    data = recipe.raw["data"]
    return tuple(sorted({*data["caps"], *data["unlabelled"], *CLEAN_REPLIES}))


def check_pool(folder: Path, names: Iterable[str]) -> None:
    """Raise ``ConfigError`` naming every file that ``folder`` lacks."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; give the folder of the public pool (*.jsonl.gz)")
    if missing := [f"{name}.jsonl.gz" for name in names if not (folder / f"{name}.jsonl.gz").is_file()]:
        raise ConfigError(
            f"the pool {folder} lacks {', '.join(missing)}; add the files, or take them out of the recipe's [data]"
        )


def check_base(role: str, base: str) -> None:
    """Raise ``ConfigError`` unless ``base`` is the folder or the reachable hub id of an encoder with a tokenizer."""
    try:
        AutoConfig.from_pretrained(base)
        tokenizer_of(base)
    except Exception as error:  # the hub's client, the tokenizers and transformers share no base class
        raise ConfigError(
            f"the {role} base {base!r} cannot be loaded ({type(error).__name__}); give --{role} a folder with"
            " config.json, tokenizer.json and the weights, or a hub id while the network is there"
        ) from error


def check_out(out: Path) -> None:
    """Raise ``ConfigError`` unless ``out`` is a new or empty folder, or that of a bundle, which may be replaced."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "bundle.toml").exists())):
        raise ConfigError(f"--out {out} exists and is no bundle; give a new folder, or that of a bundle to replace")


def clear_out(out: Path) -> None:
    """Make the folder, or take the files of an older bundle out of it and no others: a bundle pins all it finds."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / "bundle.toml").exists():
        for name in (*open_bundle(out).files, "bundle.toml"):
            (out / name).unlink(missing_ok=True)


def data_hashes(recipe: Recipe, pool: Path) -> dict[str, str]:
    """Return the sha256 of every file that a run reads, by its name: the pool's, then the authored ones."""
    hashes = {name: sha256_of(pool, name) for name in pool_files(recipe)}
    return hashes | {f"authored/{path.name}": file_sha256(path) for path in sorted(FOLDER.glob("*.jsonl"))}

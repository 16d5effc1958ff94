"""Find model bundles offline first, list them, and install new ones atomically from a folder or a hub."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

from guardrail.errors import ConfigError, ModelNotFoundError
from guardrail.models.bundle import Bundle, open_bundle

BUILT_IN = Path(__file__).parent
_HUB = re.compile(r"hub:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w.-]+)")


def cache_folder() -> Path:
    """Return where installed bundles live: ``$GUARDRAIL_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("GUARDRAIL_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "guardrail" / "models"


def find(name: str | os.PathLike[str]) -> Bundle:
    """Open a bundle by folder path, by the name of a bundled model, or by the name of an installed one.

    The order: an existing folder, the models of this release (their ``bundle.toml`` is pinned by ``manifest.toml``),
    then the cache. Never touches the network.

    Raises:
        ModelNotFoundError: nothing of that name; the message lists what there is.
        ModelIntegrityError: a file differs from what is pinned.
    """
    text = os.fspath(name)
    pins = _pins()
    if text in pins:
        return open_bundle(BUILT_IN / text, sha256=pins[text])
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", text) and (cache_folder() / text).is_dir():
        return open_bundle(cache_folder() / text)
    if Path(text).is_dir():
        return open_bundle(Path(text))
    known = ", ".join(sorted({*pins, *_cached()})) or "none"
    raise ModelNotFoundError(f"no model bundle {text!r}; installed: {known}; or give the folder of a bundle")


def list_bundles() -> list[Bundle]:
    """Return every bundle of this release and of the cache, by name."""
    built_in = [open_bundle(BUILT_IN / name, sha256=pin) for name, pin in _pins().items()]
    return sorted(built_in + [open_bundle(cache_folder() / name) for name in _cached()], key=lambda b: b.name)


def install(source: str | os.PathLike[str], *, sha256: str, allow_network: bool = False) -> Bundle:
    """Copy a bundle into the cache, every file verified, in one atomic rename.

    Args:
        source: a folder, or ``hub:owner/repo@revision`` (needs ``huggingface_hub``).
        sha256: hash of the bundle's ``bundle.toml``, from whoever published it.
        allow_network: must be true for a hub; refused while ``GUARDRAIL_OFFLINE`` or ``HF_HUB_OFFLINE`` is set.

    Raises:
        ConfigError: the network is needed and not allowed.
        ModelIntegrityError: a file differs from its hash; nothing is installed.
    """
    text = os.fspath(source)
    hub = _HUB.fullmatch(text)
    folder = _download(hub["repo"], hub["revision"], allow_network) if hub else Path(text)
    bundle = open_bundle(folder, sha256=sha256)
    target = cache_folder() / bundle.name
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{bundle.name}-", dir=target.parent))
    try:
        for name in bundle.files:
            (staging / name).write_bytes(bundle.read(name))
        shutil.copyfile(bundle.path / "bundle.toml", staging / "bundle.toml")
        open_bundle(staging, sha256=sha256).verify()
        _swap(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return open_bundle(target, sha256=sha256)


def _swap(staging: Path, target: Path) -> None:
    old = staging.with_name(staging.name + ".old")
    if target.exists():
        os.replace(target, old)
    os.replace(staging, target)
    shutil.rmtree(old, ignore_errors=True)


def _download(repo: str, revision: str, allow_network: bool) -> Path:
    offline = [name for name in ("GUARDRAIL_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(name, "0") not in ("", "0")]
    if not allow_network or offline:
        blocker = f"{offline[0]} is set" if offline else "allow_network is false"
        raise ConfigError(f"installing {repo!r} needs the network but {blocker}; allow it or install from a folder")
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repo_id=repo, revision=revision))


def _pins() -> dict[str, str]:
    manifest = tomllib.loads((BUILT_IN / "manifest.toml").read_text(encoding="utf-8"))
    return {name: str(pin) for name, pin in manifest["bundles"].items()}


def _cached() -> list[str]:
    folder = cache_folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and (entry / "bundle.toml").exists())

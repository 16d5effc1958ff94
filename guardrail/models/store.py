"""Find model bundles offline first, list them, and install new ones atomically from a folder or a hub."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

from guardrail.errors import ConfigError, ModelNotFoundError
from guardrail.models.bundle import BUNDLE_FILE, NAME, Bundle, open_bundle

BUILT_IN = Path(__file__).parent
_PIN_FILE = ".sha256"
_HUB = re.compile(r"hub:(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@(?P<revision>[A-Za-z0-9][\w.-]*)", re.ASCII)


def cache_folder() -> Path:
    """Return where installed bundles live: ``$GUARDRAIL_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("GUARDRAIL_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "guardrail" / "models"


def find(name: str | os.PathLike[str]) -> Bundle:
    """Open a bundle by the name of a bundled model, by the name of an installed one, or by folder path.

    The order: the models of this release (their ``bundle.toml`` is pinned by ``manifest.toml``), the cache, a folder;
    so no folder of the working directory takes a model's place. Never touches the network.

    Raises:
        ModelNotFoundError: nothing of that name; the message lists what there is.
        ModelIntegrityError: a file differs from what is pinned.
    """
    text = os.fspath(name)
    pins = _pins()
    if text in pins:
        return open_bundle(BUILT_IN / text, sha256=pins[text])
    if NAME.fullmatch(text) and (cache_folder() / text).is_dir():
        return _open_cached(text)
    if os.path.isdir(text):
        return open_bundle(Path(text))
    known = ", ".join(sorted({*pins, *_cached()})) or "none"
    raise ModelNotFoundError(f"no model bundle {text!r}; installed: {known}; or give the folder of a bundle")


def list_bundles() -> list[Bundle]:
    """Return every bundle of this release and of the cache, by name."""
    built_in = [open_bundle(BUILT_IN / name, sha256=pin) for name, pin in _pins().items()]
    return sorted(built_in + [_open_cached(name) for name in _cached()], key=lambda bundle: bundle.name)


def install(source: str | os.PathLike[str], *, sha256: str, allow_network: bool = False) -> Bundle:
    """Copy a bundle into the cache, every file verified, in one atomic rename.

    Args:
        source: a folder, or ``hub:owner/repo@revision``.
        sha256: hash of the bundle's ``bundle.toml``, from whoever published it.
        allow_network: must be true for a hub; refused while ``GUARDRAIL_OFFLINE`` or ``HF_HUB_OFFLINE`` is set.

    Raises:
        ConfigError: the network is needed and not allowed, or a ``hub:`` source is malformed.
        ModelNotFoundError: the folder is no bundle.
        ModelIntegrityError: a file differs from its hash; nothing is installed.
    """
    bundle = open_bundle(_fetched(os.fspath(source), allow_network), sha256=sha256)
    target = cache_folder() / bundle.name
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{bundle.name}-", dir=target.parent))
    try:
        for name in bundle.files:
            (staging / name).write_bytes(bundle.read(name))
        shutil.copyfile(bundle.path / BUNDLE_FILE, staging / BUNDLE_FILE)
        (staging / _PIN_FILE).write_text(sha256, encoding="ascii")
        open_bundle(staging, sha256=sha256).verify()
        # mkdtemp keeps others out, but a cache may be shared by several users.
        staging.chmod(0o755)
        _swap(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return open_bundle(target, sha256=sha256)


def _swap(staging: Path, target: Path) -> None:
    old = staging.with_name(staging.name + ".old")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(staging, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _fetched(source: str, allow_network: bool) -> Path:
    if not source.startswith("hub:"):
        return Path(source)
    hub = _HUB.fullmatch(source)
    if hub is None:
        raise ConfigError(f"{source!r} names no bundle on a hub; write hub:owner/repo@revision")
    return _download(hub["repo"], hub["revision"], allow_network)


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


def _open_cached(name: str) -> Bundle:
    folder = cache_folder() / name
    pin = folder / _PIN_FILE
    return open_bundle(folder, sha256=pin.read_text(encoding="ascii", errors="replace") if pin.exists() else None)


def _cached() -> list[str]:
    folder = cache_folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if NAME.fullmatch(entry.name) and entry.is_dir())

"""Keep what a run was made from and what it took, in ``run.json`` of its work folder, and tell a card of it."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers

import guardrail
from guardrail.training.detector.energy import Energy, Meter
from guardrail.training.detector.recipe import Recipe

FILE = "run.json"
KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the run: when it began (UTC), how long it took, and the energy of the machine meanwhile."""

    begun: str
    seconds: float
    cpu_joules: float | None
    gpu_joules: float | None
    processes: int = 1


def made_from(recipe: Recipe, teacher: str, student: str, data: Mapping[str, str]) -> dict[str, object]:
    """Return the facts that make a run repeatable; no folder of this machine is among them."""
    return {
        "recipe": dict(recipe.raw),
        "recipe_sha256": recipe.sha256,
        "seed": recipe.seed,
        "teacher_base": _named(teacher),
        "student_base": _named(student),
        "data_sha256": dict(data),
        "guardrail": guardrail.__version__,
        "git": _git_hash(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
    }


@contextmanager
def recorded(work: Path, facts: Mapping[str, object], *, processes: int = 1) -> Iterator[None]:
    """Keep ``facts`` and this call's time and energy, beside those of earlier calls; also of a call that is killed."""
    work.mkdir(parents=True, exist_ok=True)
    earlier = _calls(work)
    begun, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()

    def save() -> None:
        seconds = round(time.monotonic() - clock, 1)
        call = Call(begun, seconds, **asdict(meter.energy), processes=processes)
        _write(work / FILE, {**facts, "calls": [*earlier, asdict(call)]})

    meter = Meter(on_reading=save)
    try:
        with meter:
            save()
            yield
    finally:
        save()


def told(work: Path) -> tuple[str, ...]:
    """Return what ``run.json`` says as lines for a card; what was not measured is said to be so."""
    if not (work / FILE).exists():
        return ("Recipe hash, wall-clock time and energy: not recorded.",)
    facts: dict[str, Any] = json.loads((work / FILE).read_text(encoding="utf-8"))
    calls = [Call(**call) for call in facts["calls"]]
    hours = sum(call.seconds for call in calls) / 3600
    versions = ", ".join(f"{name} {facts[name]}" for name in ("guardrail", "torch", "transformers", "accelerate"))
    return (
        f"Recipe sha256 {facts['recipe_sha256'][:16]}, seed {facts['seed']}, code {facts['git']}; {versions}.",
        f"Bases: {facts['teacher_base']} and {facts['student_base']}.",
        f"Wall-clock time from data to student: {hours:.2f} h in {len(calls)} call(s).",
        f"Energy of the machine meanwhile: {consumed([Energy(call.cpu_joules, call.gpu_joules) for call in calls])}.",
    )


def consumed(parts: Sequence[Energy]) -> str:
    """Say how much energy the parts of a run took together, and of how many of them it is known."""
    sources = {"CPU packages (RAPL)": "cpu_joules", "GPUs (nvidia-smi)": "gpu_joules"}
    said = []
    for source, name in sources.items():
        joules = [getattr(part, name) for part in parts]
        known = [value for value in joules if value is not None]
        if known:
            one = f"{source} {sum(known) / KWH:.3f} kWh"
            said.append(one if len(known) == len(joules) else f"{one} in {len(known)} of {len(joules)} calls")
    return ", ".join(said) or "not measured (no readable RAPL counter, no nvidia-smi)"


def _calls(work: Path) -> list[dict[str, object]]:
    path = work / FILE
    return list(json.loads(path.read_text(encoding="utf-8"))["calls"]) if path.exists() else []


def _write(path: Path, content: Mapping[str, object]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _named(base: str) -> str:
    return Path(base).resolve().name if Path(base).exists() else base


def _git_hash() -> str:
    """Return the commit of this code, with "-dirty" where files differ from it; "unknown" outside a checkout."""
    tracked = _git("ls-files", "--", Path(__file__).name)
    return (tracked and _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")) or "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    try:
        found = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""

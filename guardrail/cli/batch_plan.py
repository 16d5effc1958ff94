"""Say what a run over a file of texts is to do; light, because every command line starts with it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from pathlib import Path

from guardrail import __version__
from guardrail.config import Config


class EngineName(StrEnum):
    """Where the texts of a file are judged: in this process, or on Ray."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, slots=True)
class Batch:
    """What to read, what to write and how; ``chunk`` rows are judged and written together."""

    input: Path
    output: Path
    _: KW_ONLY
    field: str
    keep: tuple[str, ...]
    engine: EngineName
    workers: int
    chunk: int
    resume: bool

    def settings(self, config: Config) -> dict[str, object]:
        """Return what decides the rows: a run is taken up again only with the same."""
        from guardrail.audit import policy_hash

        status = self.input.stat()
        return {
            "input": str(self.input.resolve()),
            "input_size": status.st_size,
            "input_mtime_ns": status.st_mtime_ns,
            "field": self.field,
            "keep": list(self.keep),
            "chunk": self.chunk,
            "policy": policy_hash(config.policy),
            "detector": config.models.detector,
            "rewriter": config.models.rewriter,
            "guardrail": __version__,
        }

"""Build the guard that a command works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer

from guardrail._runtime import Deadline
from guardrail.config import Config
from guardrail.errors import ModelRuntimeError
from guardrail.guard import Pipeline
from guardrail.rewrite.base import RewriteRequest

GuardFactory = Callable[[Config, bool], Pipeline]
"""Build a guard from a configuration; True asks for one that only detects."""


class NoRewriter:
    """Refuse to rewrite, so that detecting needs no rewriter on this machine."""

    name = "none"

    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        """Raise ``ModelRuntimeError``."""
        raise ModelRuntimeError("this guard only detects; build it with a rewriter")


def guard_for(context: typer.Context, config: Config, *, detect_only: bool = False) -> Pipeline:
    """Build a guard with the factory that the program was started with (``main(factory)``), else the bundled one."""
    return factory_of(context)(config, detect_only)


def factory_of(context: typer.Context) -> GuardFactory:
    """Return the factory that the program was started with, else that of the bundled guard."""
    factory: GuardFactory = context.obj or _bundled
    return factory


def _bundled(config: Config, detect_only: bool) -> Pipeline:
    from guardrail.load import Guard, observers_of

    models = config.models
    rewriter = NoRewriter() if detect_only else models.rewriter
    observers = observers_of(config)
    return Guard(
        config.policy, detector=models.detector, rewriter=rewriter, threads=models.threads, observers=observers
    )

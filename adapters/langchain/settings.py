"""Hold what the adapters of this package are told by their caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from langchain_core.messages import content

from guardrail.adapters.langchain.blocks import Reasoning
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked
from guardrail.result import Result

Audit = Callable[[Result], None]

# A release without this block sends it back to a provider that refuses it; langchain-core 1.7.5 knows what to do.
REFUSALS_KNOWN = "refusal" in content.KNOWN_BLOCK_TYPES


@dataclass(frozen=True, slots=True)
class Settings:
    """The guard and what to do beside judging text.

    ``reasoning`` is judged, passed on or dropped; ``refusal_block`` marks a blocked reply in LangChain's own way;
    ``audit`` gets every result. ``data`` says that replies are data: the strings inside are judged one by one, and
    those in the arguments of every tool that is not one of ``tools``.
    """

    guard: Streaming
    reasoning: Reasoning = "guard"
    refusal_block: bool = REFUSALS_KNOWN
    audit: Audit | None = None
    data: bool = False
    tools: frozenset[str] = frozenset()

    def report(self, result: Result | None) -> None:
        """Hand a result to the audit hook."""
        if self.audit is not None and result is not None:
            self.audit(result)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Hand over the result also where the policy raises instead of returning it."""
        try:
            yield
        except GuardrailBlocked as error:
            self.report(error.result)
            raise

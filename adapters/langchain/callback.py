"""Watch what models say: an audit that judges finished replies and changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import ChatGeneration, LLMResult

from guardrail.adapters.langchain.verdict import verdict_of
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked
from guardrail.result import Action, Result

log = logging.getLogger("guardrail")


class GuardCallbackHandler(BaseCallbackHandler):
    """Judge every finished reply and report it: ``config={"callbacks": [GuardCallbackHandler(guard)]}``.

    A callback cannot change or hold back text: this one is for finding out what a guard would do. A reply that was
    judged already, by a ``GuardedChatModel`` or a ``GuardMiddleware``, is passed over.

    Args:
        guard: what judges.
        audit: gets each ``Result`` with the id of the run; without it, results other than ALLOW are logged, never with
            the text.
        raise_error: where the policy's action is RAISE, stop the run; the text may have been shown by then.
    """

    def __init__(
        self, guard: Streaming, *, audit: Callable[[Result, UUID], None] | None = None, raise_error: bool = False
    ) -> None:
        self._guard = guard
        self._audit = audit or _logged
        self.raise_error = raise_error

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Judge the texts of a reply."""
        for generation in (g for group in response.generations for g in group):
            if isinstance(generation, ChatGeneration) and verdict_of(generation.message) is not None:
                continue
            self._judge(generation.text, run_id)

    def _judge(self, text: str, run_id: UUID) -> None:
        try:
            result = self._guard.check(text)
        except GuardrailBlocked as error:
            self._audit(error.result, run_id)
            if self.raise_error:
                raise
        else:
            self._audit(result, run_id)


def _logged(result: Result, run_id: UUID) -> None:
    if result.action is not Action.ALLOW:
        log.warning("reply of run %s: %s (%s)", run_id, result.action, result.reason)

"""Guard an agent: a middleware that puts a guarded model in the place of whatever model a call is made with."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.runtime import Runtime

from guardrail.adapters._steps import Steps, run_later, run_now
from guardrail.adapters.langchain.blocks import Reasoning
from guardrail.adapters.langchain.messages import guarded
from guardrail.adapters.langchain.model import GuardedChatModel
from guardrail.adapters.langchain.settings import REFUSALS_KNOWN, Audit, Settings
from guardrail.adapters.langchain.values import Values
from guardrail.adapters.langchain.verdict import Verdict, verdict_of
from guardrail.doors import Streaming

log = logging.getLogger("guardrail")

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class GuardMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Judge all that an agent's model says: ``create_agent(model, middleware=[..., GuardMiddleware(guard)])``.

    Put it last: it then stands next to the model, and a model that another middleware chose is guarded too. What still
    gets past it (another middleware's own words, a model swapped in further inside) is judged before it enters the
    state, and once more when the agent ends. With a response format, replies come whole, and each string in the data is
    judged. A model that a tool calls by itself is not the agent's: wrap it in ``GuardedChatModel``.

    Args:
        guard: what judges.
        reasoning: as for ``GuardedChatModel``.
        refusal_block: likewise.
        audit: gets the ``Result`` of every text.
    """

    def __init__(
        self,
        guard: Streaming,
        *,
        reasoning: Reasoning = "guard",
        refusal_block: bool = REFUSALS_KNOWN,
        audit: Audit | None = None,
    ) -> None:
        super().__init__()
        self._settings = Settings(guard, reasoning, refusal_block, audit)

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Call with a guarded model and judge what did not come from it."""
        response = handler(self._guarded(request))
        with self._settings.reporting():
            return run_now(self._checked(response))

    async def awrap_model_call(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Do the same on an event loop."""
        response = await handler(self._guarded(request))
        with self._settings.reporting():
            return await run_later(self._checked(response))

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Judge each reply to the last question that carries no verdict on its text; it keeps its id."""
        with self._settings.reporting():
            return run_now(self._final(state))

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Do the same on an event loop."""
        with self._settings.reporting():
            return await run_later(self._final(state))

    def _guarded(self, request: Request) -> Request:
        settings, model = self._settings, request.model
        if isinstance(model, GuardedChatModel) and model.guard is settings.guard and not request.response_format:
            return request
        acting = (tool.get("name") if isinstance(tool, dict) else tool.name for tool in request.tools)
        guarded_model = GuardedChatModel(
            inner=model,
            guard=settings.guard,
            reasoning=settings.reasoning,
            refusal_block=settings.refusal_block,
            audit=settings.audit,
            data=request.response_format is not None,
            tools=frozenset(map(str, acting)),
        )
        return request.override(model=guarded_model)

    def _checked(self, response: Response) -> Steps[Response]:
        safe = yield from self._safe(response.result)
        if all(new is old for new, old in zip(safe, response.result, strict=True)):
            return response
        log.warning("a model answered past GuardMiddleware and was judged late; put GuardMiddleware last")
        values = Values(self._settings, Verdict())
        data = yield from values.guarded(response.structured_response)
        return replace(response, result=safe, structured_response=data)

    def _final(self, state: AgentState[Any]) -> Steps[dict[str, Any] | None]:
        messages = state["messages"]
        asked = max((i for i, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
        said = messages[asked + 1 :]
        safe = yield from self._safe(said)
        changed = [new for old, new in zip(said, safe, strict=True) if new is not old]
        return {"messages": changed} if changed else None

    def _safe(self, messages: list[Any]) -> Steps[list[BaseMessage]]:
        safe: list[BaseMessage] = []
        for message in messages:
            if isinstance(message, AIMessage) and verdict_of(message) is None:
                message = yield from guarded(message, self._settings)
            safe.append(message)
        return safe

"""Guard a LangChain agent: its words are judged while they stream, its tool call and its usage stay as they are.

The model is a stand-in that needs no network; put your provider's chat model in its place. Needs the extra
``langchain-agents``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool

from guardrail import Guard
from guardrail.adapters.langchain import GuardMiddleware


@tool
def rooms(hour: int) -> str:
    """Tell which rooms are free at an hour."""
    return f"At {hour} o'clock room 204 is free."


class StandIn(BaseChatModel):
    """Ask for the rooms first, then answer, a few letters at a time."""

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(**kwargs)

    def reply(self, messages: list[BaseMessage]) -> AIMessage:
        if messages[-1].type == "tool":
            said = f"{messages[-1].text} Women are too emotional to lead a team. Shall I book it?"
            return AIMessage(said)
        return AIMessage("Let me look.", tool_calls=[{"name": "rooms", "args": {"hour": 9}, "id": "call_1"}])

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.reply(messages))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        reply = self.reply(messages)
        for at in range(0, len(reply.text), 5):
            yield ChatGenerationChunk(message=AIMessageChunk(content=str(reply.text)[at : at + 5]))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_calls=reply.tool_calls))


def main() -> None:
    guard = Guard()
    agent: Any = create_agent(StandIn(), tools=[rooms], middleware=[GuardMiddleware(guard)])
    question = {"messages": [("user", "Which room can we have at nine?")]}
    for message, _ in agent.stream(question, stream_mode="messages"):
        if message.type == "tool":
            print(f"[tool]    {message.text}")
        elif message.text:
            print(f"[shown]   {message.text}")
        for call in message.tool_calls if message.type == "AIMessageChunk" else ():
            print(f"[calls]   {call['name']}({call['args']})")
        verdict = message.response_metadata.get("guardrail")
        if verdict and verdict["findings"]:
            print(f"[verdict] {verdict['action']}: {', '.join(found['label'] for found in verdict['findings'])}")


if __name__ == "__main__":
    main()

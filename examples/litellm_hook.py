"""Guard LiteLLM: the hooks that its proxy calls, on replies that LiteLLM makes up itself, so it runs offline.

pip install "guardrail-sdk[litellm]"
python examples/litellm_hook.py

For a proxy, name the class in its config.yaml and start ``litellm --config config.yaml``:

    guardrails:
      - guardrail_name: neutral
        litellm_params:
          guardrail: guardrail.adapters.litellm.GuardrailLitellm
          mode: post_call
          default_on: true
"""

from __future__ import annotations

import asyncio
import os

# LiteLLM fetches its price list when it is imported, unless it is told not to.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from guardrail import Guard
from guardrail.adapters.litellm import GuardrailLitellm

REPLY = "The meeting is at nine. Women are too emotional to lead a team. Please bring the figures for March."
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "When?"}], "api_key": "none"}


async def main() -> None:
    """Judge a whole reply and a streamed one, as the proxy does."""
    hooks = GuardrailLitellm(Guard(), guardrail_name="neutral", event_hook="post_call", default_on=True)

    reply = await litellm.acompletion(**ASKED, mock_response=REPLY)
    safe = await hooks.async_post_call_success_hook({}, None, reply)
    print(f"whole:   {safe.choices[0].message.content}")

    chunks = await litellm.acompletion(**ASKED, mock_response=REPLY, stream=True)
    print("streamed:")
    async for chunk in hooks.async_post_call_streaming_iterator_hook(None, chunks, {}):
        for choice in chunk.choices:
            if choice.delta.content:
                print(f"  {choice.delta.content.strip()}")


if __name__ == "__main__":
    asyncio.run(main())

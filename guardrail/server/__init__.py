"""The HTTP sidecar and its playground page; ``guardrail serve`` starts it."""

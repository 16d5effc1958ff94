"""Guard the responses of any ASGI application, such as FastAPI and Starlette make them."""

from __future__ import annotations

from guardrail.adapters.asgi.middleware import (
    DELTA_FIELDS,
    END_EVENTS,
    END_FIELDS,
    JSON_FIELDS,
    PASS_TYPES,
    GuardMiddleware,
)

__all__ = ["DELTA_FIELDS", "END_EVENTS", "END_FIELDS", "JSON_FIELDS", "PASS_TYPES", "GuardMiddleware"]

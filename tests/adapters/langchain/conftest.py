"""Run the async tests of this folder on asyncio, the only loop that LangChain knows."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

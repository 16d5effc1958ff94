"""Run LangChain's own suites for chat models against a guarded one."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from guardrail.adapters.langchain import GuardedChatModel
from tests.adapters.langchain.fakes import ToolingChat
from tests.guards import guard

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
]


@pytest.fixture
def benchmark(benchmark: Any) -> Any:
    """Run what would be timed once: no test here asserts times, and a thousand rounds take seconds."""
    benchmark.disabled = True
    return benchmark


class _Guarded:
    """What both suites are told of the model."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return GuardedChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"inner": ToolingChat(), "guard": guard()}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {}

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "fake-2"


class TestUnits(_Guarded, ChatModelUnitTests):
    """The unit tests."""


class TestIntegration(_Guarded, ChatModelIntegrationTests):
    """The integration tests; the provider is a fake one."""

"""What the package costs and says where LangChain is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import guardrail.adapters.langchain as door


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_the_package_itself_loads_no_langchain() -> None:
    done = run("import sys, guardrail.adapters.langchain as door; dir(door); print('langchain_core' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize(
    ("missing", "name", "extra"),
    [
        ("langchain_core", "GuardedChatModel", "langchain"),
        ("langchain_core", "as_runnable", "langchain"),
        ("langchain", "GuardMiddleware", "langchain-agents"),
        ("langgraph", "GuardStreamTransformer", "langchain-agents"),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(missing: str, name: str, extra: str) -> None:
    done = run(f"import sys; sys.modules[{missing!r}] = None; from guardrail.adapters.langchain import {name}")
    assert f'{name} needs {missing}: pip install "guardrail-sdk[{extra}]"' in done.stderr


def test_a_chat_model_needs_no_agents() -> None:
    code = "import sys; sys.modules['langchain'] = sys.modules['langgraph'] = None\n"
    done = run(code + "from guardrail.adapters.langchain import GuardedChatModel, GuardCallbackHandler, as_runnable")
    assert done.stderr == ""


def test_the_names_are_these() -> None:
    assert set(door.__all__) <= set(dir(door))
    assert all(getattr(door, name).__name__ == name for name in door.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = door.Nothing

"""What an import costs: the light names load nothing, the guard loads no model runtime before its first text."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROBE = """
import json, sys
before = {name.partition(".")[0] for name in sys.modules}
%s
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - before - sys.stdlib_module_names)))
"""


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules from outside the standard library that a fresh interpreter loads for a statement."""
    command = [sys.executable, "-W", "error", "-c", PROBE % statement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import guardrail",
        "import guardrail; dir(guardrail); guardrail.__version__",
        "from guardrail import Action, Finding, Label, Policy, Result; Policy()",
        "from guardrail import GuardrailBlocked, ModelIntegrityError",
    ],
)
def test_the_light_names_load_nothing_but_guardrail(statement: str) -> None:
    assert loaded_by(statement) == {"guardrail"}


def test_the_guard_class_loads_no_model_runtime_and_no_framework() -> None:
    loaded = loaded_by("from guardrail import Guard")
    assert "guardrail" in loaded
    assert loaded.isdisjoint({"onnxruntime", "torch", "transformers", "langchain_core", "typer", "rich"})


def test_the_probe_sees_a_heavy_import() -> None:
    assert "numpy" in loaded_by("import numpy")

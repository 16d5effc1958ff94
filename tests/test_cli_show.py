"""Test how a result is shown to a person, with colour and without."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from guardrail import __version__
from guardrail.cli.show import print_result
from guardrail.cli.texts import read_text, visible
from guardrail.errors import GuardrailError
from guardrail.result import Action, Finding, Label
from guardrail.result import Result as Judged
from tests.cli import BIASED, CLEAN, no_colour, run  # noqa: F401

pytestmark = pytest.mark.usefixtures("no_colour")


def test_a_long_text_is_shown_in_part() -> None:
    filler = "The meeting is at nine. " * 200
    output = run("check", "--text", f"{filler}The idiot left. {filler}").stdout
    assert "[[toxicity: idiot]]" in output and "characters without a finding" in output
    assert len(output) < 1500


@given(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "Zs", "So")), max_size=60),
    st.lists(st.tuples(st.sampled_from(Label), st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=6),
)
def test_marks_add_to_the_text_and_take_nothing_away(text: str, spans: list[tuple[Label, int, int]]) -> None:
    findings = []
    for label, one, other in spans:
        start, end = sorted((min(one, len(text)), min(other, len(text))))
        findings.append(Finding(label, 0.9, start=start, end=end))
    out = io.StringIO()
    shown = Console(file=out, highlight=False, markup=False, emoji=False)
    print_result(text, Judged(Action.FLAG, text, flagged=True, findings=tuple(findings)), shown)
    line = out.getvalue().split("\n")[1]
    assert re.sub(r"\[\[[a-z_+]+: |\]\]", "", line) == visible(text)
    marked = {label for label, one, other in spans if min(one, len(text)) != min(other, len(text))}
    assert {Label(name) for names in re.findall(r"\[\[([a-z_+]+): ", line) for name in names.split("+")} == marked


@given(st.text() | st.sampled_from(["-", "", "x" * 5000, "a\x00b", "/", "~"]))
def test_any_argument_is_read_or_refused(given_text: str) -> None:
    assert read_text(given_text, as_text=True, as_file=False, max_chars=10) == given_text
    if given_text != "-":
        try:
            assert read_text(given_text, as_text=False, as_file=False, max_chars=10) == given_text
        except GuardrailError as error:
            assert "file" in str(error)


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"guardrail {__version__}\n")


def test_help_lists_every_command_and_imports_no_model_runtime() -> None:
    code = (
        "import sys; from guardrail.cli import main\n"
        "try: main()\n"
        "finally: print(sorted({'numpy', 'onnxruntime', 'rich', 'tokenizers', 'anyio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ("check", "models", "doctor", "bench"))
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize(("text", "code"), [(CLEAN, 0), (BIASED, 1)])
@pytest.mark.parametrize("form", ["--json", "--text"])
def test_a_reader_that_leaves_early_keeps_the_verdict(text: str, code: int, form: str) -> None:
    program = (
        "from guardrail.cli import main; from guardrail.guard import Pipeline\n"
        "from tests.fakes import MapRewriter, WordDetector, plain_words\n"
        "main(lambda config, only: Pipeline(config.policy, WordDetector(), MapRewriter(plain_words)))"
    )
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        command = [sys.executable, "-c", program, "check", form, text]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1])
    assert (done.returncode, done.stderr) == (code, b"")

"""Execute every code block of the README and compare what it prints with what the README says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from guardrail.config import read_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```(?:\n\n```text\n(.*?)```)?", README, re.DOTALL)
BY_KIND = {
    kind: [(code, said) for k, code, said in BLOCKS if k == kind] for kind in ("python", "console", "toml", "bash")
}


def assert_same(printed: str, said: str) -> None:
    """Compare word for word; times not at all, and scores to 0.05, since processors round int8 sums differently."""
    left, right = (re.split(r"(\d\.\d\d)", re.sub(r"\d+ ms", "N ms", text)) for text in (printed, said))
    assert left[::2] == right[::2]
    assert [float(score) for score in left[1::2]] == pytest.approx([float(score) for score in right[1::2]], abs=0.05)


def test_the_readme_has_blocks_of_each_kind() -> None:
    assert all(BY_KIND[kind] for kind in ("python", "console", "toml", "bash"))


@pytest.mark.parametrize(("code", "said"), BY_KIND["python"])
def test_python_blocks_print_what_the_readme_says(code: str, said: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert_same(printed.getvalue(), said)


@pytest.mark.parametrize(("code", "said"), BY_KIND["console"])
def test_console_blocks_print_what_the_readme_says(code: str, said: str) -> None:
    command = shlex.split(code.removeprefix("$ "))
    run = subprocess.run(
        [sys.executable, "-m", "guardrail.cli", *command[1:]], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert run.stderr == ""
    assert_same(run.stdout, said)


@pytest.mark.parametrize("code", [code for code, _ in BY_KIND["toml"]])
def test_toml_blocks_are_valid_configurations(code: str, tmp_path: Path) -> None:
    (tmp_path / "guardrail.toml").write_text(code, encoding="utf-8")
    assert read_config(tmp_path / "guardrail.toml").policy.actions
    assert tomllib.loads(code)


@pytest.mark.parametrize("code", [code for code, _ in BY_KIND["bash"]])
def test_bash_blocks_are_valid_shell_and_name_targets_that_exist(code: str) -> None:
    assert subprocess.run(["bash", "-n"], input=code, text=True, check=False).returncode == 0
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", code, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_file_tree_names_every_module_and_nothing_else() -> None:
    tree = README.split("How it works")[1].split("```")[1]
    named = set(re.findall(r"[\w.-]+\.py", tree))
    for folder in ("guardrail", "guardrail/text", "guardrail/detect", "guardrail/rewrite", "guardrail/models"):
        for path in (ROOT / folder).glob("*.py"):
            if path.name not in ("__init__.py", "__main__.py"):
                assert path.name in named, f"{folder}/{path.name} is missing from the README's tree"
    modules = {path.name for path in (ROOT / "guardrail").rglob("*.py")}
    assert named <= modules

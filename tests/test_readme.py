"""Execute every code block of the README and compare what it prints with what the README says."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from guardrail.config import read_config
from tests.readme import BLOCK, PATH, ROOT, printed, same

README = PATH.read_text(encoding="utf-8")
BLOCKS = BLOCK.findall(README)
BY_KIND = {
    kind: [(code, said) for k, code, said in BLOCKS if k == kind] for kind in ("python", "console", "toml", "bash")
}


def test_the_readme_has_blocks_of_each_kind() -> None:
    assert all(BY_KIND[kind] for kind in ("python", "console", "toml", "bash"))


@pytest.mark.parametrize(("code", "said"), BY_KIND["python"])
def test_python_blocks_print_what_the_readme_says(code: str, said: str) -> None:
    now = printed("python", code)
    assert same(now, said), now


def _marked(code: str) -> list[pytest.MarkDecorator]:
    needed = [name for name in ("curl", "jq", "java") if name in code or name == "java" and "spark" in code]
    missing = [name for name in needed if shutil.which(name) is None]
    slow = [pytest.mark.slow] if "ray" in code or "spark" in code else []
    return [*slow, pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")]


@pytest.mark.parametrize(
    ("code", "said"), [pytest.param(code, said, marks=_marked(code)) for code, said in BY_KIND["console"]]
)
def test_console_blocks_print_what_the_readme_says(code: str, said: str) -> None:
    now = printed("console", code)
    assert same(now, said), now


def test_every_block_of_the_console_says_what_it_prints() -> None:
    assert all(said for _, said in BY_KIND["console"])


def test_blocks_are_compared_word_for_word_but_for_times_and_small_differences_of_scores() -> None:
    assert same(
        "found: hate 0.81 in 12 ms at 2026-11-21T18:00:00+00:00", "found: hate 0.78 in 9 ms at 2026-01-01T01:01"
    )
    assert not same("hate 0.81", "hate 0.71")
    assert not same("hate 0.81", "harm 0.81")
    assert not same("hate 0.81", "hate 0.81 0.81")


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

"""Test what a configuration's [audit] builds, and that a guard and the command line built from it record decisions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from guardrail import Guard
from guardrail.audit import policy_hash
from guardrail.config import Audit, Config, read_config
from guardrail.errors import ConfigError
from guardrail.load import observers_of
from guardrail.result import Action, Result
from tests.cli import no_colour, run  # noqa: F401
from tests.fakes import MapRewriter, WordDetector, plain_words


def configured(folder: Path, more: str = "") -> Path:
    path = folder / "guardrail.toml"
    log = (folder / "decisions.jsonl").as_posix()
    path.write_text(f'[policy]\naction = "mask"\n[audit]\npath = "{log}"\n{more}', encoding="utf-8")
    return path


def last(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "decisions.jsonl").read_text(encoding="ascii").splitlines()[-1])
    return found


def test_nothing_is_built_unasked() -> None:
    assert observers_of(Config()) == []


def test_a_log_has_the_settings_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_KEY", "secret")
    config = read_config(configured(tmp_path, 'salt_env = "AUDIT_KEY"\ninclude_text = true\nmax_bytes = 1\nkeep = 1\n'))
    [log] = observers_of(config)
    for text in ("a", "b", "c"):
        log(Result(Action.ALLOW, text), text)
    said = last(tmp_path)
    assert (said["text"], said["keyed"], said["policy"]) == ("c", True, policy_hash(config.policy))
    assert sorted(path.name for path in tmp_path.glob("decisions*")) == ["decisions.jsonl", "decisions.jsonl.1"]


def test_a_key_that_is_not_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_KEY", raising=False)
    with pytest.raises(ConfigError, match="audit.salt_env = 'AUDIT_KEY', but that environment variable is not set"):
        observers_of(read_config(configured(tmp_path, 'salt_env = "AUDIT_KEY"\n')))


def test_opentelemetry_is_built_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(audit=Audit(opentelemetry=True))
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"guardrail-sdk\[otel\]"):
        observers_of(config)
    monkeypatch.undo()
    pytest.importorskip("opentelemetry", reason="needs the [otel] extra")
    [observer] = observers_of(config)
    observer(Result(Action.ALLOW, "Yes."), "Yes.")


def test_a_guard_takes_observers_with_parts_of_its_own() -> None:
    seen: list[str] = []
    watched = Guard(
        detector=WordDetector(),
        rewriter=MapRewriter(plain_words),
        observers=[lambda result, text: seen.append(f"{result.action}: {text}")],
    )
    watched.check("The idiot spoke.")
    assert seen == ["rewrite: The idiot spoke."]


@pytest.mark.model
def test_a_guard_from_a_file_records_what_it_decides(tmp_path: Path) -> None:
    Guard.from_config(configured(tmp_path)).check("Women are too emotional to lead a team.")
    assert (last(tmp_path)["action"], last(tmp_path)["length"]) == ("mask", 39)


@pytest.mark.model
@pytest.mark.usefixtures("no_colour")
def test_the_command_line_records_what_it_decides(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from guardrail.cli import app

    text = "Women are too emotional to lead a team."
    assert CliRunner().invoke(app, ["check", text, "--policy", str(configured(tmp_path))]).exit_code == 1
    assert last(tmp_path)["action"] == "mask"
    summary = json.loads(run("audit", str(tmp_path / "decisions.jsonl"), "--json").stdout)
    assert summary["actions"] == {"mask": 1}

"""Test ``guardrail check`` through the command line, with parts that know words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guardrail._runtime import Deadline
from guardrail.cli import app
from guardrail.cli.texts import encodable
from guardrail.config import DETECTOR, Config
from guardrail.detect.base import PieceScores
from guardrail.errors import ModelNotFoundError, ModelRuntimeError
from guardrail.guard import Pipeline
from guardrail.models import store
from guardrail.result import MODEL_LABELS, Label
from guardrail.result import Result as Judged
from guardrail.rewrite.base import RewriteRequest
from tests.cli import BIASED, CLEAN, no_colour, run  # noqa: F401
from tests.fakes import WordDetector

pytestmark = pytest.mark.usefixtures("no_colour")
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class BrokenRewriter:
    name = "broken@1"

    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        raise ModelRuntimeError("the rewriter ran and failed")


class BrokenDetector(WordDetector):
    def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
        raise ModelRuntimeError("the detector ran and failed")


def policy(folder: Path, text: str) -> str:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def one_line(result: Result) -> str:
    """Return the error, which is one line on stderr and never a traceback."""
    assert result.exit_code == 2
    assert result.stderr.startswith("guardrail: ") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.output
    return result.stderr


def test_a_clean_text_exits_with_0() -> None:
    result = run("check", CLEAN)
    assert result.exit_code == 0
    assert result.stdout.startswith("ALLOW  nothing flagged")
    assert result.stderr == ""


def test_a_flagged_text_exits_with_1_and_shows_spans_and_rewrite() -> None:
    result = run("check", f"{BIASED} {CLEAN}")
    assert result.exit_code == 1
    assert result.stdout.startswith("REWRITE  rewrite: gendered_term  (gendered_term 0.90, ")
    assert f"The [[gendered_term: chairman]] left early. {CLEAN}" in result.stdout
    assert "rewritten: The [-chairman-] {+plain+} left early." in result.stdout


def test_piped_output_holds_no_escape_sequence() -> None:
    assert "\x1b" not in run("check", BIASED).output


def test_colour_marks_spans_and_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    output = run("check", BIASED).stdout
    assert "\x1b[" in output and "[[" not in output and "{+" not in output
    assert "The chairman left early." in ESCAPE.sub("", output)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "[[gendered_term: chairman]]" in ESCAPE.sub("", run("check", BIASED).stdout)


def test_json_is_the_result() -> None:
    result = run("check", BIASED, "--json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert list(data) == [field.name for field in fields(Judged)]
    assert data["action"] == "rewrite" and data["text"] == "The plain left early." and data["flagged"] is True
    assert data["scores"] == {label: {"gendered_term": 0.9, "obfuscation": 0.0}.get(label, 0.01) for label in Label}
    assert data["coverage"] == 1.0 and data["error"] is None and data["model"] == "words@1"
    (finding,) = data["findings"]
    assert (finding["label"], finding["start"], finding["end"], finding["sentence"]) == (
        "gendered_term",
        4,
        12,
        [0, 24],
    )
    (rewrite,) = data["rewrites"]
    assert rewrite["replacement"] == "The plain left early." and rewrite["checks"]["unflagged"] is True
    assert "chairman" not in result.stdout


def test_json_of_a_clean_text_keeps_it() -> None:
    text = "Grüße 👩‍🚀 und\u2028mehr\n"
    result = run("check", "--json", "--text", text)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["text"] == text
    assert result.stdout.isascii() and result.stdout.count("\n") == 1


def test_detect_only_changes_nothing_and_needs_no_rewriter() -> None:
    asked = []

    def factory(config: Config, detect_only: bool) -> Pipeline:
        asked.append(detect_only)
        return Pipeline(config.policy, WordDetector(), BrokenRewriter())

    result = run("check", BIASED, "--detect-only", "--json", factory=factory)
    data = json.loads(result.stdout)
    assert result.exit_code == 1 and asked == [True]
    assert (data["action"], data["text"], data["rewrites"]) == ("flag", BIASED, [])
    assert run("check", CLEAN, "--detect-only").exit_code == 0


def test_stdin_is_read() -> None:
    assert run("check", "-", stdin=BIASED).exit_code == 1
    assert run("check", "-", stdin=CLEAN.encode()).exit_code == 0
    assert run("check", "-", stdin=b"").exit_code == 0


def test_stdin_that_is_not_utf8_is_an_error() -> None:
    assert "stdin is not UTF-8 text (byte 4)" in one_line(run("check", "-", stdin=b"fine\xff\xfe"))


def test_a_path_that_exists_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hello").write_bytes(b"\xef\xbb\xbf" + BIASED.encode())
    monkeypatch.chdir(tmp_path)
    assert run("check", "hello").exit_code == 1
    assert run("check", "hello", "--file").exit_code == 1
    assert run("check", "hello", "--text").exit_code == 0
    assert run("check", "-", "--text").exit_code == 0


def test_the_mark_at_the_beginning_of_a_file_is_no_part_of_its_text(tmp_path: Path) -> None:
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfThe end.\r\n")
    data = json.loads(run("check", str(tmp_path / "marked"), "--json").stdout)
    assert data["text"] == "The end.\r\n"


@pytest.mark.parametrize("name", ["gone.txt", "./gone", "/nowhere/gone.md", "~/gone"])
def test_what_looks_like_a_missing_file_does_not_pass_as_clean(name: str) -> None:
    assert "no such file" in one_line(run("check", name))
    assert run("check", name, "--text").exit_code == 0


@pytest.mark.parametrize("text", ["Hello.", "and/or", "yes", "e.g. this", "3.14", "1/2"])
def test_a_short_text_is_no_file_name(text: str) -> None:
    assert run("check", text).exit_code == 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = one_line(run("check", str(tmp_path / "gone"), "--file"))
    assert "gone' cannot be read: No such file or directory; give a readable file" in message


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in one_line(run("check", str(tmp_path)))


@pytest.mark.parametrize(("data", "why"), [(b"\x89PNG\r\n\x1a\n\x00", "byte 0"), (b"a\x00b", "NUL bytes")])
def test_a_binary_file_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "picture").write_bytes(data)
    message = one_line(run("check", str(tmp_path / "picture")))
    assert "is not UTF-8 text" in message and (why in message or "NUL" in message) and "iconv" in message


def test_a_file_is_read_no_further_than_the_policy_looks(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"a" * 41)
    limited = policy(tmp_path, "[policy]\nmax_chars = 10\n")
    assert "over max_chars = 10" in one_line(run("check", str(tmp_path / "long"), "--policy", limited))


def test_text_and_file_exclude_each_other() -> None:
    assert "--text and --file" in one_line(run("check", "x", "--text", "--file"))


def test_a_policy_decides(tmp_path: Path) -> None:
    flag = policy(tmp_path, '[policy]\naction = "flag"\n')
    result = run("check", BIASED, "--policy", flag, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["text"] == BIASED
    allow = policy(tmp_path, '[policy.actions]\ngendered_term = "allow"\n')
    assert run("check", BIASED, "--policy", allow).exit_code == 0


@pytest.mark.parametrize("action", ["block", "raise"])
def test_a_withheld_text_is_not_shown_as_result(tmp_path: Path, action: str) -> None:
    path = policy(tmp_path, f'[policy]\naction = "{action}"\nblock_message = "Withheld."\n')
    result = run("check", BIASED, "--policy", path)
    assert result.exit_code == 1 and result.stderr == ""
    assert result.stdout.startswith(action.upper()) and result.stdout.endswith("Withheld.\n")
    assert json.loads(run("check", BIASED, "--policy", path, "--json").stdout)["text"] == "Withheld."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[policy]\nthreshhold = 0.5\n", "unknown key policy.threshhold; did you mean policy.threshold?"),
        ("[polcy]\n", "unknown key polcy; did you mean policy?"),
        ("[policy]\nmax_rounds = 9\n", "max_rounds = 9 must be a whole number from 1 to 5"),
        ("[policy", "is not valid TOML"),
        ('[policy]\nthreshold = "fpr<=0.3"\n', "threshold 'fpr<=0.3' is not calibrated in this model"),
    ],
)
def test_a_bad_policy_is_an_error(tmp_path: Path, text: str, why: str) -> None:
    assert why in one_line(run("check", BIASED, "--policy", policy(tmp_path, text)))


def test_a_missing_policy_file_is_an_error() -> None:
    assert "'gone.toml' cannot be read" in one_line(run("check", BIASED, "--policy", "gone.toml"))


def test_a_text_that_could_not_be_judged_exits_with_2(tmp_path: Path) -> None:
    result = run("check", BIASED, detector=BrokenDetector())
    assert result.exit_code == 2
    assert result.stdout.startswith("BLOCK  not judged") and "chairman" not in result.output
    assert "the detector ran and failed" in result.stderr
    allow = policy(tmp_path, '[policy]\non_error = "allow"\n')
    assert run("check", BIASED, "--policy", allow, detector=BrokenDetector()).exit_code == 2
    raises = policy(tmp_path, '[policy]\non_error = "raise"\n')
    assert "the detector ran and failed" in one_line(
        run("check", BIASED, "--policy", raises, detector=BrokenDetector())
    )


def test_a_broken_rewriter_masks_and_says_so() -> None:
    result = run("check", BIASED, rewriter=BrokenRewriter())
    assert result.exit_code == 1
    assert result.stdout.startswith("MASK")
    assert f"masked: [-{BIASED}-]{{+[removed]+}}" in result.stdout
    assert "the rewriter ran and failed" in result.stderr


def test_a_missing_model_is_an_error() -> None:
    def factory(config: Config, detect_only: bool) -> Pipeline:
        raise ModelNotFoundError("no model bundle 'x'; installed: none")

    assert "no model bundle 'x'" in one_line(run("check", BIASED, factory=factory))


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the one bundle of this release: a detector whose weights are damaged."""
    folder = tmp_path / DETECTOR
    folder.mkdir()
    table = "".join(f"{label} = {{}}\n" for label in MODEL_LABELS)
    text = f"""
name = "{DETECTOR}"
kind = "detector"
version = "1"
license = "MIT"
max_tokens = 128
languages = ["en"]
labels = {json.dumps(MODEL_LABELS)}
groups = []
[calibration]
{table.format(*["[1.0, 0.0]"] * len(MODEL_LABELS))}
[thresholds."fpr<=0.01"]
{table.format(*["0.5"] * len(MODEL_LABELS))}
[files]
"model.onnx" = "{"0" * 64}"
"tokenizer.json" = "{"0" * 64}"
"""
    (folder / "bundle.toml").write_text(text, encoding="utf-8")
    (folder / "model.onnx").write_bytes(b"damaged")
    pin = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "manifest.toml").write_text(f'[bundles]\n{DETECTOR} = "{pin}"\n', encoding="utf-8")
    monkeypatch.setattr(store, "BUILT_IN", tmp_path)
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "cache"))
    return folder


def run_bundled(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", BIASED, *arguments])


def test_a_model_that_is_not_installed_is_an_error(bundled: Path) -> None:
    message = one_line(run_bundled())
    assert "no model bundle" in message and f"installed: {DETECTOR}" in message


def test_a_damaged_model_file_is_an_error(bundled: Path) -> None:
    result = run_bundled("--detect-only")
    assert "model.onnx has sha256" in one_line(result) and "install the bundle again" in result.stderr
    assert result.stdout == ""


def test_a_changed_model_description_is_an_error(bundled: Path) -> None:
    (bundled / "bundle.toml").write_text("", encoding="utf-8")
    assert "differs from the hash that this release pins" in one_line(run_bundled())


def test_an_interrupted_check_exits_as_shells_expect() -> None:
    def factory(config: Config, detect_only: bool) -> Pipeline:
        raise KeyboardInterrupt

    result = run("check", BIASED, factory=factory)
    assert (result.exit_code, result.output) == (130, "")


def test_an_unexpected_failure_names_its_place_and_not_the_text() -> None:
    def factory(config: Config, detect_only: bool) -> Pipeline:
        raise RuntimeError(f"something about {BIASED}")

    message = one_line(run("check", BIASED, factory=factory))
    assert "unexpected RuntimeError at test_cli_check.py:" in message and "chairman" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "chairman", "left", "early"),
        ("check", "--chairman left early"),
        ("check", "-chairman"),
        ("check", "x", "--policy"),
        ("The chairman left early.",),
        ("--chairman left early",),
        ("chek", "The chairman left early."),
        ("check",),
        (),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_repeats_no_text(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "chairman" not in result.output and "Traceback" not in result.output


def test_a_text_that_begins_with_a_dash_goes_after_two() -> None:
    assert run("check", "--", "--chairman").exit_code == 1


def test_a_mistyped_command_is_suggested() -> None:
    assert "did you mean check?" in one_line(run("chekc", CLEAN))


@pytest.mark.parametrize("text", ["idiot \ud83d", "\udcff idiot", "idiot 👩‍🚀", "idiot\x00", "idiot \U0001f600\ud800"])
def test_lone_surrogates_and_emoji_are_judged_and_shown(text: str) -> None:
    assert "[[toxicity: idiot]]" in run("check", text).stdout
    data = json.loads(run("check", text, "--json", "--detect-only").stdout)
    assert data["text"] == encodable(text)
    json.dumps(data, ensure_ascii=False).encode("utf-8")


def test_a_text_cannot_steer_the_terminal() -> None:
    result = run("check", "idiot \x1b[2J\x1b]0;title\x07\u202eabc\x9b31m")
    assert not set(result.output) & set("\x1b\x07\u202e\x9b")
    assert "␛[2J" in result.stdout


def test_markup_of_the_printing_library_is_text() -> None:
    assert "[bold]x[/bold] :smile: [[toxicity: idiot]]" in run("check", "[bold]x[/bold] :smile: idiot").stdout

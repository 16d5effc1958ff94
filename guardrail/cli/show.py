"""Show a result to a person: in colour on a terminal, with plain marks where there is no colour."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from rich.console import Console
from rich.text import Text

from guardrail.cli.screen import Screen
from guardrail.cli.texts import visible
from guardrail.result import Action, Finding, Label, Result, Rewrite

COLOURS: Mapping[Label, str] = {
    Label.STEREOTYPE: "magenta",
    Label.HATE: "red",
    Label.TOXICITY: "bright_red",
    Label.LOADED_LANGUAGE: "yellow",
    Label.GENDERED_TERM: "cyan",
    Label.HARM: "bright_magenta",
    Label.OBFUSCATION: "blue",
}
_ACTIONS = {Action.ALLOW: "green", Action.FLAG: "yellow", Action.REWRITE: "yellow", Action.MASK: "yellow"}
_MARKS = {"removed": "[-{}-]", "added": "{{+{}+}}"}
_TOP_SCORES = 3
_SHOWN_WHOLE = 2000
_CONTEXT = 120
_DIFFED_WORDS = 1000
_WORD = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")

Piece = tuple[str, tuple[Label, ...]]


def print_result(text: str, result: Result, console: Console | None = None) -> None:
    """Print the verdict, then the text with its findings marked, then what was changed."""
    console = console or Screen()
    plain = console.no_color or console.color_system is None
    lines = [_verdict(result)]
    if result.findings:
        lines += [_marked(text, result.findings, plain), _legend(result.findings)]
    lines += [_change(text, rewrite, plain) for rewrite in result.rewrites]
    if result.action in (Action.BLOCK, Action.RAISE):
        lines.append(Text(visible(result.text)))
    for line in lines:
        console.print(line, soft_wrap=True)


def _verdict(result: Result) -> Text:
    line = Text().append(result.action.upper(), style=f"bold {_ACTIONS.get(result.action, 'red')}")
    line.append(f"  {visible(result.reason)}")
    top = sorted(result.scores.items(), key=lambda item: -item[1])[:_TOP_SCORES]
    facts = [f"{label} {score:.2f}" for label, score in top]
    facts += [f"{result.coverage:.0%} judged", f"{result.latency_ms:.0f} ms", result.model]
    return line.append(f"  ({', '.join(facts)})", style="dim")


def _marked(text: str, findings: Sequence[Finding], plain: bool) -> Text:
    line = Text()
    for stretch, labels in _excerpt(_pieces(text, findings), len(text)):
        shown = visible(stretch)
        if not labels:
            line.append(shown)
        elif plain:
            line.append(f"[[{'+'.join(labels)}: {shown}]]")
        else:
            line.append(shown, style=f"bold {COLOURS[labels[0]]} underline")
    return line


def _pieces(text: str, findings: Sequence[Finding]) -> list[Piece]:
    """Cut the text where a finding begins or ends; each piece has its labels, the likeliest first."""
    best: dict[Label, float] = {}
    edges: dict[int, list[tuple[Label, int]]] = {0: [], len(text): []}
    for finding in findings:
        best[finding.label] = max(finding.score, best.get(finding.label, 0.0))
        edges.setdefault(finding.start, []).append((finding.label, 1))
        edges.setdefault(finding.end, []).append((finding.label, -1))
    pieces: list[Piece] = []
    covering: Counter[Label] = Counter()
    for start, end in pairwise(sorted(edges)):
        for label, step in edges[start]:
            covering[label] += step
        labels = tuple(sorted((label for label in covering if covering[label] > 0), key=lambda label: -best[label]))
        if pieces and pieces[-1][1] == labels:
            pieces[-1] = (pieces[-1][0] + text[start:end], labels)
        else:
            pieces.append((text[start:end], labels))
    return pieces


def _excerpt(pieces: Sequence[Piece], length: int) -> Iterator[Piece]:
    """Leave out most of what has no finding, where the text is long."""
    for index, (stretch, labels) in enumerate(pieces):
        before = _CONTEXT if index else 0
        after = _CONTEXT if index + 1 < len(pieces) else 0
        left_out = len(stretch) - before - after
        if labels or length <= _SHOWN_WHOLE or left_out <= 2 * _CONTEXT:
            yield stretch, labels
            continue
        note = f"[… {left_out:,} characters without a finding …]"
        yield f"{stretch[:before]} {note} {stretch[len(stretch) - after :]}", ()


def _legend(findings: Sequence[Finding]) -> Text:
    line = Text().append("found: ", style="dim")
    for index, label in enumerate(dict.fromkeys(finding.label for finding in findings)):
        own = [finding for finding in findings if finding.label is label]
        groups = sorted({group for finding in own for group in finding.groups})
        line.append(", " if index else "")
        line.append(label, style=f"bold {COLOURS[label]}")
        about = f" about {', '.join(groups)}" if groups else ""
        line.append(f" {max(finding.score for finding in own):.2f}{about}")
    return line


def _change(text: str, rewrite: Rewrite, plain: bool) -> Text:
    line = Text().append("masked: " if rewrite.masked else "rewritten: ", style="dim")
    for kind, words in _diff(text[rewrite.start : rewrite.end], rewrite.replacement, whole=rewrite.masked):
        shown = visible(words)
        if kind == "same":
            line.append(shown)
        elif plain:
            mark = _MARKS[kind].format(shown.rstrip())
            line.append(mark + shown[len(shown.rstrip()) :])
        else:
            line.append(shown, style="red strike" if kind == "removed" else "green")
    line.rstrip()
    return line


def _diff(before: str, after: str, whole: bool) -> Iterator[tuple[str, str]]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    if whole or max(len(old), len(new)) > _DIFFED_WORDS:
        yield from (("removed", before), ("added", after))
        return
    a_keys, b_keys = ([word.strip() for word in words] for words in (old, new))
    for kind, a, b, c, d in difflib.SequenceMatcher(None, a_keys, b_keys, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "same", "".join(new[c:d])
            continue
        if b > a:
            yield "removed", "".join(old[a:b])
        if d > c:
            yield "added", "".join(new[c:d])

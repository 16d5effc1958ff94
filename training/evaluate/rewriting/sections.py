"""Turn measured rewrites into tables: systems as rows, and never two judges in one column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from guardrail.training.evaluate.metrics import interval, mean
from guardrail.training.evaluate.rewriting import edited, style
from guardrail.training.evaluate.rewriting.columns import FORM, Measured, figures, pooled
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.local import perplexity
from guardrail.training.evaluate.section import Figures, Section

SOURCE = "the source itself"
ONE = ""
LEAST = 5
Named = Callable[[Item], Sequence[str]]


def flagged(found: Measured, where: np.ndarray, key: str, title: str) -> Section:
    """Count what each judge flags before and after, over the biased items in ``where``."""
    rows = {
        system: {judge: _flagged(found, system, judge, where) for judge in found.judges} for system in found.systems
    }
    note = (
        "Each judge in columns of its own, at its own thresholds. Unflagged: of what it flagged before, what it no "
        "longer flags; mended: the same, masks not counted. Brackets: 95 % bootstrap intervals, the same draws for all."
    )
    return Section(key, title, note, rows)


def _flagged(found: Measured, system: str, judge: str, where: np.ndarray) -> Figures:
    before = found.column(system, f"before:{judge}", where)
    return {
        "texts": float(len(before)),
        "before": mean(before),
        **figures(found.column(system, f"after:{judge}", where), "after"),
        **figures(found.column(system, f"unflagged:{judge}", where), "unflagged"),
        **figures(found.column(system, f"mended:{judge}", where), "mended"),
    }


def kept(found: Measured) -> Section:
    """Measure what biased items keep, and how many clean ones stay as they are."""
    rows = {system: {ONE: _kept(found, system)} for system in found.systems}
    note = (
        "Over biased texts. Retention, faithfulness and relevancy are rescaled: 0 is what an unrelated text gets, 1 "
        "keeps all; stretches at fault may go. Similarity is an encoder's cosine, rescaled likewise. Perplexity by "
        "another model, to be read beside that of copy. Clean unchanged: the no-op rate on clean texts, which a "
        "rewriter alone gets sentence by sentence and a pipeline judges first."
    )
    return Section("kept", "What is kept", note, rows)


def _kept(found: Measured, system: str) -> Figures:
    one: dict[str, float] = {"texts": float(len(found.column(system, "changed")))}
    for key in ("changed", "masked"):
        one[key] = mean(found.column(system, key))
    for key in ("meaning_rules", "all_rules", "retention", "faithfulness", "relevancy", "similarity"):
        if key != "similarity" or key in found.columns[system]:
            one |= figures(found.column(system, key), key)
    if "loss" in found.columns[system]:
        one |= pooled(perplexity, "perplexity", found.column(system, "loss"), found.column(system, "tokens"))
    return one | figures(found.column(system, "clean_unchanged"), "clean_unchanged")


def references(found: Measured) -> Section:
    """Compare rewrites with rewrites by hand: whole texts, single edits, n-grams."""
    rows = {system: {ONE: _referenced(found, system)} for system in found.systems}
    note = "Edit F1 over token edits against the reference's (micro); BLEU by sacrebleu. Copying has a high BLEU."
    return Section("references", "Against rewrites by hand", note, rows)


def _referenced(found: Measured, system: str, where: np.ndarray | None = None) -> Figures:
    exact = found.column(system, "exact_match", where)
    counts = [found.column(system, key, where) for key in ("hits", "extra", "missing")]
    chosen = np.flatnonzero(~np.isnan(found.columns[system]["exact_match"]))
    if where is not None:
        chosen = np.intersect1d(chosen, where)
    texts = [(found.outputs[system][i].text, found.items[i].reference or "") for i in chosen.tolist()]
    one = {"texts": float(len(exact)), **figures(exact, "exact_match"), **pooled(edited.f1, "edit_f1", *counts)}
    return one | {"bleu": edited.bleu([text for text, _ in texts], [hand for _, hand in texts])}


def failures(found: Measured) -> Section:
    """Count the rules that rewrites of biased items break, and why a pipeline masked."""
    broken = {name: [rules for rules in rows if rules is not None] for name, rows in found.broken.items()}
    names = sorted({name for rows in broken.values() for rules in rows for name in rules})
    rows: dict[str, dict[str, Figures]] = {
        f"{name}{'' if name in FORM else ' (meaning)'}": {
            system: {"broken": mean(np.array([name in rules for rules in rows], float))}
            for system, rows in broken.items()
        }
        for name in names
    }
    for system, outputs in found.outputs.items():
        for name in sorted({name for one in outputs for name in one.failed}):
            count = sum(name in one.failed for one in outputs)
            rows.setdefault(f"masked: {name}", {})[system] = {"texts": float(count)}
    note = "Share of biased texts whose rewrite breaks a rule of verify.py; below, what a pipeline's masks are for."
    return Section("failures", "Failure modes, by rule", note, rows)


def strata(found: Measured, key: str, title: str, named: Named, systems: Sequence[str]) -> Section:
    """Measure some systems by label, group or register: each name of an item that at least five items have."""
    rows = {}
    names = sorted({name for item in found.items if not item.clean for name in named(item)})
    for name in names:
        where = np.array([i for i, item in enumerate(found.items) if not item.clean and name in named(item)], int)
        if len(where) >= LEAST:
            rows[name] = {system: _stratum(found, system, where) for system in systems}
    note = "Biased texts only; unflagged, by each judge, of what it flagged before; exact match where references exist."
    return Section(key, title, note, rows)


def _stratum(found: Measured, system: str, where: np.ndarray) -> Figures:
    one: dict[str, float] = {"texts": float(len(where))}
    for judge in found.judges:
        one[f"unflagged by {judge}"] = mean(found.column(system, f"unflagged:{judge}", where))
    one["meaning_rules"] = mean(found.column(system, "meaning_rules", where))
    one["retention"] = mean(found.column(system, "retention", where))
    return one | figures(found.column(system, "exact_match", where), "exact_match")


def differences(found: Measured) -> Section:
    """Subtract every other system's headline figures from the first system's, row by row, with paired intervals."""
    first, *others = found.systems
    rows = {other: {ONE: _difference(found, first, other)} for other in others}
    note = f"{first} minus each other system on the same rows; an interval without 0 is a difference."
    return Section("differences", "The pipeline minus the others", note, rows)


def _difference(found: Measured, first: str, other: str) -> Figures:
    keys = ["meaning_rules", "retention", "faithfulness", "exact_match", "clean_unchanged"]
    shown: dict[str, float] = {}
    for key in [*keys, *(f"mended:{judge}" for judge in found.judges)]:
        values = found.column(first, key) - found.column(other, key)
        name = key.replace("mended:", "mended by ")
        low, high = interval(mean, values)
        shown |= {name: mean(values), f"{name}_low": low, f"{name}_high": high}
    return shown


def styles(found: Measured) -> Section:
    """Measure sentence lengths, persons and modal verbs over biased items."""
    biased = [i for i, item in enumerate(found.items) if not item.clean]
    rows: dict[str, dict[str, Figures]] = {
        SOURCE: {ONE: {"CLEN": style.clen([found.items[i].text for i in biased])}},
    }
    for system, outputs in found.outputs.items():
        drift = {key: mean(found.column(system, key)) for key in ("voice_drift", "modals_shift")}
        rows[system] = {ONE: {"CLEN": style.clen([outputs[i].text for i in biased]), **drift}}
    note = (
        "CLEN, by our definition: entropy of sentence lengths in nine bins over log 9. Voice drift: total variation "
        "between the shares of first, second, third person and none. Modals shift: modal verbs per 100 words, added."
    )
    return Section("style", "Style", note, rows)


def tables(found: Measured, systems: Sequence[str]) -> Iterator[Section]:
    """Yield every table of ``found``, the strata for ``systems`` only; the flagged ones where there is a judge."""
    if found.judges:
        everything = np.arange(len(found.items))
        yield flagged(found, everything, "flagged", "Flagged before and after: all biased texts")
        at = np.flatnonzero([one.touched for one in found.outputs[found.systems[0]]])
        yield flagged(found, at, "flagged.found", "Flagged before and after: texts that the pipeline's detector found")
    yield kept(found)
    yield references(found)
    yield differences(found)
    yield failures(found)
    yield strata(found, "label", "By label", lambda item: item.labels, systems)
    yield strata(found, "group", "By group", lambda item: item.groups, systems)
    yield strata(found, "origin", "By brief or source", lambda item: (item.origin,), systems)
    yield strata(found, "register", "By register", lambda item: (item.register,) if item.register else (), systems)
    yield styles(found)

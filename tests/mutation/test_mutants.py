"""The maker of mutants: each has one fault, runs, and does something else; nobody's words are touched."""

from __future__ import annotations

import ast
from difflib import unified_diff

from tests.mutation.mutants import mutants

SOURCE = '''
"""Docstring."""
from __future__ import annotations

LIMIT: int = 3


def judge(score: float, names: list[str]) -> str:
    """Docstring."""
    if not names or score < 0.5:
        return "fine"
    if score > LIMIT:
        raise ValueError(f"score {score} is over {LIMIT}")
    total = 0
    for name in names:
        total += len(name) * 2
    return "bad" if total >= 6 and True else "fine"
'''
KINDS = {
    *("comparison flipped", "and for or", "not dropped", "operator swapped", "one more", "other truth"),
    *("text emptied", "branches swapped", "nothing returned", "statement dropped"),
}


def test_each_mutant_differs_in_one_place_and_compiles() -> None:
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    made = mutants(SOURCE, 999, 0)
    assert {mutant.what for mutant in made} == KINDS
    texts = [ast.unparse(mutant.tree) for mutant in made]
    assert len(set(texts)) == len(texts)
    for mutant, text in zip(made, texts, strict=True):
        compile(mutant.tree, "judge", "exec")
        gone = [line for line in unified_diff(plain, text.splitlines(), n=0) if line.startswith("-") and line[1] != "-"]
        assert gone, mutant.what
        assert mutant.lines[0] in range(5, 18)


def test_words_and_types_are_left_alone() -> None:
    for mutant in mutants(SOURCE, 999, 0):
        text = ast.unparse(mutant.tree)
        assert text.count("Docstring.") == 2
        assert "score: float, names: list[str]" in text
        assert "is over" in text or mutant.what == "statement dropped"


def test_the_same_ones_are_drawn_each_time() -> None:
    first, second, other = ([(m.lines, m.what) for m in mutants(SOURCE, 6, seed)] for seed in (1, 1, 2))
    assert first == second != other
    assert len(first) == 6


def test_a_mutant_names_the_lines_of_its_statement() -> None:
    source = "def f(x):\n    y = (\n        1,\n        x,\n    )\n    if x > 1:\n        return y\n"
    lines = {mutant.what + str(mutant.lines[0]): mutant.lines for mutant in mutants(source, 99, 0)}
    assert lines["one more3"] == (3, 2, 3, 4, 5)
    assert lines["comparison flipped6"] == (6, 6)

"""Make mutants of a module: its syntax tree with one small fault, as a hurried hand would put it there."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_FLIPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_SWAPS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
Change = Callable[[ast.AST], ast.AST]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: the lines of the statement it is in, its own first, what was done, and the module with it."""

    lines: tuple[int, ...]
    what: str
    tree: ast.Module


def mutants(source: str, count: int, seed: int) -> list[Mutant]:
    """Return ``count`` mutants of a module, all of them if it has fewer, drawn by ``seed``, in the order of lines."""
    tree = ast.parse(source)
    skipped = set(_skipped(tree))
    places = [
        (index, kind)
        for index, node in enumerate(ast.walk(tree))
        if id(node) not in skipped
        for kind, _ in _changes(node)
    ]
    chosen = random.Random(seed).sample(places, min(count, len(places)))
    return sorted((_mutant(tree, index, kind) for index, kind in chosen), key=lambda mutant: mutant.lines)


def _mutant(tree: ast.Module, index: int, kind: str) -> Mutant:
    changed = copy.deepcopy(tree)
    target = list(ast.walk(changed))[index]
    new = dict(_changes(target))[kind](target)
    for parent in ast.walk(changed):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, new)
            elif isinstance(value, list) and any(item is target for item in value):
                value[[item is target for item in value].index(True)] = new
    return Mutant(_lines(tree, list(ast.walk(tree))[index]), kind, ast.fix_missing_locations(changed))


def _lines(tree: ast.Module, node: ast.AST) -> tuple[int, ...]:
    """Return a node's line, then the other lines of the smallest statement around it, as long as that is simple."""
    around = [part for part in ast.walk(tree) if isinstance(part, ast.stmt) and node in ast.walk(part)]
    smallest = min(around, key=lambda part: (part.end_lineno or 0) - part.lineno)
    own: int = getattr(node, "lineno", smallest.lineno)
    last = smallest.body[0].lineno - 1 if isinstance(smallest, (ast.If, ast.For, ast.While, ast.With)) else None
    return (own, *range(smallest.lineno, (last or smallest.end_lineno or own) + 1))


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Compare):
        yield "comparison flipped", _flipped
    elif isinstance(node, ast.BoolOp):
        yield "and for or", _other_bool
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", lambda old: old.operand  # type: ignore[attr-defined]
    elif isinstance(node, ast.BinOp) and type(node.op) in _SWAPS:
        yield "operator swapped", _other_operator
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, (ast.If, ast.IfExp)):
        yield "branches swapped", _negated
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "nothing returned", lambda old: ast.copy_location(ast.Return(ast.Constant(None)), old)
    elif isinstance(node, (ast.Raise, ast.AugAssign, ast.Expr)) or _sets_attribute(node):
        yield "statement dropped", lambda old: ast.copy_location(ast.Pass(), old)


def _constants(node: ast.Constant) -> Iterator[tuple[str, Change]]:
    value = node.value
    if isinstance(value, bool):
        yield "other truth", lambda old: ast.Constant(not value)
    elif isinstance(value, (int, float)):
        yield "one more", lambda old: ast.Constant(value + 1)
    elif isinstance(value, str) and value:
        yield "text emptied", lambda old: ast.Constant("")


def _sets_attribute(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)


def _flipped(old: ast.AST) -> ast.AST:
    assert isinstance(old, ast.Compare)
    return ast.Compare(old.left, [_FLIPS[type(old.ops[0])](), *old.ops[1:]], old.comparators)


def _other_bool(old: ast.AST) -> ast.AST:
    assert isinstance(old, ast.BoolOp)
    return ast.BoolOp(ast.Or() if isinstance(old.op, ast.And) else ast.And(), old.values)


def _other_operator(old: ast.AST) -> ast.AST:
    assert isinstance(old, ast.BinOp)
    return ast.BinOp(old.left, _SWAPS[type(old.op)](), old.right)


def _negated(old: ast.AST) -> ast.AST:
    assert isinstance(old, (ast.If, ast.IfExp))
    return type(old)(test=ast.UnaryOp(ast.Not(), old.test), body=old.body, orelse=old.orelse)  # type: ignore[arg-type]


def _skipped(tree: ast.Module) -> Iterator[int]:
    """Yield what no test should hold: docstrings, annotations, imports for types, what errors and the log say."""
    for node in ast.walk(tree):
        for part in _unheld(node):
            yield from (id(inner) for inner in ast.walk(part))


def _unheld(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, (ast.arg, ast.AnnAssign)):
        return [node.annotation] if node.annotation is not None else []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [*node.decorator_list, *([node.returns] if node.returns is not None else [])]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list]
    if isinstance(node, ast.Raise):
        return [node.exc] if node.exc is not None else []
    spoken = isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.")
    typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    typing |= isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(("TypeVar(", "Literal["))
    return [node] if spoken or typing or docstring or isinstance(node, ast.JoinedStr) else []

"""Let a test import modules anew without leaving their second copies to the tests after it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def imported_anew(*packages: str) -> Iterator[None]:
    """Forget ``packages`` and what is in them, and bring the forgotten back at the end."""
    before = _loaded(packages)
    for name in before:
        _forget(name)
    try:
        yield
    finally:
        for name in _loaded(packages):
            _forget(name)
        sys.modules.update(before)
        for name, module in before.items():
            _bind(name, module)


def _loaded(packages: tuple[str, ...]) -> dict[str, ModuleType]:
    inside = tuple(f"{package}." for package in packages)
    return {name: module for name, module in sys.modules.items() if name in packages or name.startswith(inside)}


def _forget(name: str) -> None:
    del sys.modules[name]
    _bind(name, None)


def _bind(name: str, module: ModuleType | None) -> None:
    # ``import a.b`` looks into sys.modules, ``from a import b`` at the attribute.
    parent, _, child = name.rpartition(".")
    holder = sys.modules.get(parent)
    if holder is None:
        return
    if module is not None:
        setattr(holder, child, module)
    elif hasattr(holder, child):
        delattr(holder, child)

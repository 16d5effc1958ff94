"""List every door."""

from __future__ import annotations

from tests.conformance import doors_core, doors_models, doors_web
from tests.conformance.seen import Door

DOORS: tuple[Door, ...] = (*doors_core.DOORS, *doors_models.DOORS, *doors_web.DOORS)

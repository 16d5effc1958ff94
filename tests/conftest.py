"""Settings for all tests: no hub, and no deadline that a busy machine could miss."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GUARDRAIL_OFFLINE"] = "1"

settings.register_profile("guardrail", deadline=None, print_blob=True)
settings.load_profile("guardrail")

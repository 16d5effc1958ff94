"""Build the sets of a topic: harmful answers or social bias, each with normal pairs of the same form."""

from __future__ import annotations

from pathlib import Path

from guardrail.errors import ConfigError
from guardrail.training.unlearn import bias, harm
from guardrail.training.unlearn.data import TOPICS, DataSettings, Sets

FILES = {"harm": harm.FILES, "bias": bias.FILES}
"""The pool's files that each topic reads."""


def build_sets(pool: Path, settings: DataSettings) -> Sets:
    """Return the sets of ``settings.topic``.

    Raises:
        ConfigError: there is no such topic, or a file of the pool is missing or has other columns.
    """
    if settings.topic not in TOPICS:
        raise ConfigError(f"data.topic is {settings.topic!r}; use one of {', '.join(TOPICS)}")
    return harm.harm_sets(pool, settings) if settings.topic == "harm" else bias.bias_sets(pool, settings)

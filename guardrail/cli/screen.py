"""Print to a terminal or a pipe, text as it is: no markup, no emoji codes, no wrapped lines."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """A console whose broken pipe is an error like any other; rich itself exits with 1, which here means flagged."""

    def __init__(self) -> None:
        super().__init__(highlight=False, emoji=False, markup=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Raise ``BrokenPipeError``."""
        raise BrokenPipeError

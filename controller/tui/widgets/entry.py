"""A line that a person types or pastes into."""

from __future__ import annotations

from textual.widgets import Input

from controller.text import printable


class Entry(Input):
    """What no keyboard types, but a clipboard may hold, is left out: controls, and all that turns text around."""

    def validate_value(self, value: str) -> str:
        return "".join(char for char in value if printable(char) == char)

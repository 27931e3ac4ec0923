"""The last line of every screen: the keys that do something here, in grey those that cannot now, and STOP always."""

from __future__ import annotations

from typing import Final

from controller.tui.desk import Desk
from controller.tui.widgets.panel import Line, Panel, Word, right, width_of

_STOP: Final = (("^X", "key"), (" STOP ", "alarm"))
_ALWAYS: Final = ("help", "leave")
"""Actions whose keys stand at the right, where nothing pushes them out: help tells all the others."""


class KeyBar(Panel):
    """Made of the bindings that the screen has at this moment."""

    FRAMED = False
    DEFAULT_CSS = """
    KeyBar { height: 1; dock: bottom; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="keys")
        self._desk = desk

    def lines(self, width: int, height: int) -> list[Line]:
        keys: list[Word] = [(" ", "")]
        always: list[Word] = [(" ", "")]
        seen: set[str] = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or binding.action in seen:
                continue
            seen.add(binding.action)
            key = binding.key_display or self.app.get_key_display(binding)
            (always if binding.action in _ALWAYS else keys).extend(
                [
                    (key, "key" if active.enabled else "off"),
                    (f" {binding.description}  ", "" if active.enabled else "off"),
                ]
            )
        if width < width_of(always) + width_of(_STOP):
            always = []  # whatever has to go, STOP stays
        return [right(keys, [*always, *_STOP], width)]

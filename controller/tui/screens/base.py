"""What every screen of the rig has: heading, key bar, the stop panel, and a beat that repaints what changed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import ScreenResume
from textual.screen import Screen

from controller.tui.desk import Desk
from controller.tui.widgets.panel import LOOKS, Panel


class RigScreen(Screen[None]):
    """`freshen` is called by the app at most ten times a second while this screen is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "next panel", show=False, id="panel.next"),
        Binding("shift+tab", "app.focus_previous", "panel before", show=False, id="panel.before"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"look--{name}" for name in LOOKS}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]  # noqa: RUF012

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._styled_for = ""

    def freshen(self) -> None:
        """Repaint what looks different by now. While paused, only what a person has to see all the same."""
        for panel in self.query(Panel):
            if self.desk.paused_s is None or panel.id in ("heading", "keys", "stop"):
                panel.freshen()

    def on_screen_resume(self, event: ScreenResume) -> None:
        """Shown again. The style sheet is applied anew only for another theme: it takes longer than all the rest."""
        event.refresh_styles = event.refresh_styles and self._styled_for != self.app.theme
        self._styled_for = self.app.theme
        self.freshen()

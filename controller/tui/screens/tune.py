"""Screen 2: stage a point, see what binds, apply it on trial, keep it or let it go back."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from controller.tui.screens.base import RigScreen
from controller.tui.widgets.heading import Heading
from controller.tui.widgets.keybar import KeyBar
from controller.tui.widgets.stop import StopPanel
from controller.tui.widgets.tuning import History, Rails, SetPoint, TrialPanel, VerdictPanel


class TuneScreen(RigScreen):
    """The staged point on the left, what speaks against it on the right, the history below."""

    AUTO_FOCUS = "SetPoint"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign,right", "step(1)", "step up", key_display="+", id="tune.up"),
        Binding("minus,left", "step(-1)", "step down", key_display="-", id="tune.down"),
        Binding("shift+right,shift+up", "step(10)", "ten steps up", show=False, id="tune.up_ten"),
        Binding("shift+left,shift+down,underscore", "step(-10)", "ten steps down", show=False, id="tune.down_ten"),
        Binding("up,down,v", "field", "clock or voltage", show=False, id="tune.field"),
    ]

    def compose(self) -> ComposeResult:
        yield Heading(self.desk)
        with Horizontal(id="stage"):
            with Vertical(id="wish"):
                yield SetPoint(self.desk)
                yield TrialPanel(self.desk)
            with Vertical(id="limits"):
                yield Rails(self.desk)
                yield VerdictPanel(self.desk)
        yield History(self.desk)
        yield StopPanel(self.desk)
        yield KeyBar(self.desk)

    def action_step(self, count: int) -> None:
        self.desk.step(count)
        self.freshen()

    def action_field(self) -> None:
        self.desk.field = 1 - self.desk.field
        self.freshen()

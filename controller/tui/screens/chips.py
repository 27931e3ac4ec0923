"""Screen 4: the chips of a chain."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from controller.tui.desk import Desk
from controller.tui.screens.base import RigScreen
from controller.tui.widgets.chips import ChipDetail, Chips
from controller.tui.widgets.heading import Heading
from controller.tui.widgets.keybar import KeyBar
from controller.tui.widgets.stop import StopPanel


class ChipsScreen(RigScreen):
    """The map and the list above, the marked chip below."""

    AUTO_FOCUS = "Chips"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("o", "order", "order", id="chips.order")]

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.chips = Chips(desk)
        self._detail = ChipDetail(desk, self.chips)

    def compose(self) -> ComposeResult:
        yield Heading(self.desk)
        yield self.chips
        yield self._detail
        yield StopPanel(self.desk)
        yield KeyBar(self.desk)

    def on_listing_moved(self) -> None:
        self._detail.freshen()

    def action_order(self) -> None:
        self.chips.turn()

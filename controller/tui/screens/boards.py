"""Screen 0: all boards of the rig."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from controller.tui.desk import Desk
from controller.tui.screens.base import RigScreen
from controller.tui.widgets.boards import BoardRemarks, Boards
from controller.tui.widgets.heading import Heading
from controller.tui.widgets.keybar import KeyBar
from controller.tui.widgets.stop import StopPanel


class BoardsScreen(RigScreen):
    """A line for each board above, what there is to say of the marked one below."""

    AUTO_FOCUS = "Boards"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", key_display="⏎", id="boards.open"),
        Binding("o", "order", "order", id="boards.order"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._boards = Boards(desk)
        self._remarks = BoardRemarks(desk)

    def compose(self) -> ComposeResult:
        yield Heading(self.desk)
        yield self._boards
        yield self._remarks
        yield StopPanel(self.desk)
        yield KeyBar(self.desk)

    def on_listing_moved(self) -> None:
        self.freshen()

    def action_open(self) -> None:
        self.app.switch_mode("board")

    def action_order(self) -> None:
        self._boards.turn()

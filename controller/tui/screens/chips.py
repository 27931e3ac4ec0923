"""Screen 4: the chips of a chain."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from controller.model import CapChip, Channel, GuardState
from controller.text import number
from controller.tui.ask import AskText, quantity
from controller.tui.client import RigClient
from controller.tui.desk import Desk
from controller.tui.screens.base import RigScreen
from controller.tui.widgets.chips import ChipDetail, Chips
from controller.tui.widgets.heading import Heading
from controller.tui.widgets.keybar import KeyBar
from controller.tui.widgets.stop import StopPanel


class ChipsScreen(RigScreen):
    """The map and the list above, the marked chip below."""

    AUTO_FOCUS = "Chips"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "order", "order", id="chips.order"),
        Binding("c", "cap", "cap", id="chips.cap"),
    ]

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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """True: now. None: not now, shown in grey. False: not here at all."""
        if action != "cap":
            return super().check_action(action, parameters)
        desk = self.desk
        if desk.playback is not None or desk.info is None or desk.info.chips < 2:
            return False
        return True if desk.can(GuardState.LIVE, GuardState.SAFE_OFF) else None

    def action_cap(self) -> None:
        """How fast the marked chip may be at most. The guard judges it, and a chip of a live board moves at once."""
        marked, app, desk = self.chips.marked(), self.app, self.desk
        if marked is None or desk.board is None or not isinstance(app, RigClient):
            return
        low, high, layer = desk.allowed(Channel.FREQUENCY_MHZ) or (0.0, 0.0, "")
        allowed = f"{low:g} to {high:g} MHz{f' ({layer})' if layer else ''}"

        def check(text: str) -> str | None:
            good = not text.strip() or quantity(text) is not None
            return None if good else f"{text!r} is no number of MHz; allowed: {allowed}, or nothing"

        def take(text: str | None) -> None:
            if text is not None:
                app.wish(CapChip(chip=marked, frequency_mhz=quantity(text), note="on the screen"))

        hint = f"{allowed}, or nothing: as fast as the board. Enter applies it; 50 MHz at once at most."
        now = number(desk.board.caps_mhz.get(marked), 2, unknown="")
        app.push_screen(AskText(f"Chip {marked}: at most so many MHz", hint, now, check), take)

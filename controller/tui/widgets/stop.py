"""After an emergency stop: what each actuator of each board has confirmed, and what it has not."""

from __future__ import annotations

from controller.model import GuardState
from controller.tui.desk import Desk
from controller.tui.store import Stop
from controller.tui.widgets.panel import Line, Panel, column, fit, no_more_than

ROWS = 14
NAME_COLUMNS = 24
LATE_S = 2.0
"""A safe-off that takes longer than this is said to be late."""


class StopPanel(Panel):
    """Lies over whatever screen there is, from the moment of the stop until Esc."""

    DEFAULT_CSS = """
    StopPanel { layer: above; dock: bottom; height: auto; max-height: 16; display: none; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="stop")
        self._desk = desk
        self.entitle("EMERGENCY STOP")
        self.border_subtitle = "esc closes this"

    def freshen(self) -> None:
        shown = self._desk.store.stop is not None
        if self.display != shown:
            self.display = shown
        if shown:
            rows = len(self.lines(200, ROWS))
            if self.styles.height is None or self.styles.height.value != rows + 2:
                self.styles.height = rows + 2
            super().freshen()

    def lines(self, width: int, height: int) -> list[Line]:
        store = self._desk.store
        stop = store.stop
        if stop is None:
            return []
        if self._desk.playback is not None:
            return [[("this is a recording: no board hears it", "warn")]]
        if not store.boards:
            return [[("no rig yet; every board of it is stopped as soon as there is one", "warn")]]
        found = [self._board(name, stop) for name in store.boards]
        if sum(map(len, found)) > height:  # what is confirmed steps back behind what is not
            found = [
                lines[:1] if _is_safe(stop, name) else lines for name, lines in zip(store.boards, found, strict=True)
            ]
            found.sort(key=len, reverse=True)
        return no_more_than([line for lines in found for line in lines], height)

    def _board(self, name: str, stop: Stop) -> list[Line]:
        store = self._desk.store
        lines: list[Line] = []
        waited_s = store.now() - stop.asked_s
        title = (f"{fit(name, NAME_COLUMNS)}  ", "value")
        report, error, board = stop.reports.get(name), stop.errors.get(name), store.board(name)
        if report is not None:
            took = report.report
            told = "SAFE, confirmed by read-back" if took.confirmed else "NOT CONFIRMED"
            lines.append([title, (f" {told} ", "good" if took.confirmed else "alarm")])
            for action in took.actions:
                sign, look = ("✓", "good") if action.confirmed else ("✗", "bad")
                sent = "confirmed" if action.confirmed else "sent, not confirmed" if action.sent else "NOT SENT"
                lines.append(
                    [
                        (f"  {sign} ", look),
                        (f"{column(action.name, 18)}", ""),
                        (f"{sent}  ", look),
                        (fit(action.detail, 40), "label"),
                    ]
                )
            if not took.confirmed:
                lines.append(self._supply(name))
        elif error is not None:
            lines += [[title, (" NOT CONFIRMED ", "alarm"), (f" {error}", "bad")], self._supply(name)]
        elif not store.line.up:
            gone = " the rig is gone; its sentinel makes safe"
            lines += [[title, (" NOT CONFIRMED ", "alarm"), (gone, "bad")], self._supply(name)]
        else:
            late = waited_s > LATE_S
            text = f"asked {waited_s:.1f} s ago, nothing confirmed yet"
            lines.append([title, (text, "bad" if late else "warn")])
            if late or (board is not None and board.state is GuardState.UNPROTECTED):
                lines.append(self._supply(name))
        return lines

    def _supply(self, name: str) -> Line:
        info = self._desk.store.boards.get(name)
        if info is not None and info.emulated:
            return [("  on a real board: cut the supply now", "label")]
        return [("  CUT THE SUPPLY OF THIS BOARD NOW", "alarm")]


def _is_safe(stop: Stop, name: str) -> bool:
    report = stop.reports.get(name)
    return report is not None and report.report.confirmed

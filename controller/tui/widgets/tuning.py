"""The panels of the tune screen: the staged point, the guard rails, what the guard says, the trial, the history."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from controller.model import Channel, GuardState, OperatingPoint
from controller.prediction import limits
from controller.text import UNKNOWN, number
from controller.tui import words
from controller.tui.desk import Answer, Desk
from controller.tui.points import Fate
from controller.tui.widgets.gauge import bar, look_of, sign_of
from controller.tui.widgets.panel import Line, Panel, Word, fit, wrap
from controller.tui.widgets.readings import axis


class SetPoint(Panel, can_focus=True):
    """The staged point: clock and core voltage, the one that the keys move marked."""

    HELP = (
        "Stage a point: up and down choose clock or voltage, + and - (or right and left) move it by one step, with "
        "Shift by ten, e types a number. Nothing happens on the board before a, and then the change is on trial: "
        "unless k comes in time, the rig itself goes back. On a board that is off, a powers it up to the staged point."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="setpoint")
        self._desk = desk
        self.entitle("Set point")

    def lines(self, width: int, height: int) -> list[Line]:
        desk, info = self._desk, self._desk.info
        if info is None:
            return []
        e, base, staged = info.envelope, desk.base, desk.staged
        rows = (
            ("clock", base.frequency_mhz, staged.frequency_mhz, 2, "MHz", e.frequency_step_mhz, Channel.FREQUENCY_MHZ),
            ("core", base.core_v, staged.core_v, 3, "V", e.core_v_step_v, Channel.CORE_V),
        )
        lines: list[Line] = []
        allowed = [self._allowed(channel, float(step), unit) for *_, unit, step, channel in rows]
        indent = " " * max(0, min(10, width - max(map(len, allowed))))
        for index, (name, now, wish, digits, unit, _step, _channel) in enumerate(rows):
            chosen = index == desk.field
            changed = now != wish
            lines.append(
                [
                    ("▸ " if chosen else "  ", "mark"),
                    (f"{name:<6}", "label"),
                    (f"{number(now, digits):>8}", "" if changed else "value"),
                    (" → " if changed else "   ", "label"),
                    (f"[{number(wish, digits):>8}]", "mark" if changed else ("value" if chosen else "")),
                    (f" {unit}", "label"),
                ]
            )
            lines.append([(indent + allowed[index], "label")])
        lines.append([])
        lines.append(self._what(width))
        return lines[:height]

    def _allowed(self, channel: Channel, step: float, unit: str) -> str:
        found = self._desk.allowed(channel)
        if found is None:
            return ""
        low, high, layer = found
        return f"{low:g} to {high:g}{f' ({layer})' if layer else ''} by {step:g} {unit}"

    def _what(self, width: int) -> Line:
        desk, board = self._desk, self._desk.board
        if board is None or not desk.can_command:
            return [("nothing can be moved here", "label")]
        if board.state is GuardState.SAFE_OFF:
            return [("a ", "key"), ("powers up to this point", "")]
        if board.state is GuardState.LIVE and desk.differs:
            return [("a ", "key"), ("applies it on trial, u unstages", "")]
        if board.state is GuardState.LIVE:
            return [("+ - ", "key"), ("stage a change", "label")]
        return [(f"the board is {words.STATES[board.state][0].lower()}", "label")]


class Rails(Panel):
    """How far the board is from each limit, now and at the staged point."""

    HELP = (
        "● is what is read now, ○ what the staged point would settle at. ┊ is the soft mark (a warning, or the end of "
        "the operator's range), ┃ the hard one (a trip, or the absolute limit). The estimate scales this board's own "
        "reading by V²f and a thermal resistance from public logs; it is not calibrated for this board. The guard "
        "judges by what is measured."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="rails")
        self._desk = desk
        self.entitle("Guard rails")

    def lines(self, width: int, height: int) -> list[Line]:
        desk, board, info = self._desk, self._desk.board, self._desk.info
        if board is None or info is None:
            return []
        prediction = desk.prediction() if desk.differs else None
        lines: list[Line] = []
        for channel, *_ in limits(info.envelope):
            marks = axis(channel, info.envelope)
            reading = board.channels.get(channel)
            if marks is None or reading is None:
                continue
            stale = desk.store.is_stale(info, channel, reading)
            now = None if stale else reading.value
            then = None if prediction is None else prediction.channels.get(channel)
            lines.append(self._row(channel, marks, now, then, width))
        for channel, now, wish in (
            (Channel.FREQUENCY_MHZ, desk.base.frequency_mhz, desk.staged.frequency_mhz),
            (Channel.CORE_V, desk.base.core_v, desk.staged.core_v),
        ):
            marks = axis(channel, info.envelope)
            if marks is not None:
                lines.append(self._row(channel, marks, now, wish if desk.differs else None, width))
        return lines[:height]

    @staticmethod
    def _row(
        channel: Channel, marks: tuple[float, float, float], now: float | None, then: float | None, width: int
    ) -> Line:
        shown = words.CHANNELS[channel]
        worst = max((value for value in (now, then) if value is not None), default=None)
        text = number(now, shown.digits)
        arrow = "" if then is None else f" → {number(then, shown.digits)}"
        label = "voltage" if channel is Channel.CORE_V else "current" if channel is Channel.CORE_A else shown.label
        head: list[Word] = [
            (f"{sign_of(worst, *marks[1:])} ", look_of(worst, *marks[1:], "")),
            (f"{label:<9}", "label"),
            (f"{text:>6}", look_of(now, *marks[1:])),
            (f"{arrow:<9}", look_of(then, *marks[1:], "mark") if then is not None else ""),
            (f" {shown.unit:<4}", "label"),
        ]
        return [*head, *bar(max(0, width - 31), *marks, now, then)]


class VerdictPanel(Panel):
    """What the guard would answer, and what the estimate says."""

    HELP = (
        "The guard of the rig is asked about the staged point as soon as it is staged, and again every second: this is "
        "its own answer, not this screen's. Below it stands the estimate, and the limit that it would reach first."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="verdict")
        self._desk = desk
        self.entitle("Guard")

    def lines(self, width: int, height: int) -> list[Line]:
        desk, board = self._desk, self._desk.board
        if board is None:
            return []
        lines = self._answer(width)
        prediction = desk.prediction() if desk.differs else None
        if prediction is not None:
            channels = prediction.channels
            power = number(channels.get(Channel.POWER_W), 1, "W")
            die = number(channels.get(Channel.CHIP_C), 0, "°C")
            rough = "  rough: not settled yet" if prediction.rough else ""
            lines.append([("estimate ", "label"), (f"{power}, die {die}", "value"), (rough, "label")])
            if prediction.binds is None:
                lines.append([("binds    ", "label"), ("nothing", "good")])
            else:
                lines.append(
                    [
                        ("binds    ", "label"),
                        (fit(prediction.binds, width - 9), "bad" if prediction.binds.endswith("trips") else "warn"),
                    ]
                )
        return lines[:height]

    def _answer(self, width: int) -> list[Line]:
        desk = self._desk
        match desk.verdict.answer:
            case Answer.GRANTED:
                return [[("✓ ", "good"), ("would be granted now", "good")]]
            case Answer.REFUSED:
                return [[("✗ refused", "bad")], *wrap(desk.verdict.why, width, "bad")]
            case Answer.ASKING:
                return [[("asking the guard …", "label")]]
            case Answer.APPLYING:
                return [[("▸ applying …", "warn")]]
            case Answer.NONE:
                return [[("nothing is staged", "label")]] if not desk.differs else [[(UNKNOWN, "label")]]


_KEYS: Final[Line] = (("k", "key"), (" keep  ", ""), ("u", "key"), (" back", ""))


class TrialPanel(Panel):
    """The countdown of a change that nobody has kept yet."""

    HELP = (
        "A change that was applied is on trial. k keeps it, u takes it back now. When the time is over the rig goes "
        "back by itself, whether this screen lives or not; sooner when a temperature reaches its warning level under a "
        "hotter point."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="trial")
        self._desk = desk
        self.entitle("After apply")

    def lines(self, width: int, height: int) -> list[Line]:
        desk, board = self._desk, self._desk.board
        if board is None or board.pending is None:
            return [[("no change on trial", "label")]]
        left_s = desk.store.trial_left_s(board) or 0.0
        whole_s = board.pending.keep_within_s
        filled = round(min(1.0, left_s / whole_s) * (width - 2)) if left_s < whole_s else width - 2
        lines: list[Line] = [
            [("KEEP", "alarm"), (f" within {left_s:.0f} s   ", "value"), *(_KEYS if desk.on_trial else ())],
            [("█" * filled, "warn"), ("░" * max(0, width - 2 - filled), "label")],
            [("else back to ", "label"), (words.point(board.pending.revert_to), "")],
        ]
        if board.pending.refused is not None:
            lines[1:] = wrap(f"way back refused: {board.pending.refused}", width, "bad")
        return lines[:height]


_FATES: Final = {
    Fate.ASKED: ("…", "label"),
    Fate.TRIAL: ("?", "warn"),
    Fate.KEPT: ("✓", "good"),
    Fate.REVERTED: ("↩", "warn"),
    Fate.ENDED: ("✗", "label"),
}


class History(Panel, can_focus=True):
    """Every point that was asked for, what became of it, and the notes."""

    HELP = (
        "Every point of this board, oldest first, with what became of it: ✓ kept, ↩ taken back, ✗ ended by a stop or "
        "left for another, ? on trial. Up and down scroll, enter stages the marked point, n writes a line of your own."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "move(-10)", "page up", show=False),
        Binding("pagedown", "move(10)", "page down", show=False),
        Binding("enter", "stage", "stage this point", show=False),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="history")
        self._desk = desk
        self._from_end = 0
        self.entitle("History of points")

    def lines(self, width: int, height: int) -> list[Line]:
        changes = self._desk.store.changes_of(self._desk.selected)
        if not changes:
            return [[("no point yet", "label")]]
        self._from_end = min(self._from_end, len(changes) - 1)
        cursor = len(changes) - 1 - self._from_end
        first = max(0, min(len(changes) - height, cursor - height // 2))
        lines: list[Line] = []
        for at in range(first, min(len(changes), first + height)):
            change = changes[at]
            sign, look = _FATES[change.fate] if change.point is not None else ("✎", "label")
            marked = self.has_focus and at == cursor
            where = "" if change.point is None else words.point(change.point)
            line: list[Word] = [
                ("▸" if marked else " ", "mark"),
                (f"{words.clock(change.at_utc)} ", "label"),
                (f"{sign} ", look),
                (f"{where:<19}", "value" if marked else ""),
            ]
            line.append((fit(f" {change.note}", max(0, width - 31)), "label" if change.point is not None else ""))
            lines.append(line)
        return lines

    def action_move(self, by: int) -> None:
        count = len(self._desk.store.changes_of(self._desk.selected))
        self._from_end = max(0, min(count - 1, self._from_end - by))
        self.freshen()

    def action_stage(self) -> None:
        changes = self._desk.store.changes_of(self._desk.selected)
        at = len(changes) - 1 - self._from_end
        if at >= 0 and (point := changes[at].point) is not None:
            self._desk.stage(OperatingPoint(frequency_mhz=point.frequency_mhz, core_v=point.core_v))


__all__ = ["History", "Rails", "SetPoint", "TrialPanel", "VerdictPanel"]

"""What the screens share: the store, the board that is looked at, the staged point and what the guard says of it.

A staged point is a wish that nobody has asked for yet. It may lie anywhere: whether it could be had is the guard's to
say, by a dry run in the rig, never this screen's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from controller.model import BoardInfo, BoardSnapshot, Channel, GuardState, OperatingPoint, Playback
from controller.prediction import Prediction, predict
from controller.tui.store import RigStore

KEEP_WITHIN_S: Final = 10.0
ABSURD: Final = 1e6
"""No clock in MHz and no voltage is as large as this."""
_MOVABLE: Final = (GuardState.LIVE, GuardState.STARTING)


class Answer(StrEnum):
    """What is known of a staged point."""

    NONE = "none"
    ASKING = "asking"
    GRANTED = "granted"
    REFUSED = "refused"
    APPLYING = "applying"


@dataclass(frozen=True, slots=True)
class Verdict:
    answer: Answer
    why: str = ""


NO_VERDICT: Final = Verdict(Answer.NONE)


def _plain(point: OperatingPoint) -> OperatingPoint:
    """Without the parts that are no quantity to step from or to reckon with."""
    return OperatingPoint(
        **{name: value for name, value in point if value is not None and 0.0 < value < ABSURD},
    )


class Desk:
    """One per screenful of a rig."""

    def __init__(self, store: RigStore) -> None:
        self.store = store
        self.selected = ""
        self.playback: Playback | None = None
        self.owner = False
        """This screen started the rig: leaving it makes the boards safe."""
        self.paused_s: float | None = None
        """Since when the screen stands still on purpose."""
        self.field = 0
        """The staged quantity that the keys move: 0 the clock, 1 the core voltage."""
        self.verdict = NO_VERDICT
        self.preset: str | None = None
        """The profile that the staged point is; a profile may be further away than a change by hand."""
        self._staged: dict[str, OperatingPoint] = {}

    # --- the board that is looked at ----------------------------------------------------------------------------------

    @property
    def info(self) -> BoardInfo | None:
        return self.store.boards.get(self.selected)

    @property
    def board(self) -> BoardSnapshot | None:
        return self.store.board(self.selected)

    def choose(self, by: int) -> None:
        """The next board, or the one before."""
        names = list(self.store.boards)
        if not names:
            return
        at = names.index(self.selected) if self.selected in names else 0
        self.look_at(names[(at + by) % len(names)])

    def look_at(self, name: str) -> None:
        """This board, from now on."""
        self.selected = name
        self.preset = None
        self.verdict = NO_VERDICT
        self.store.changes += 1

    def settle(self) -> None:
        """Look at a board that exists."""
        if self.selected not in self.store.boards:
            self.selected = next(iter(self.store.boards), "")

    # --- the staged point ---------------------------------------------------------------------------------------------

    @property
    def base(self) -> OperatingPoint:
        """Where a wish starts from: the point asked for last; on a board that is off, the last that was kept."""
        board, info = self.board, self.info
        if board is not None and board.state in _MOVABLE:
            asked_for = _plain(board.point.requested)
            if asked_for.frequency_mhz is not None:
                return asked_for
        view = self.store.views.get(self.selected)
        kept = None if view is None else next(view.points.kept(), None)
        if kept is not None:
            return kept
        if info is None:
            return OperatingPoint()
        return OperatingPoint(
            frequency_mhz=float(info.envelope.stock_frequency_mhz), core_v=float(info.envelope.stock_core_v)
        )

    @property
    def staged(self) -> OperatingPoint:
        staged = self._staged.get(self.selected)
        return self.base if staged is None else staged

    @property
    def differs(self) -> bool:
        """Something is staged that has not been asked for."""
        return self.staged != self.base

    def stage(self, point: OperatingPoint, *, preset: str | None = None) -> None:
        self.preset = preset
        if point == self.base:
            self._staged.pop(self.selected, None)
        else:
            self._staged[self.selected] = point
        self.verdict = NO_VERDICT
        self.store.changes += 1

    def unstage(self) -> None:
        self.preset = None
        self._staged.pop(self.selected, None)
        self.verdict = NO_VERDICT
        self.store.changes += 1

    def applied(self, board: str, point: OperatingPoint) -> None:
        """The rig has done it: it is no wish any more, unless something else was staged meanwhile."""
        if self._staged.get(board) == point:
            del self._staged[board]
        if self.selected == board:
            self.preset = None
            self.verdict = NO_VERDICT
        self.store.changes += 1

    def step(self, count: int) -> None:
        """Move the quantity under the cursor by so many slew steps, on the grid of the step."""
        info, staged = self.info, self.staged
        if info is None:
            return
        envelope = info.envelope
        if self.field == 0:
            grid = float(envelope.frequency_step_mhz)
            value = round((staged.frequency_mhz or float(envelope.stock_frequency_mhz)) / grid + count) * grid
            self.stage(OperatingPoint(frequency_mhz=max(grid, value), core_v=staged.core_v))
        else:
            grid = float(envelope.core_v_step_v)
            value = round((staged.core_v or float(envelope.stock_core_v)) / grid + count) * grid
            self.stage(OperatingPoint(frequency_mhz=staged.frequency_mhz, core_v=round(max(grid, value), 6)))

    def allowed(self, channel: Channel) -> tuple[float, float, str] | None:
        """Lowest and highest that may be asked for now, and whose the upper limit is; "" where nobody has said."""
        info, limits = self.info, None if self.board is None else self.board.limits
        if info is None:
            return None
        if limits is None:
            span = info.envelope.core_v if channel is Channel.CORE_V else info.envelope.frequency_mhz
            return span.low, span.high, ""
        low, high = (
            (limits.core_v_min, limits.core_v_max)
            if channel is Channel.CORE_V
            else (limits.frequency_mhz_min, limits.frequency_mhz_max)
        )
        return low.value, high.value, high.layer.value

    def prediction(self) -> Prediction | None:
        """What the staged point would settle at; None while too little is known."""
        board, info = self.board, self.info
        if board is None or info is None or board.state is not GuardState.LIVE:
            return None
        view = self.store.views[self.selected]
        slopes = {c: view.trends[c].slope_per_s() for c in (Channel.CHIP_C, Channel.VR_C)}
        rising = {channel: slope for channel, slope in slopes.items() if slope is not None}
        present, caps_mhz = board.point.requested, board.caps_mhz
        return predict(info.envelope, board.channels, present, self.staged, rising, caps_mhz=caps_mhz, chips=info.chips)

    # --- what is possible now -----------------------------------------------------------------------------------------

    @property
    def can_command(self) -> bool:
        return self.playback is None and self.store.line.up and self.board is not None

    def can(self, *states: GuardState) -> bool:
        """Commands reach the rig, and the board is in one of these states."""
        board = self.board
        return self.can_command and board is not None and board.state in states

    @property
    def on_trial(self) -> bool:
        board = self.board
        return self.can_command and board is not None and board.pending is not None

    @property
    def working(self) -> bool:
        board = self.board
        return board is not None and board.work is not None and board.work.running

    def undo_point(self) -> OperatingPoint | None:
        """The kept point before the present one; None when there is none."""
        view = self.store.views.get(self.selected)
        return None if view is None else next(islice(view.points.kept(), 1, None), None)

"""The two lines at the top of every screen: what this is, and the one thing that matters most right now."""

from __future__ import annotations

from controller.model import GuardState, Reach
from controller.text import duration
from controller.tui import words
from controller.tui.desk import Desk
from controller.tui.widgets.facts import LEVEL_LOOKS
from controller.tui.widgets.panel import Line, Panel, Word, crop, fit, right

NAME_COLUMNS = 32
"""A longer name would push the state of the board off the screen."""
_WHOLE_FROM = 60
"""Narrower, name and state come before clock and dilution."""
SILENT_S = 1.0
"""Without a snapshot for so long (five a second are usual), the screen says so."""
_CANNOT_CUT = "nobody can cut the rail: PULL THE SUPPLY"
_SHOW_ALL: tuple[Word, ...] = (("0", "key"), (" shows all", "label"))


class Heading(Panel):
    """Name, board, state, emulation; and an alarm line that never moves anything else on the screen."""

    FRAMED = False
    DEFAULT_CSS = """
    Heading { height: 2; dock: top; }
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="heading")
        self._desk = desk

    def lines(self, width: int, height: int) -> list[Line]:
        return [self._title(width), crop(self._alarm(width), width)]

    def _title(self, width: int) -> Line:
        desk, board, info = self._desk, self._desk.board, self._desk.info
        left: list[Word] = [(" hashbridge ", "title")]
        if info is not None:
            names = list(desk.store.boards)
            which = f" {names.index(info.name) + 1}/{len(names)}" if len(names) > 1 else ""
            left.append((f" {fit(info.name, NAME_COLUMNS)}{which} ", "value"))
        if board is not None:
            text, look = words.STATES[board.state]
            if not desk.store.line.up:
                text, look = f"({text})", "stale"
            left += [(" ", ""), (f" {text} ", look)]
            if board.limits is not None and board.limits.reach is not Reach.STOCK:
                left.append(
                    (" UNLOCKED " if board.limits.reach is Reach.RANGE else " UNLOCKED TO THE HARD LIMITS ", "warn")
                )
        if desk.playback is not None:
            left.append(("  RECORDING ", "mark"))
        if desk.paused_s is not None:
            left.append(("  PAUSED ", "alarm"))
        if board is not None and board.work is not None and board.work.running:
            left.append((f"  {board.work.kind} {duration(board.work.elapsed_s)}", ""))
        end: list[Word] = []
        if board is not None:
            if board.emulated:
                text = f"EMULATED ×{words.dilution(board.dilution)}"
                if width >= 100:
                    text = f"EMULATED  seed {board.seed}  one hash = {words.dilution(board.dilution)}"
                end.append((f" {text} ", "mark"))
            end.append((f" {words.clock(board.at_utc)} UTC ", "label"))
        if width < _WHOLE_FROM:
            end = [(" EMU ", "mark")] if board is not None and board.emulated else []
        return right(left, end, width)

    def _alarm(self, width: int) -> Line:
        desk, store, board = self._desk, self._desk.store, self._desk.board
        now_s = store.now()
        if board is None:
            if store.line.up:
                return [(" waiting for the first readings", "label")]
            return [(f" {store.line.why or 'connecting'} … {duration(now_s - store.line.since_s)}", "warn")]
        quiet, why_quiet = self._quiet(now_s)
        if board.state is GuardState.UNPROTECTED:  # over a rig that is silent or lost: the board hashes on all the same
            why = board.latched.detail if board.latched is not None else ""
            return [(" UNPROTECTED ", "alarm"), (f" {_CANNOT_CUT}. ", "bad"), *quiet, (f" {why}", "bad")]
        if unguarded := self._others(GuardState.UNPROTECTED):
            names = f" UNPROTECTED: {', '.join(unguarded)} "
            return [(names, "alarm"), (f" {_CANNOT_CUT}  ", "bad"), *quiet, *_SHOW_ALL]
        if quiet:
            return [*quiet, (f" {why_quiet}", "bad")]
        if board.latched is not None:
            fault = board.latched
            sensor = f" ({fault.sensor})" if fault.sensor else ""
            line: list[Word] = [(f" {fault.cause.value.upper()}{sensor} ", "alarm")]
            if board.retry is not None and board.retry.due_s is not None:
                left = duration(max(0.0, board.retry.due_s - board.at_s))
                line.append((f" RETRY {board.retry.number} of {board.retry.of} in {left} ", "warn"))
            return [*line, (f" {fault.detail}", "bad")]
        if board.pending is not None:
            return self._trial(width)
        if board.limited is not None:
            limited = board.limited
            return [
                (" GIVES WAY ", "alarm"),
                (f" {words.point(limited.point)}", "value"),
                (f" of {words.point(board.point.requested)}: {limited.sensor} {limited.detail}", "warn"),
            ]
        if board.retry is not None and board.point.requested == board.retry.point:
            retry = board.retry
            return [
                (f" RETRY {retry.number} of {retry.of} ", "alarm"),
                (f" {words.point(retry.point)}", "value"),
                (f" of {words.point(retry.wanted)}, after {retry.cause.value}", "warn"),
            ]
        if desk.paused_s is not None:
            since = duration(now_s - desk.paused_s)
            return [(f" what is below stands still for {since}; ", "label"), ("p", "key"), (" goes on", "label")]
        if desk.playback is not None:
            return self._position(width)
        if latched := self._others(GuardState.LATCHED):
            return [(f" LATCHED: {', '.join(latched)} ", "alarm"), ("  ", ""), *_SHOW_ALL]
        newest = next((row.event for row in reversed(store.log) if words.level(row.event) != "detail"), None)
        if newest is not None:
            look = LEVEL_LOOKS[words.level(newest)] or "label"
            return [(f" {words.clock(newest.at_utc)} {words.kind(newest)}: {words.summary(newest)}", look)]
        return []

    def _quiet(self, now_s: float) -> tuple[list[Word], str]:
        """Since when nothing has been heard of the rig, and what that means; no word while it speaks."""
        desk, store = self._desk, self._desk.store
        if not store.line.up:
            since = duration(now_s - store.line.since_s)
            return [(f" LOST {since} ", "alarm")], f"{store.line.why}. What is shown is the last that was known."
        silence_s = store.silence_s() or 0.0
        if desk.playback is None and silence_s > SILENT_S:
            silent = f" SILENT {duration(silence_s)} "
            return [(silent, "alarm")], "the rig says nothing; its sentinel watches it"
        return [], ""

    def _others(self, state: GuardState) -> list[str]:
        """The boards in this state that are not looked at."""
        boards = () if self._desk.store.snapshot is None else self._desk.store.snapshot.boards
        return [board.board for board in boards if board.state is state and board.board != self._desk.selected]

    def _trial(self, width: int) -> Line:
        board = self._desk.board
        assert board is not None
        assert board.pending is not None
        left_s = self._desk.store.trial_left_s(board) or 0.0
        if board.pending.refused is not None:
            return [(" WAY BACK REFUSED ", "alarm"), (f" {board.pending.refused}", "bad")]
        otherwise = "else back to" if width >= 100 else "else"
        keys: list[Word] = [("k", "key"), (" keep  ", ""), ("u", "key"), (" back ", "")]
        return right(
            [
                (f" ON TRIAL {left_s:3.0f} s ", "alarm"),
                (f" {words.point(board.point.requested)}", "value"),
                (f"  {otherwise} {words.point(board.pending.revert_to)}", "label"),
            ],
            keys if self._desk.on_trial else [],
            width,
        )

    def _position(self, width: int) -> Line:
        playback = self._desk.playback
        assert playback is not None
        room = max(4, width - 60)
        share = playback.position_s / playback.duration_s if playback.duration_s > 0 else 1.0
        at = min(room - 1, int(share * room))
        sign = "▶" if playback.playing else "‖"
        return [
            (
                f" {sign} {duration(playback.position_s)} of {duration(playback.duration_s)}  ×{playback.speed:g}  ",
                "value",
            ),
            ("━" * at, "trace"),
            ("●", "mark"),
            ("─" * (room - 1 - at), "label"),
            ("  space", "key"),
            (" play  ", "label"),
            (", .", "key"),
            (" seek", "label"),
        ]

"""The chips of a chain: all of them as a map of one character each, and a list of them with the worst first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual.binding import Binding, BindingType

from controller.model import BoardSnapshot, ChainSnapshot, ChipSnapshot, WorkSnapshot
from controller.text import UNKNOWN, chip_clock, duration
from controller.tui.desk import Desk
from controller.tui.widgets.listing import Listing
from controller.tui.widgets.panel import Line, Panel, Word, fit, no_more_than, wrap
from controller.work.verdicts import ChipState, Share, Verdict, shares, verdicts

SIGNS: Final = {
    ChipState.SILENT: ("X", "bad"),
    ChipState.DEAD_DOMAIN: ("d", "bad"),
    ChipState.WEAK: ("w", "warn"),
    ChipState.SLOW: ("s", "warn"),
    ChipState.UNCLEAR: ("·", "label"),
    ChipState.OK: ("o", "good"),
}
"""The letter of a chip on the map, and the look of its state."""
NO_WORK: Final = ("-", "label")
"""No work yet, or a recording from before chips were counted."""
_RANK: Final = {state: rank for rank, state in enumerate(ChipState)}
_TEN: Final = 10
_LABEL: Final = 5
_ROWS_BELOW: Final = 5
"""Where the map would leave less than this for the list, there is no map."""
_DOMAINS: Final = "domains in it (core mod 4, assumed)"


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one chip. Nothing of a work that there is not."""

    chip: ChipSnapshot
    cap_mhz: float | None = None
    """The most that it may be clocked; None: as fast as the board."""
    verdict: Verdict | None = None
    share: Share | None = None

    @property
    def sign(self) -> tuple[str, str]:
        return NO_WORK if self.verdict is None else SIGNS[self.verdict.state]

    @property
    def state(self) -> str:
        return "not counted" if self.verdict is None else self.verdict.state.value


class Chips(Listing[int]):
    """Position, address, state, finds, share of what was expected, wrong nonces."""

    HELP = (
        "One letter a chip, in the order of the line from the host: X silent, d a dead domain, w weak, s slow, o ok, · "
        "too few counts to tell even silence from chance, - not counted. The list has the worst first; o turns it to "
        "the order of the line, ← and → go to the neighbour on the line. The share is of the known answers that were "
        "due, or the finds over what the others have on average, each with its 95 % interval; where something is said "
        "of some chips, the others are the measure. Wrong are nonces that do not hash, and their part of all that "
        "came. Counts are of the work that runs, or of the last. Where a chip runs slower than its board, the clock of "
        "each stands in the place of its address. c caps the marked chip. y copies the list."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "neighbour(1)", "next on the line", show=False),
        Binding("left", "neighbour(-1)", "before on the line", show=False),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="chips")
        self._desk = desk
        self.worst_first = True
        self._rows: dict[int, Row] = {}
        self._made_of: BoardSnapshot | None = None
        self._marks: dict[str, int] = {}
        self._apart = False
        """Not all chips have the clock of the board."""

    def turn(self) -> None:
        """The other order."""
        self.worst_first = not self.worst_first
        self.freshen()

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def chain(self) -> ChainSnapshot | None:
        board = self._desk.board
        return board.chains[0] if board is not None and board.chains else None

    @property
    def work(self) -> WorkSnapshot | None:
        board = self._desk.board
        return None if board is None else board.work

    def rows(self) -> dict[int, Row]:
        """By position. Judged once for each snapshot."""
        chain, work, board = self.chain, self.work, self._desk.board
        if self._made_of is not board:
            self._made_of = board
            judged = () if work is None else verdicts(work.chips)
            of = {verdict.chip.index: (verdict, share) for verdict, share in zip(judged, shares(judged), strict=True)}
            chips = () if chain is None else chain.chips
            caps = {} if board is None else board.caps_mhz
            self._rows = {
                chip.index: Row(chip, caps.get(chip.index), *of.get(chip.index, (None, None))) for chip in chips
            }
            self._apart = bool(caps) or len({chip.frequency_mhz for chip in chips}) > 1
        return self._rows

    def keys(self) -> Sequence[int]:
        rows = self.rows()
        if not self.worst_first:
            return list(rows)

        def rank(index: int) -> int:
            verdict = rows[index].verdict
            return len(_RANK) if verdict is None else _RANK[verdict.state]

        return sorted(rows, key=rank)

    def marked(self) -> int | None:
        rows, mark = self.rows(), self._marks.get(self._desk.selected)
        return mark if mark in rows else next(iter(self.keys()), None)

    def mark(self, key: int) -> None:
        self._marks[self._desk.selected] = key

    def action_neighbour(self, by: int) -> None:
        line = list(self.rows())
        self._go(line, self._place(line) + by)

    def table(self) -> str:
        """All rows in the order of the line, for other programs: columns with tabs between them."""
        head = ("chip", "address", "state", "counted", "share", "low", "high", "wrong", "mhz", "cap_mhz", "read_mhz")
        lines = ["\t".join(head)]
        for index, row in self.rows().items():
            share = ("", "", "") if row.share is None else (row.share.ratio, row.share.low, row.share.high)
            wrong = "" if row.verdict is None else row.verdict.chip.hw_errors
            clocks = (row.chip.frequency_mhz, row.cap_mhz, row.chip.read_mhz)
            told = ("" if mhz is None else f"{mhz:.2f}" for mhz in clocks)
            cells = (index, f"{row.chip.address:#04x}", row.state, _counted(row), *share, wrong, *told)
            lines.append("\t".join(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells))
        return "\n".join(lines)

    # --- drawing ------------------------------------------------------------------------------------------------------

    def lines(self, width: int, height: int) -> list[Line]:
        info, chain, rows = self._desk.info, self.chain, self.rows()
        if info is not None and info.chips < 2:
            return [[("a single chip: screen 1 has all there is of it", "label")]]
        if chain is None or not rows:
            return self._none_yet(0 if info is None else info.chips, width)
        above = [*self._map(rows, width), self._legend(rows)]
        if len(above) + _ROWS_BELOW > height:
            above = []
        return [*above, *self.listed(width, height - len(above))]

    def _none_yet(self, expected: int, width: int) -> list[Line]:
        """Not known one by one before a power-up has found all of them; a fault tells which was missing."""
        board = self._desk.board
        lines: list[Line] = [[(f"{expected} chips are expected; a power-up has to find all of them first", "label")]]
        if board is not None and board.latched is not None:
            lines += wrap(f"{board.latched.cause.value}: {board.latched.detail}", width, "bad")
        return lines

    def titled(self) -> str:
        chain, work = self.chain, self.work
        title = ["Chips"]
        if chain is not None:
            title.append(f"{len(chain.chips)} of {chain.expected_chips} {chain.chip}")
        if work is not None:
            title.append(f"{work.kind} {duration(work.elapsed_s)}{'' if work.running else ', ended'}")
        if not self.worst_first:
            title.append("in the order of the line")
        return "  ".join(title)

    def _map(self, rows: dict[int, Row], width: int) -> list[Line]:
        """Tens with a gap between them, and the position of the first of each line before it."""
        tens = max(1, (width - _LABEL) // (_TEN + 1))
        marked, order = self.marked(), list(rows)
        lines: list[Line] = []
        for start in range(0, len(order), tens * _TEN):
            line: list[Word] = [(f"{order[start]:>{_LABEL - 1}} ", "label")]
            for at, index in enumerate(order[start : start + tens * _TEN]):
                if at and at % _TEN == 0:
                    line.append((" ", ""))
                sign, look = rows[index].sign
                look = "title" if index == marked else look if self._desk.store.line.up else "stale"
                if line[-1][1] == look:
                    line[-1] = (line[-1][0] + sign, look)
                else:
                    line.append((sign, look))
            lines.append(line)
        return lines

    @staticmethod
    def _legend(rows: dict[int, Row]) -> Line:
        counts = Counter(row.verdict.state for row in rows.values() if row.verdict is not None)
        line: list[Word] = [(" " * _LABEL, "")]
        for state in ChipState:
            if counts[state]:
                sign, look = SIGNS[state]
                line += [(f"{sign} ", look), (f"{counts[state]} {state.value}   ", "label")]
        if not counts:
            line += [(f"{NO_WORK[0]} ", NO_WORK[1]), ("not counted: no work yet", "label")]
        return line

    def head(self, width: int) -> Line:
        known = any(row.verdict is not None and row.verdict.chip.due_by_domain for row in self.rows().values())
        what = "answers" if known else "finds"
        share = "of due" if known else "of others"
        where = "addr" if not self._apart else " MHz"
        return [(f"chip  {where}  {'state':<11}{what:>12}{share:>10}{'95 %':>15} {'wrong':>13}", "label")]

    def row(self, key: int, width: int) -> Line:
        row = self.rows()[key]
        look = row.sign[1] if self._desk.store.line.up else "stale"
        plain = "" if self._desk.store.line.up else "stale"
        share, interval = UNKNOWN, UNKNOWN
        if row.share is not None:
            share, interval = f"{100.0 * row.share.ratio:.1f} %", _interval(row.share)
        clock = UNKNOWN if row.chip.frequency_mhz is None else f"{row.chip.frequency_mhz:.0f}"
        slow = plain or ("title" if row.cap_mhz is not None else "")
        where = (f"{clock:>4}", slow) if self._apart else (f"{row.chip.address:#04x}", plain)
        return [
            (f"{key:>4}  ", plain),
            where,
            ("  ", plain),
            (f"{row.state:<11}", look),
            (f"{_counted(row):>12}{share:>10}{interval:>15} {fit(_wrong(row), 13):>13}", plain),
        ]


def _counted(row: Row) -> str:
    if row.verdict is None:
        return UNKNOWN
    chip = row.verdict.chip
    if chip.due_by_domain:
        return f"{sum(chip.found_by_domain)} of {sum(chip.due_by_domain)}"
    return str(chip.verified)


def _interval(share: Share) -> str:
    high = f"{100.0 * share.high:.1f}" if math.isfinite(share.high) else "∞"
    return f"{100.0 * share.low:.1f} to {high}"


def _wrong(row: Row) -> str:
    if row.verdict is None:
        return UNKNOWN
    chip = row.verdict.chip
    returned = chip.verified + chip.hw_errors
    return f"{chip.hw_errors} ({100.0 * chip.hw_errors / returned:.1f} %)" if chip.hw_errors else "0"


class ChipDetail(Panel):
    """What is said of the marked chip, whole."""

    HELP = (
        "The marked chip: what is wrong with it, and its known answers by domain. Which core sits in which domain of a "
        "chip is not public; that it is the core number modulo four is assumed."
    )

    def __init__(self, desk: Desk, chips: Chips) -> None:
        super().__init__(id="chip")
        self._desk, self._chips = desk, chips

    def lines(self, width: int, height: int) -> list[Line]:
        marked = self._chips.marked()
        self.entitle("Chip" if marked is None else f"Chip {marked}, counted from 0 at the host")
        if marked is None:
            return []
        row = self._chips.rows()[marked]
        said = () if row.verdict is None else row.verdict.said
        lines: list[Line] = [line for text in said for line in wrap(text, width, row.sign[1])]
        if row.verdict is None:
            lines.append([("not counted: known-answer work tells most (w, then pattern)", "label")])
        elif row.verdict.state is ChipState.UNCLEAR:
            lines.append([("so little was counted that even silence could be chance", "label")])
        elif not said:
            lines.append([("nothing that chance does not explain", "label")])
        if row.verdict is not None and row.verdict.chip.due_by_domain:
            lines.append(_by_domain(row.verdict))
        if row.cap_mhz is not None:
            chip = row.chip
            clock = chip_clock(chip.index, row.cap_mhz, chip.frequency_mhz, chip.read_mhz)
            lines += wrap(f"{clock}; address {chip.address:#04x}", width)
        opened = f"since the board was opened: {row.chip.finds} finds, {row.chip.hw_errors} wrong"
        return no_more_than([*lines, [(opened, "label")]], height)


def _by_domain(verdict: Verdict) -> Line:
    line: list[Word] = [(f"{_DOMAINS}  ", "label")]
    for due, found in zip(verdict.chip.due_by_domain, verdict.chip.found_by_domain, strict=True):
        line.append((f"{found}/{due}  ", "" if found or not due else "bad"))
    return line

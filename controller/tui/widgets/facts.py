"""The smaller panels of the board screen: work, point, counters, protections, the latest events."""

from __future__ import annotations

from itertools import islice
from typing import Final

from controller.model import BoardSnapshot, Channel, Event, Protection, WorkSnapshot
from controller.text import UNKNOWN, duration, hashrate, number
from controller.tui import words
from controller.tui.desk import Desk
from controller.tui.widgets.panel import Line, Panel, Word, fit, no_more_than, pad, width_of, wrap


class _Facts(Panel):
    """A panel that looks at the desk."""

    def __init__(self, desk: Desk, id: str, title: str) -> None:
        super().__init__(id=id)
        self._desk = desk
        self.entitle(title)


class Work(_Facts):
    """How the work goes: hash rate or yield, each with its 95 % interval."""

    HELP = (
        "Random work has a hash rate: verified nonces times the ticket difficulty times 2^32, over the time since the "
        "work began, with its 95 % Poisson interval. Known-answer work has a yield: the answers that came of those "
        "that were due. The efficiency divides the power that the board reports by the rate."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, "work", "Work")

    def lines(self, width: int, height: int) -> list[Line]:
        board = self._desk.board
        work = board.work if board is not None else None
        if board is None or work is None:
            return [[("no work yet", "label")]]
        running = f"running {duration(work.elapsed_s)}" if work.running else f"ended after {duration(work.elapsed_s)}"
        if work.running and not self._desk.store.line.up:
            running = f"ran for {duration(work.elapsed_s)}, then unknown"
        first: Line = [(f"{work.kind} ", "value"), (running, "label" if work.running else "warn")]
        return [first, *(self._rate(work) if work.answers_due is None else self._yield(work))][:height]

    def _rate(self, work: WorkSnapshot) -> list[Line]:
        view = self._desk.store.views.get(self._desk.selected)
        interval = work.hashrate_ci95_hs
        between = UNKNOWN if interval is None else f"{hashrate(interval[0])} to {hashrate(interval[1])}"
        lines: list[Line] = [
            [(f"{hashrate(work.hashrate_hs)} ", "value"), (self._share(work), "label")],
            [("95 % ", "label"), (between, "")],
        ]
        if work.running:  # of work that has ended there is no rate now, and the power of now is not its power
            recent = hashrate(view.recent_hs if view is not None else None)
            lines.append([("60 s ", "label"), (f"{recent}   {number(self._efficiency(work), 1, 'J/TH')}", "")])
        return lines

    @staticmethod
    def _share(work: WorkSnapshot) -> str:
        if work.hashrate_hs is None or not work.expected_hs > 0.0:
            return ""
        return f"{number(100 * work.hashrate_hs / work.expected_hs, 1, '%')} of {hashrate(work.expected_hs)}"

    def _efficiency(self, work: WorkSnapshot) -> float | None:
        """Joules for a tera of hashes."""
        board = self._desk.board
        power = None if board is None else board.channels.get(Channel.POWER_W)
        if power is None or power.value is None or work.hashrate_hs is None:
            return None
        rate_ths = work.hashrate_hs / 1e12
        return power.value / rate_ths if rate_ths > 0.0 else None

    def _yield(self, work: WorkSnapshot) -> list[Line]:
        interval = work.yield_ci95
        between = UNKNOWN if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
        return [
            [("yield ", "label"), (number(work.yield_ratio, 4), "value")],
            [("95 % ", "label"), (between, "")],
            [(f"{work.answers_found} of {work.answers_due} answers, {work.extra} more finds", "label")],
        ]


class Point(_Facts):
    """Requested, granted, achieved: three rows, because they are three things."""

    HELP = (
        "Requested is what was asked for last, granted what the guard allowed and the clock can give, achieved what is "
        "read back. A core rail that reads 24 to 31 mV below what was granted is normal for this kind of board."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, "point", "Operating point")

    def lines(self, width: int, height: int) -> list[Line]:
        board = self._desk.board
        if board is None:
            return []
        lines: list[Line] = []
        for name, part in (
            ("requested", board.point.requested),
            ("granted", board.point.granted),
            ("achieved", board.point.achieved),
        ):
            look = "value" if name == "achieved" else ""
            if not self._desk.store.line.up:
                look = "stale"
            mhz, volts = number(part.frequency_mhz, 2, "MHz"), number(part.core_v, 3, "V")
            lines.append([(f"{name:<10}", "label"), (f"{mhz:>11}", look), (f"{volts:>10}", look)])
        for chain in board.chains:
            complete = len(chain.chips) == chain.expected_chips
            lines.append(
                [
                    (f"{chain.chip:<10}", "label"),
                    (f"{len(chain.chips)} of {chain.expected_chips} chips", "" if complete else "bad"),
                    (f"  ticket {chain.ticket_difficulty}", "label"),
                ]
            )
        return lines[:height]


class Counters(_Facts):
    """Where each nonce went. Every one is in exactly one counter."""

    HELP = (
        "Counts of the work that runs, or of the last. Verified: hash below the ticket target, by double SHA-256 here. "
        "Wrong: they do not hash; the chip miscalculated. Duplicate: had come before. Stale: for a job that is gone. "
        "Link errors: frames with a wrong CRC, and noise."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, "counters", "Counters")

    def lines(self, width: int, height: int) -> list[Line]:
        board = self._desk.board
        if board is None or board.work is None:
            return [[("nothing counted yet", "label")]]
        work = board.work
        if work.remarks and height > 1:  # what is wrong with which chip says more than any count
            said: Line = [(work.remarks[0], "bad")]
            return [said, *self._counts(board, work, width, height - 1)]
        return self._counts(board, work, width, height)

    @staticmethod
    def _counts(board: BoardSnapshot, work: WorkSnapshot, width: int, height: int) -> list[Line]:
        if height < 3:
            wrong = "bad" if work.hw_errors else ""
            short: list[Line] = [
                [
                    ("verified ", "label"),
                    (f"{work.verified}", "value"),
                    ("  wrong ", "label"),
                    (f"{work.hw_errors}", wrong),
                ],
                [
                    ("dup ", "label"),
                    (f"{work.duplicates}", ""),
                    ("  stale ", "label"),
                    (f"{work.stale}", ""),
                    ("  link ", "label"),
                    (f"{work.link_errors}", "warn" if work.link_errors else ""),
                ],
            ]
            return short[:height]
        chip = next((chain.chip_hash_count for chain in board.chains), None)
        items = [
            ("verified", work.verified, "value"),
            ("wrong", work.hw_errors, "bad" if work.hw_errors else ""),
            ("duplicate", work.duplicates, "warn" if work.duplicates else ""),
            ("stale", work.stale, "warn" if work.stale else ""),
            ("link errors", work.link_errors, "warn" if work.link_errors else ""),
            ("jobs", work.jobs, ""),
        ]
        cells: list[Line] = [[(f"{name:<12}", "label"), (f"{count:>9}", look)] for name, count, look in items]
        cells.append([(f"{'chip counts':<12}", "label"), (f"{UNKNOWN if chip is None else chip:>9}", "")])
        columns = max(1, min(2 if len(cells) > height else 1, width // 22))
        if columns == 1:
            return cells[:height]
        rows = (len(cells) + 1) // 2
        beside = [[*pad(cells[at], 24), *(cells[at + rows] if at + rows < len(cells) else ())] for at in range(rows)]
        return [*beside[:height]]


class Protections(_Facts):
    """What guards this board right now, and what does not."""

    HELP = (
        "What guards the board at this moment, and what still acts when this program is dead. A cross means that the "
        "protection is not there. No public USB bridge firmware has a lease of its own. docs/safety.md says what "
        "remains unprotected."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, "protections", "Protected by")

    def lines(self, width: int, height: int) -> list[Line]:
        board, info = self._desk.board, self._desk.info
        if board is None or info is None:
            return []
        badges: list[list[Word]] = []
        for protection in Protection:
            there = protection in board.protections
            sign: Word = ("✓ ", "good") if there else ("✗ ", "bad")
            look = "" if there else "label"
            if not self._desk.store.line.up:  # who is not heard of may guard nothing any more
                sign, look = ("? ", "stale"), "stale"
            badges.append([sign, (words.PROTECTIONS[protection], look)])
        lines: list[Line] = [*badges] if height >= len(badges) else _flow(badges, width)
        if height <= len(lines):
            return no_more_than(lines, height)
        never = [line for missing in info.unswitchable for line in wrap(f"✗ {missing}", width, "label")]
        return [*lines, *no_more_than(never, height - len(lines))]


def _flow(badges: list[list[Word]], width: int) -> list[Line]:
    """Beside each other, as many as a line holds."""
    lines: list[list[Word]] = []
    for badge in badges:
        if lines and width_of(lines[-1]) + 2 + width_of(badge) <= width:
            lines[-1] += [("  ", ""), *badge]
        else:
            lines.append(list(badge))
    return [*lines]


class Latest(_Facts):
    """The newest events, newest last."""

    HELP = "The newest events of this rig. The log (3) has all of them."

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, "latest", "Events")

    def lines(self, width: int, height: int) -> list[Line]:
        newest = (row.event for row in reversed(self._desk.store.log) if words.level(row.event) != "detail")
        several = len(self._desk.store.boards) > 1
        return [event_line(event, width, several=several) for event in reversed(list(islice(newest, height)))]


LEVEL_LOOKS: Final = {"detail": "label", "info": "", "warn": "warn", "error": "bad"}
LEVEL_SIGNS: Final = {"detail": "·", "info": " ", "warn": "▲", "error": "‼"}


def event_line(event: Event, width: int, *, several: bool = False) -> Line:
    """Time, sign, kind, what happened; with `several` boards, to which."""
    level = words.level(event)
    look = LEVEL_LOOKS[level]
    head = f"{words.clock(event.at_utc)} "
    kind = f"{words.kind(event):<17}"
    return [
        (head, "label"),
        (f"{LEVEL_SIGNS[level]} ", look),
        (kind, look or "label"),
        (
            fit(
                f" {f'{event.board}: ' if several else ''}{words.summary(event)}",
                max(0, width - len(head) - 2 - len(kind)),
            ),
            look,
        ),
    ]

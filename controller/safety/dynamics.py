"""Faults that no single reading shows: a die that runs away, a chip that computes wrong at an easy point, a chip that
says itself that it is too hot. Pure.

Runaway: the die rises by more than 3 C/s for 2 s while the current rises by more than 5 %, with nothing changed that
would explain it. Leakage feeds heat and heat feeds leakage; a regulator that looks cool says nothing of it.

Errors: more than a tenth of the nonces of 30 s do not hash, at a point that is no harder than stock. At a harder point
that is what tuning looks for, and no danger; a change on trial goes back for it (controller/keeper.py).

Chips that return nothing: controller/safety/silence.py.

A chip's own thermometer (BM1368) is measured every 15 s and nobody has published how true it is: it is no sensor that
a board needs, but twice in a row above the emergency level is believed.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from controller.model import BoardSnapshot, Channel, Envelope, Quality, WorkSnapshot
from controller.safety.commanded import Commanded
from controller.safety.levels import Held

RUNAWAY_C_PER_S: Final = 3.0
RUNAWAY_S: Final = 2.0
RUNAWAY_CURRENT_RATIO: Final = 1.05
UNSETTLED_S: Final = 3.0
"""After a change of the point, of the rail or of the work the die moves by itself, within about a second."""
ERROR_SHARE: Final = 0.10
ERROR_WINDOW_S: Final = 30.0
ERROR_AT_LEAST: Final = 200
"""Nonces in the window, below which a share says little."""
OWN_HEAT_SAMPLES: Final = 2
_JITTER_S: Final = 0.01


class Runaway:
    """Fed with every sweep of a powered board."""

    def __init__(self, envelope: Envelope) -> None:
        measured = envelope.means.sees(Channel.CORE_A)
        # At a voltage that nobody changes, power tells the same as current.
        self._channel, self._told, self._unit = (
            (Channel.CORE_A, "current", "A") if measured else (Channel.INPUT_W, "input power", "W")
        )
        self._samples: deque[tuple[float, float, float]] = deque()
        self._working: bool | None = None
        self._changed_s = float("-inf")

    def look(self, now: BoardSnapshot, commanded: Commanded) -> str | None:
        """What is seen, in numbers; None when nothing is."""
        working = now.work is not None and now.work.running
        if working is not self._working or commanded.moving:
            self._working, self._changed_s = working, now.at_s
        c = commanded
        changed_s = max(self._changed_s, c.core_v_changed_s, c.frequency_changed_s, c.rail_changed_s, c.reset_changed_s)
        die, current = now.channels.get(Channel.CHIP_C), now.channels.get(self._channel)
        if die is None or current is None or die.value is None or current.value is None:
            return None
        if die.quality is not Quality.GOOD or current.quality is not Quality.GOOD or current.value <= 0.0:
            return None
        samples = self._samples
        if samples and die.at_s <= samples[-1][0]:
            return None
        samples.append((die.at_s, die.value, current.value))
        while samples[0][0] < max(changed_s + UNSETTLED_S, die.at_s - 2 * RUNAWAY_S):
            samples.popleft()
            if not samples:
                return None
        return self._judge()

    def forget(self) -> None:
        self._samples.clear()
        self._working = None

    def _judge(self) -> str | None:
        """Over the shortest stretch that ends now and is long enough."""
        end_s, end_c, end_a = self._samples[-1]
        for start_s, start_c, start_a in reversed(self._samples):
            taken_s = end_s - start_s
            if taken_s < RUNAWAY_S - _JITTER_S:
                continue
            rise = (end_c - start_c) / taken_s
            if rise > RUNAWAY_C_PER_S and end_a > RUNAWAY_CURRENT_RATIO * start_a:
                return (
                    f"die {start_c:.1f} to {end_c:.1f} C in {taken_s:.1f} s ({rise:.1f} C/s), "
                    f"{self._told} {start_a:.2f} to {end_a:.2f} {self._unit}, nothing was changed"
                )
            return None
        return None


class ErrorRate:
    """Fed with every sweep of a board that works."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._wrong = WrongShare()

    def look(self, now: BoardSnapshot, commanded: Commanded) -> str | None:
        """What is seen, in numbers; None when nothing is."""
        e, c = self._envelope, commanded
        easy = (
            c.frequency_mhz is not None
            and c.core_v is not None
            and c.frequency_mhz <= e.stock_frequency_mhz + 1.0
            and c.core_v >= e.stock_core_v - 1e-6
        )
        return self._wrong.look(now.at_s, now.work if easy and not c.moving else None)

    def forget(self) -> None:
        self._wrong.forget()


class WrongShare:
    """How much of what the chips return does not hash, whatever the point. Fed with every look at the work."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int, int]] = deque()

    def look(self, at_s: float, work: WorkSnapshot | None) -> str | None:
        """What is seen, in numbers; None when nothing is. Without `work` what was counted is forgotten."""
        if work is None or not work.running:
            self._counts.clear()
            return None
        counts = self._counts
        if counts and (work.verified < counts[-1][1] or work.hw_errors < counts[-1][2]):
            counts.clear()
        counts.append((at_s, work.verified, work.hw_errors))
        while len(counts) > 1 and at_s - counts[1][0] >= ERROR_WINDOW_S - _JITTER_S:
            counts.popleft()
        started_s, verified, wrong = counts[0]
        if at_s - started_s < ERROR_WINDOW_S - _JITTER_S:
            return None
        bad, good = work.hw_errors - wrong, work.verified - verified
        if bad + good < ERROR_AT_LEAST or bad <= ERROR_SHARE * (bad + good):
            return None
        share = bad / (bad + good)
        return f"{bad} of {bad + good} nonces in {at_s - started_s:.0f} s do not hash ({100 * share:.1f} %)"

    def forget(self) -> None:
        self._counts.clear()


class OwnHeat:
    """Fed with every sweep of a powered board."""

    def __init__(self, envelope: Envelope) -> None:
        self._limit_c = float(envelope.chip_c_emergency)
        self._held: dict[int, Held] = {}

    def look(self, now: BoardSnapshot) -> str | None:
        """Which chips are too hot by their own word, in numbers; None while none is."""
        told = []
        for chain in now.chains:
            for chip in chain.chips:
                if chip.die_c is None or chip.die_at_s is None:
                    continue
                held = self._held.setdefault(chip.index, Held())
                bad = held.feed(chip.die_at_s, chip.die_c > self._limit_c) >= 0.0
                if bad and held.count >= OWN_HEAT_SAMPLES:
                    told.append(f"chip {chip.index} reads {chip.die_c:.1f} C itself, {held.count} times in a row")
        return f"{'; '.join(told)}: above {self._limit_c:g} C" if told else None

    def forget(self) -> None:
        self._held.clear()

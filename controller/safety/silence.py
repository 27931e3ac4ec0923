"""Chips that return nothing while they work: who warns, who is initialised again, and when that was enough. Pure.

Silent is a chain without a nonce for ten seconds and 60 expected gaps; one chip of several for 25 gaps of its own,
which chance explains once in 7e10. A warning comes after two seconds and 15 gaps (once in 3e6). A chip that returns
nothing may draw full power all the same, so its silence is no safe state: the chips are taken through reset and
initialised again, once. Silent again within the hour is a trip, and so is an initialisation that does not begin or does
not end. Levels: docs/safety.md, "Chips that fall silent".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from controller.model import BoardSnapshot, WorkSnapshot
from controller.safety.commanded import Commanded

WARN_AT_LEAST_S: Final = 2.0
WARN_GAPS: Final = 15.0
WARN_AGAIN_S: Final = 60.0
AT_LEAST_S: Final = 10.0
GAPS: Final = 60.0
CHIP_GAPS: Final = 25.0
AGAIN_WITHIN_S: Final = 3600.0
BEGINS_WITHIN_S: Final = 5.0
"""A command that is under way may have to end first; one that moves the point is cut short."""
ENDS_WITHIN_S: Final = 60.0
"""A ramp to 1000 MHz takes 15 s, the bring-up of a long chain some more."""
_HASHES_PER_DIFFICULTY: Final = 2.0**32
_JITTER_S: Final = 0.01


class CountedChip(Protocol):
    """A chip of a chain and its counts, as a rig tells of it or as the driver keeps it."""

    @property
    def index(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def finds(self) -> int: ...
    @property
    def hw_errors(self) -> int: ...
    @property
    def frequency_mhz(self) -> float | None: ...


class Silence:
    """One per board. Fed with every sweep while its rail is on."""

    def __init__(self) -> None:
        self._last: dict[int | None, tuple[int, float]] = {}
        """By chip, None for the whole chain: how many nonces there were, and when the last of them was seen."""
        self._begun_s = -math.inf
        """When the chips were last initialised again."""
        self._asked_s: float | None = None
        self._ask: str | None = None
        self._warned_s = -math.inf
        self._warning: str | None = None

    def look(self, now: BoardSnapshot, commanded: Commanded) -> str | None:
        """Why the board has to stop, in numbers; None while it has not."""
        work = now.work
        if work is None or not work.running:
            self._rest()
            return None
        since_s = now.at_s - self._begun_s
        if not commanded.window_mhz:  # in reset, or on the way up: nothing is asked of the chips
            self._rest()
            if since_s < ENDS_WITHIN_S or since_s > AGAIN_WITHIN_S:
                return None
            return f"not initialised again after {since_s:.0f} s (limit {ENDS_WITHIN_S:g} s)"
        if work.expected_hs <= 0.0:
            self._rest()
            return None
        silent = self._who(now.at_s, work, now.chains[0].chips if now.chains else ())
        if silent is None:
            self._asked_s = self._ask = None
            return None
        if since_s <= AGAIN_WITHIN_S:
            return f"{silent}; initialised again {since_s:.0f} s before"
        if self._asked_s is None:
            self._asked_s, self._ask = now.at_s, silent
        if now.at_s - self._asked_s >= BEGINS_WITHIN_S:
            return f"{silent}; not initialised again within {BEGINS_WITHIN_S:g} s"
        return None

    def listen(self, at_s: float, work: WorkSnapshot | None, chips: Sequence[CountedChip]) -> str | None:
        """Who is silent, in numbers, for who has no board and initialises nothing again; None while nobody is."""
        if work is None or not work.running or work.expected_hs <= 0.0:
            self._rest()
            return None
        return self._who(at_s, work, chips)

    def ask(self) -> str | None:
        """Why the chips should be initialised again, once for each time."""
        ask, self._ask = self._ask, None
        return ask

    def news(self) -> str | None:
        """A silence that is not long enough yet, once."""
        warning, self._warning = self._warning, None
        return warning

    def begun(self, at_s: float) -> None:
        """The chips are being initialised again."""
        self._begun_s = at_s
        self._rest()

    def forget(self) -> None:
        """A new start."""
        self._begun_s = self._warned_s = -math.inf
        self._rest()

    def _rest(self) -> None:
        self._last.clear()
        self._asked_s = self._ask = self._warning = None

    def _who(self, at_s: float, work: WorkSnapshot, chips: Sequence[CountedChip]) -> str | None:
        """The whole chain first; else each chip that is silent, by name."""
        gap_s = _HASHES_PER_DIFFICULTY * work.ticket_difficulty / work.expected_hs
        whole = self._held(None, "", work.nonces, at_s, gap_s, GAPS)
        clocks_mhz = [chip.frequency_mhz for chip in chips if chip.frequency_mhz]
        known_mhz = sum(clocks_mhz) if len(clocks_mhz) == len(chips) else None
        parts = []
        for chip in chips if len(chips) > 1 else ():
            name = f"chip {chip.index} of 0 to {len(chips) - 1}, address {chip.address:#04x}: "
            # Its gaps are longer than those of all together by its share of all clocks, where they are known.
            own_clock_mhz = chip.frequency_mhz
            slower = known_mhz / own_clock_mhz if known_mhz and own_clock_mhz else len(chips)
            nonces, own_gap_s = chip.finds + chip.hw_errors, gap_s * slower
            if (held := self._held(chip.index, name, nonces, at_s, own_gap_s, CHIP_GAPS)) is not None:
                parts.append(held)
        return whole or "; ".join(parts) or None

    def _held(self, of: int | None, name: str, count: int, at_s: float, gap_s: float, gaps: float) -> str | None:
        seen, since_s = self._last.get(of, (-1, at_s))
        if seen != count:
            self._last[of] = (count, at_s)
            return None
        silent_s, limit_s = at_s - since_s, max(AT_LEAST_S, gaps * gap_s)
        warn_s = max(WARN_AT_LEAST_S, WARN_GAPS * gap_s)
        text = (
            f"{name}no nonce for {silent_s:.1f} s while work runs (expected every {gap_s:.3f} s, limit {limit_s:.1f} s)"
        )
        if silent_s >= limit_s - _JITTER_S:
            return text
        if silent_s >= warn_s - _JITTER_S and since_s > self._warned_s and at_s - self._warned_s >= WARN_AGAIN_S:
            self._warned_s, self._warning = at_s, text
        return None


__all__ = ["Silence"]

"""The table of protections in docs/safety.md, from the rows of the boards: `make protections`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from controller.model import Channel, Envelope
from controller.safety import derate, throttle, trips
from controller.safety.levels import INPUT_HOLD_S
from controller.safety.trips import Level, Trips
from drivers.boards import BOARDS
from drivers.boards.board import BoardKind
from tests.made_part import MadePart


def table(kind: BoardKind) -> Iterator[str]:
    """One board. Volts, amperes, watts, degrees Celsius, seconds."""
    e = kind.envelope
    levels = Trips(e).levels
    yield f"### `{kind.name}`"
    yield ""
    yield "| | may be asked for | gives way | trips, latched | with nobody there |"
    yield "|---|---|---|---|---|"
    rows: tuple[tuple[str, Channel, str, str, str], ...] = (
        (
            "core voltage",
            Channel.CORE_V,
            f"stock {e.stock_core_v:.3f} V, range {e.core_v.low:.3f} to {e.core_v.high:.3f} V, "
            f"hard {e.core_v_hard:.3f} V",
            "after the clock",
            f"{100 * (trips.CORE_HIGH_RATIO - 1):+.0f} % for {trips.CORE_HIGH_S:g} s; "
            f"{100 * (trips.CORE_LOW_RATIO - 1):+.0f} % for {trips.CORE_LOW_S:g} s",
        ),
        (
            "clock",
            Channel.FREQUENCY_MHZ,
            f"stock {e.stock_frequency_mhz:g} MHz, range {e.frequency_mhz.low:g} to {e.frequency_mhz.high:g} MHz, "
            f"hard {e.frequency_hard_mhz:g} MHz; from {e.floor_frequency_mhz:g} while ramping",
            f"to {throttle.FLOOR_OF_STOCK:g} of stock",
            "not what was written, twice",
        ),
        ("power", Channel.POWER_W, "", "", ""),
        ("core current", Channel.CORE_A, "", "", "" if e.means.sees(Channel.CORE_A) else "not measured"),
        (
            "input voltage",
            Channel.INPUT_V,
            f"{e.input_v_enable.low:g} to {e.input_v_enable.high:g} V to start",
            f"below {e.input_v_low_warn:.2f} V for {INPUT_HOLD_S:g} s",
            "three dips within 60 s",
        ),
        (
            "die",
            Channel.CHIP_C,
            f"below {e.cold_start_max_c:g} C to start, {e.warm_start_max_c:g} C warm",
            f"above {e.chip_c_throttle:g} C for {throttle.HOLD_S:g} s",
            f"+3 C/s for 2 s while the {'current' if e.means.sees(Channel.CORE_A) else 'input power'} rises",
        ),
        (
            "regulator",
            Channel.VR_C,
            "",
            f"above {e.vr_c_throttle:g} C for {throttle.HOLD_S:g} s" if e.means.sees(Channel.VR_C) else "",
            "" if e.means.sees(Channel.VR_C) else "not measured",
        ),
        (
            "fan",
            Channel.FAN_RPM,
            "above half speed to start",
            "",
            f"below {trips.FAN_STOPPED_RPM:g} rpm or {100 * trips.FAN_STALLED_RATIO:g} % of expected for "
            f"{trips.FAN_HELD_S:g} s, above {trips.FAN_NEEDED_ABOVE_W:g} W",
        ),
    )
    for name, channel, asked, gives, more in rows:
        tripped = "; ".join(filter(None, (*_levels(levels, channel), more)))
        own = kind.own_limits.get(channel, "it is full already" if channel is Channel.FAN_RPM else "**nothing**")
        yield f"| {name} | {asked} | {gives} | {tripped} | {own} |"
    yield ""
    sensors = f"A sensor trips when it is INVALID, or without a good value for {_stale(e)}{_derated(kind)}."
    yield f"{sensors} {_missing(kind)}"


def _levels(levels: tuple[Level, ...], channel: Channel) -> Iterator[str]:
    for level in levels:
        if level.channel is channel:
            when = f"for {level.hold_s:g} s" if level.hold_s else "at once"
            yield f"{'above' if level.above else 'below'} {_number(level)} {level.unit} {when}"


def _number(level: Level) -> str:
    return f"{level.limit:.3f}" if level.channel is Channel.CORE_V else f"{level.limit:g}"


def _stale(e: Envelope) -> str:
    return f"{e.stale_bad_s:g} s (fan {e.fan_stale_bad_s:g} s)"


def _derated(kind: BoardKind) -> str:
    if not kind.plausibility.regulator_bounded:
        return ""
    share = 100 * derate.SHARE_OF_STOCK
    return (
        f"; the regulator's temperature after {derate.AT_MOST_S:g} s with full fan and {share:g} % of the stock clock"
    )


def _missing(kind: BoardKind) -> str:
    return f"Out of reach of any program: {'; '.join(kind.unswitchable)}." if kind.unswitchable else ""


def block() -> str:
    """All boards."""
    tables = ["\n".join(table(kind)).rstrip() for _, kind in sorted(BOARDS.items())]
    return "\n\n".join(tables)


PART: Final = MadePart("protections", __doc__, block)


if __name__ == "__main__":
    sys.exit(PART.main())

"""What the board reads: value, unit, limits as a bar, age and quality. Unknown is a dash, old is grey with its age."""

from __future__ import annotations

from typing import Final

from controller.model import BoardInfo, BoardSnapshot, Channel, Envelope, FanMode, FanStatus, Quality
from controller.prediction import limits
from controller.tui import words
from controller.tui.desk import Desk
from controller.tui.widgets.gauge import bar, look_of, sign_of
from controller.tui.widgets.panel import Line, Panel, Word, fit

_FIRST: Final = (
    Channel.CHIP_C,
    Channel.VR_C,
    Channel.INPUT_V,
    Channel.CORE_V,
    Channel.CORE_A,
    Channel.CORE_W,
    Channel.POWER_W,
    Channel.INPUT_W,
    Channel.FAN_RPM,
    Channel.FREQUENCY_MHZ,
    Channel.FAN_RATIO,
    Channel.RESET_RELEASED,
    Channel.STATUS_WORD,
)
_TEMPERATURES: Final = frozenset({Channel.CHIP_C, Channel.VR_C})
_BAR_FROM: Final = 50
"""Panels narrower than this have no room for bars."""
_DOWNWARD: Final = frozenset({Channel.INPUT_V})
"""Channels that are dangerous when they fall."""


def axis(channel: Channel, e: Envelope) -> tuple[float, float, float] | None:
    """Lowest, soft and hard value of the channels that have a limit above."""
    if channel is Channel.CORE_V:
        return float(e.core_v.low) * 0.9, float(e.core_v.high), float(e.core_v_hard)
    if channel is Channel.FREQUENCY_MHZ:
        return 0.0, float(e.frequency_mhz.high), float(e.frequency_hard_mhz)
    limited = Channel.POWER_W if channel is Channel.INPUT_W else channel
    for known, soft, hard in limits(e):
        if known is limited:
            return 20.0 if channel in _TEMPERATURES else 0.0, float(soft), float(hard)
    return None


class Readings(Panel):
    """All channels of the board, as many as there is room for."""

    HELP = (
        "Each line is one channel as it was last read. The bar ends at the limit that trips (┃); ┊ is where a warning "
        "begins. ? in front means one doubtful sample, ! a channel that is not to be trusted; what is wrong stands "
        "beside it. A value that is older than it should be is grey and says its age. A dash is unknown; zero is a "
        "measurement."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="readings")
        self._desk = desk
        self.entitle("Readings")

    def lines(self, width: int, height: int) -> list[Line]:
        board, info = self._desk.board, self._desk.info
        if board is None or info is None:
            return [[("nothing read yet", "label")]]
        known = [channel for channel in _FIRST if channel in board.channels]
        known = [channel for channel in known if not _never(channel, board, info)]
        return [self._row(channel, board, info, width) for channel in known[:height]]

    def _row(self, channel: Channel, board: BoardSnapshot, info: BoardInfo, width: int) -> Line:
        store, reading = self._desk.store, board.channels[channel]
        degraded = board.fan.degraded if channel is Channel.FAN_RPM and board.fan is not None else None
        marks = axis(channel, info.envelope)
        stale = store.is_stale(info, channel, reading) or not store.line.up
        text = words.reading(channel, reading.value)
        look, sign = "value", " "
        if marks is not None:
            look, sign = look_of(reading.value, *marks[1:]), sign_of(reading.value, *marks[1:])
        elif channel is Channel.INPUT_V and reading.value is not None:
            look, sign = _input(reading.value, info.envelope)
        elif degraded is not None:
            look, sign = "warn", "▼"
        if reading.quality is not Quality.GOOD:
            sign = "?" if reading.quality is Quality.SUSPECT else "!"
            look = "warn" if reading.quality is Quality.SUSPECT else "bad"
        if stale or reading.value is None:
            look = "stale"
        shown = words.CHANNELS[channel]
        line: list[Word] = [
            (f"{sign} ", look if sign != " " else ""),
            (f"{shown.label:<10}", "label"),
            (f"{text:>12}", look),
        ]
        room = width - 24
        if stale:
            age = f" {store.age_s(reading):.1f} s old"
            line.append((fit(age, room), "stale"))
            room -= len(age)
        if reading.quality is not Quality.GOOD and reading.evidence:
            line.append((fit(f" {reading.evidence}", room), look if look != "stale" else "warn"))
        elif not stale and degraded is not None:
            line.append((fit(f" degraded: {degraded}", room), "warn"))
        elif not stale and width >= _BAR_FROM and marks is not None:
            line += [(" ", ""), *bar(room - 2, *marks, reading.value)]
        elif not stale and width >= _BAR_FROM:
            line.append((fit(f" {_remark(channel, board, info)}", room), "label"))
        return line


_COMES_WITH: Final = {Channel.FAN_RATIO: Channel.FAN_RPM, Channel.STATUS_WORD: Channel.CORE_A}
"""What a part tells along with what it measures."""


def _never(channel: Channel, board: BoardSnapshot, info: BoardInfo) -> bool:
    """A channel that this board has no sensor for. What it cannot measure stands among its protections."""
    measured = _COMES_WITH.get(channel, channel)
    optional = measured in (Channel.INPUT_W, Channel.VR_C, Channel.CORE_A, Channel.FAN_RPM)
    return optional and board.channels[channel].value is None and not info.envelope.means.sees(measured)


def _input(value: float, e: Envelope) -> tuple[str, str]:
    if value <= e.input_v_low_trip or value >= e.input_v_high_trip:
        return "bad", "‼"
    return ("warn", "▼") if value <= e.input_v_low_warn else ("value", " ")


def _remark(channel: Channel, board: BoardSnapshot, info: BoardInfo) -> str:
    e = info.envelope
    if channel is Channel.INPUT_V:
        low = f"trips below {e.input_v_low_trip:g}, warns below {e.input_v_low_warn:g}"
        return f"{low}, trips above {e.input_v_high_trip:g}"
    if channel is Channel.FAN_RPM and board.fan is not None and board.fan.mode is FanMode.AUTO:
        return _follows(board.fan)
    return ""


def _follows(fan: FanStatus) -> str:
    if fan.why_full is not None:
        return f"follows; full now: {fan.why_full}"
    return f"follows, die to {fan.target_chip_c:g} °C, at least {100 * fan.floor_ratio:.0f} %"

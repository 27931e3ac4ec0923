"""Faults of single measurements: one channel lies while the others live on.

They act where the part shows its value. The part's own limits and fan table go on with what is true; what fools those
too is a diode that is open or shorted, or a tachometer wire that is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, Final, NamedTuple

from emulator.faults.actions import action
from emulator.faults.arguments import BadArgument, Choice, Count, Number, Off, Share
from emulator.faults.topic import FaultyBench, Topic


class Shows(NamedTuple):
    """What the part can show of a channel."""

    unit: str
    low: float
    high: float


CHANNELS: Final[Mapping[str, Shows]] = {
    "chip_c": Shows("C", -128.0, 255.875),
    "vr_c": Shows("C", -1000.0, 10_000.0),
    "input_v": Shows("V", -1000.0, 10_000.0),
    "core_v": Shows("V", 0.0, 127.0),
    "core_a": Shows("A", -1000.0, 10_000.0),
    "input_w": Shows("W", 0.0, 655.35),
    "fan_rpm": Shows("rpm", 0.0, 100_000.0),
}


class Seen(NamedTuple):
    """A reading that boards in the field have shown."""

    channel: str
    value: float
    text: str
    source: str


SEEN: Final = (
    Seen("chip_c", -1.0, "what AxeOS shows when the bus fails; in eighths of a degree FF 00", "ESP-Miner #78, #680"),
    Seen("chip_c", 255.0, "FF 00 again, taken for unsigned: the same bytes as -1", "docs/safety.md 3"),
    Seen("chip_c", 127.0, "diode open", "EMC2101 datasheet"),
    Seen("chip_c", 127.875, "diode shorted", "EMC2101 datasheet"),
    Seen("chip_c", 0.0, "exactly 0 C on a powered board", "docs/safety.md 3"),
    Seen("vr_c", 127.88, "once, at enable", "ESP-Miner-NerdQAxePlus #707"),
    Seen("input_v", 1600.0, "with the supply away", "ESP-Miner-NerdQAxePlus #271"),
    Seen("input_v", -183.0, "with the supply away", "ESP-Miner-NerdQAxePlus #646"),
    Seen("input_v", 80.88, "once", "ESP-Miner-NerdQAxePlus #683"),
)

Channel = Annotated[str, Choice(tuple(CHANNELS), chooses=True)]
Value = Annotated[float, Number(-1000.0, 100_000.0, "in the channel's unit")]


@dataclass(slots=True)
class ChannelTrouble:
    """What is wrong with the channels: a `Tap`. Which comes first: a reading that is to be wrong once, then a fixed
    value, then the frozen one; offset and jumps add to what is left."""

    chance: Random
    once: dict[str, tuple[float, int]] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)
    frozen: dict[str, float | None] = field(default_factory=dict)
    offset: dict[str, float] = field(default_factory=dict)
    jumps: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __call__(self, channel: str, value: float) -> float:
        if channel in self.once:
            wrong, left = self.once.pop(channel)
            if left > 1:
                self.once[channel] = (wrong, left - 1)
            return wrong
        if channel in self.fixed:
            return self.fixed[channel]
        if channel in self.frozen:
            kept = self.frozen[channel]
            if kept is None:
                kept = self.frozen[channel] = value
            return kept
        value += self.offset.get(channel, 0.0)
        if channel in self.jumps:
            by, p = self.jumps[channel]
            if self.chance.random() < p:
                value += by if self.chance.random() < 0.5 else -by
        return value

    def any(self) -> bool:
        return bool(self.once or self.fixed or self.frozen or self.offset or self.jumps)

    def clear(self) -> None:
        for trouble in (self.once, self.fixed, self.frozen, self.offset, self.jumps):
            trouble.clear()


def _fits(given: Mapping[str, Any]) -> None:
    """The value is one that the part can show of this channel."""
    shows = CHANNELS[given["channel"]]
    if not shows.low <= given["value"] <= shows.high:
        allowed = f"{shows.low:g} to {shows.high:g} {shows.unit} for {given['channel']}"
        raise BadArgument("value", given["value"], allowed)


class SensorFaults(Topic):
    """Measurements

    Channels: chip_c, vr_c, input_v, core_v, core_a, fan_rpm. The part's own limits and fan table go on with what is
    true, except where the diode or the tachometer wire itself is at fault.
    """

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        super().__init__(bench, parts, seed)
        self.channels = ChannelTrouble(self._chance("channels"))

    def _end_all(self) -> None:
        self.channels.clear()
        self._tap()
        self._bench.set_diode("ok")
        self._bench.set_tach_lost(False)
        self._bench.set_first_temperature(None)
        super()._end_all()

    def _tap(self) -> None:
        self._bench.set_tap(self.channels if self.channels.any() else None)

    @action("AxeOS shows the last value after a failed read: ESP-Miner main/power")
    def freeze_channel(self, channel: Channel, *, off: Off = False) -> None:
        """The channel keeps showing what it shows at its next reading."""
        self.channels.frozen.pop(channel, None)
        if not off:
            self.channels.frozen[channel] = None
        self._tap()

    @action("the readings below", also=_fits)
    def garbage_once(self, channel: Channel, value: Value = 0.0, count: Count = 1, *, off: Off = False) -> None:
        """The next `count` readings of the channel are this value."""
        self.channels.once.pop(channel, None)
        if not off:
            self.channels.once[channel] = (value, count)
        self._tap()

    @action("the readings below", also=_fits)
    def misread(self, channel: Channel, value: Value = 0.0, *, off: Off = False) -> None:
        """The channel shows this value, whatever is true."""
        self.channels.fixed.pop(channel, None)
        if not off:
            self.channels.fixed[channel] = value
        self._tap()

    @action("READ_IOUT -0.5 A at no load: ESP-Miner-NerdQAxePlus #676; die off by 10 C and more: bitaxeGamma #12, #15")
    def offset(
        self,
        channel: Channel,
        by: Annotated[float, Number(-1000.0, 1000.0, "in the channel's unit")] = 0.5,
        over_s: Annotated[float, Number(0.0, 86_400.0, "s")] = 0.0,
        *,
        off: Off = False,
    ) -> None:
        """The channel reads too much by this (too little, when negative), at once or creeping up to it."""

        def put(value: float) -> None:
            self.channels.offset[channel] = value
            self._tap()

        self._bench.now_s()
        if off:
            self._ramp(f"offset {channel}", 0.0, 0.0, 0.0, put)
            del self.channels.offset[channel]
            self._tap()
        else:
            self._ramp(f"offset {channel}", self.channels.offset.get(channel, 0.0), by, over_s, put)

    @action("20 C jumps: bitaxeGamma #16")
    def jumps(
        self,
        channel: Channel = "chip_c",
        by: Annotated[float, Number(0.0, 1000.0, "in the channel's unit")] = 20.0,
        p: Share = 0.1,
        *,
        off: Off = False,
    ) -> None:
        """This share of the readings is off by this much, up or down."""
        self.channels.jumps.pop(channel, None)
        if not off:
            self.channels.jumps[channel] = (by, p)
        self._tap()

    @action("ESP-Miner-NerdQAxePlus #707")
    def first_temperature(self, *, off: Off = False) -> None:
        """The regulator's first temperature after it was switched on is 127.88 C. On from the start in most benches;
        `off` takes it away."""
        self._bench.set_first_temperature(not off)

    @action("127.0 C: EMC2101 datasheet")
    def open_diode(self, *, off: Off = False) -> None:
        """The diode in the chip is not connected; the fan controller believes 127 C too."""
        self._bench.set_diode("ok" if off else "open")

    @action("127.875 C: EMC2101 datasheet")
    def short_diode(self, *, off: Off = False) -> None:
        """The diode in the chip is shorted; the fan controller believes 127.875 C too."""
        self._bench.set_diode("ok" if off else "short")

    @action("the way back from the two before")
    def restore_diode(self) -> None:
        """The diode is as it should be."""
        self._bench.set_diode("ok")

    @action("fans with two wires have none")
    def lose_tach(self, *, off: Off = False) -> None:
        """The tachometer wire is off: no pulses, and the fan turns."""
        self._bench.set_tach_lost(not off)

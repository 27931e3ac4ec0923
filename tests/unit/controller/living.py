"""A board that lives: it warms up and cools down, its sensors are noisy, and a watchkeeper sees it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

from controller.model import Quality, Reading
from controller.safety.commanded import Commanded
from controller.safety.plausibility import Watchkeeper
from drivers.boards import BOARDS
from drivers.boards.board import BoardReading, Channel, PlausibilityLimits
from tests.unit.controller.guarding import ENVELOPE

LIMITS = BOARDS["bitaxe-gamma"].plausibility
PERIOD_S = 0.2
K = 0.0175
Spoil = Callable[[float, dict[Channel, float | None]], None]


class World:
    """A board that warms up and cools down, its noisy sensors, and a watchkeeper that sees it five times a second.

    Every node takes the shortest way to where it belongs: it is no model of a board, only of one that lives.
    """

    def __init__(self, limits: PlausibilityLimits = LIMITS, seed: int = 1, ambient_c: float = 25.0) -> None:
        self.keeper = Watchkeeper(ENVELOPE, limits)
        self.rng = random.Random(seed)
        self.at_s = 1000.0
        self.commanded = Commanded()
        self.told: Commanded | None = None
        """What the watchkeeper is told, when it is not what was done."""
        self.working = True
        self.ambient_c = ambient_c
        self.sink_c = self.vr_c = ambient_c + 8.0
        self.core_w = self.die_w = 0.0
        self.k = K
        self.excess_w = 0.0
        self.spoil: Spoil = lambda at_s, values: None
        self.readings: Mapping[Channel, Reading] = {}
        self.bad: list[tuple[float, Channel, Quality, str]] = []

    @property
    def die_c(self) -> float:
        return self.sink_c + 0.5 * self.die_w

    def point(self, frequency_mhz: float, core_v: float = 1.150) -> World:
        c, at_s = self.commanded, self.at_s
        if not c.rail_on:
            c.rail_on, c.rail_changed_s, c.reset_released, c.reset_changed_s = True, at_s, True, at_s
        c.core_v, c.core_v_changed_s = core_v, at_s
        c.frequency_mhz, c.window_mhz, c.frequency_changed_s = frequency_mhz, frequency_mhz, at_s
        return self

    def off(self) -> World:
        self.commanded = Commanded(rail_changed_s=self.at_s, reset_changed_s=self.at_s)
        return self

    def run(self, seconds: float) -> World:
        for _ in range(round(seconds / PERIOD_S)):
            self.at_s = round(self.at_s + PERIOD_S, 3)
            self._sweep()
        return self

    def until(self, quality: Quality, channel: Channel, within_s: float) -> float:
        """Seconds until this channel has this quality."""
        began_s = self.at_s
        while self.at_s - began_s < within_s:
            self.run(PERIOD_S)
            if self.readings[channel].quality is quality:
                return round(self.at_s - began_s, 1)
        raise AssertionError(f"{channel.value} is not {quality.value} within {within_s} s: {self.readings[channel]}")

    def _sweep(self) -> None:
        c, gauss = self.commanded, self.rng.gauss
        core_v = c.core_v - 0.025 if c.rail_on and c.core_v is not None else 0.0
        law_w = self.k * core_v**2 * (c.frequency_mhz or 0.0) * math.exp(0.010 * (self.die_c - 60.0))
        self.core_w = max(0.0, law_w + self.excess_w) if core_v else 0.0
        self.die_w += (self.core_w - self.die_w) * PERIOD_S
        core_a = self.core_w / core_v if core_v else 0.0
        loss_w = 0.5 + 0.006 * core_a**2 if c.rail_on else 0.0
        sink_c = self.ambient_c + 8.0 + 1.52 * self.core_w
        self.sink_c += (sink_c - self.sink_c) * PERIOD_S / 91.0
        self.vr_c += ((self.sink_c + self.ambient_c) / 2 + 11.4 * loss_w - self.vr_c) * PERIOD_S / 100.0
        volts = round((core_v + gauss(0.0, 0.001)) * 512) / 512 if core_v else 0.0
        amps = round((core_a + gauss(0.0, 0.06)) * 32) / 32
        values: dict[Channel, float | None] = {
            Channel.CHIP_C: round((self.die_c + gauss(0.0, 0.15)) * 8) / 8,
            Channel.VR_C: float(round(self.vr_c + gauss(0.0, 0.3))),
            Channel.INPUT_V: round((5.1 + gauss(0.0, 0.004)) * 128) / 128,
            Channel.CORE_V: volts,
            Channel.CORE_A: amps,
            Channel.FAN_RPM: 5200.0,
        }
        self.spoil(self.at_s, values)
        v, a = values[Channel.CORE_V], values[Channel.CORE_A]
        values[Channel.CORE_W] = None if v is None or a is None else v * a
        self.readings = self.keeper.take(BoardReading(self.at_s, values), self.told or c, working=self.working)
        self.bad += [
            (self.at_s, channel, reading.quality, reading.evidence or "")
            for channel, reading in self.readings.items()
            if reading.quality is not Quality.GOOD
        ]

    def channels(self) -> set[Channel]:
        return {channel for _, channel, _, _ in self.bad}

    def evidence(self, channel: Channel) -> str:
        return self.readings[channel].evidence or ""


def holds(**fixed: float) -> Spoil:
    """Channels that read one value, whatever is true."""

    def spoil(at_s: float, values: dict[Channel, float | None]) -> None:
        values.update({Channel(name): value for name, value in fixed.items()})

    return spoil


def frozen(world: World, *channels: Channel) -> Spoil:
    """Channels that repeat what they read last."""
    return holds(**{channel.value: world.readings[channel].value or 0.0 for channel in channels})

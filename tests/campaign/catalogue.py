"""What may go wrong in a scenario: each fault with its arguments, the causes that name it rightly, and what it excuses.

`excuses` is the short list of what no program can prevent. Each entry has its reason, and what it excuses is counted
apart, never left out.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from controller.model import Cause
from emulator.faults import ACTIONS


class Excuse(StrEnum):
    """Why a board may be outside what is promised."""

    RAIL_IS_ITS_OWN = (
        "the regulator gives another voltage than it was told, until that is read: its own limit bounds it"
    )
    RAIL_STAYS = "the regulator does not obey, or cannot be reached: reset is asserted, the rail stays on"
    NOBODY_REACHES_IT = "no byte reaches the control port: hashing is stopped through the data port, or not at all"
    BLIND = "the only thermometer of the die lies within its limits"
    NO_COOLING = "the die is not cooled as it was"
    SUDDEN_HEAT = "the heatsink is off: the die is hotter by the time that the emergency level has acted"
    ACTS_BY_ITSELF = "the bench moves actuators itself: supply gone and back, bridge or regulator started anew"


S: Final = frozenset({Cause.SENSOR_INVALID, Cause.SENSOR_STALE})
BUS: Final = S | {Cause.SENSOR_BUS, Cause.ACTUATION}
HOT: Final = frozenset({Cause.CHIP_TEMPERATURE, Cause.VR_TEMPERATURE})
GONE: Final = BUS | {Cause.CONTROL_PORT_LOST, Cause.DATA_PORT_LOST, Cause.CHIP_SILENT}
_LEVEL: Final[Mapping[str, frozenset[Cause]]] = {
    "chip_c": frozenset({Cause.CHIP_TEMPERATURE, Cause.RUNAWAY, Cause.POWER}),
    "vr_c": frozenset({Cause.VR_TEMPERATURE}),
    "input_v": frozenset({Cause.INPUT_LOW, Cause.INPUT_HIGH}),
    "core_v": frozenset({Cause.CORE_VOLTAGE, Cause.ACTUATION, Cause.POWER}),
    "core_a": frozenset({Cause.CURRENT, Cause.POWER, Cause.RUNAWAY}),
    "fan_rpm": frozenset({Cause.FAN}),
}
"""A false reading within its range says what it says: the level that it passes is the right name for it."""
_FALSE: Final[Mapping[str, tuple[float, ...]]] = {
    "chip_c": (-1.0, 0.0, 20.0, 40.0, 60.0, 74.0, 90.0, 127.0, 127.875, 255.0),
    "vr_c": (0.0, 25.0, 60.0, 110.0, 127.88, 150.0),
    "input_v": (0.0, 4.5, 4.7, 5.0, 5.6, 80.88, 1600.0),
    "core_v": (0.0, 0.9, 1.05, 1.15, 1.3, 1.45, 2.0),
    "core_a": (-0.5, 0.0, 5.0, 15.0, 29.0, 60.0, 200.0),
    "fan_rpm": (0.0, 300.0, 2500.0, 5200.0, 12000.0, 60000.0),
}
CHANNELS: Final = tuple(_LEVEL)
PARTS: Final = ("emc2101", "tps546")


FOR_GOOD: Final = frozenset({"unplug_usb"})
"""The cable is back, the bridge's control port is not, before somebody resets it: docs/wire/bitaxe-raw.md."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. `for_s` None: it stays."""

    at_s: float
    action: str
    arguments: Mapping[str, Any]
    for_s: float | None
    causes: frozenset[Cause]
    excuses: frozenset[Excuse] = frozenset()

    def acts(self, at_s: float, for_s: float = 0.0) -> bool:
        """Whether it was on at this time, or within so many seconds before. One that happens once lasts a moment."""
        if self.action in FOR_GOOD or (ACTIONS[self.action].lasting and self.for_s is None):
            ended_s = math.inf
        elif self.for_s is not None:
            ended_s = self.at_s + self.for_s
        else:
            ended_s = self.at_s + max(self.arguments.get("for_s", 0.0), self.arguments.get("back_s", 0.0))
        return self.at_s <= at_s <= ended_s + for_s


Draw = tuple[Mapping[str, Any], frozenset[Cause], frozenset[Excuse]]
_NONE: Final[frozenset[Excuse]] = frozenset()
_RAIL: Final = frozenset({Excuse.RAIL_STAYS})
_OWN: Final = frozenset({Excuse.RAIL_IS_ITS_OWN})
_UNREACHED: Final = frozenset({Excuse.NOBODY_REACHES_IT, Excuse.RAIL_STAYS})
_HOT: Final = frozenset({Excuse.NO_COOLING})


def _of(causes: frozenset[Cause] | set[Cause], excuses: frozenset[Excuse] = _NONE, /, **fixed: Any) -> Any:
    def draw(rng: random.Random) -> Draw:
        return (
            {key: value(rng) if callable(value) else value for key, value in fixed.items()},
            frozenset(causes),
            excuses,
        )

    return draw


def _reading(kind: str) -> Callable[[random.Random], Draw]:
    def draw(rng: random.Random) -> Draw:
        channel = rng.choice(CHANNELS)
        said: dict[str, Any] = {"channel": channel}
        if kind in ("misread", "garbage_once"):
            said["value"] = rng.choice(_FALSE[channel])
        if kind == "garbage_once":
            said["count"] = rng.choice([1, 1, 2, 3, 5])
        if kind == "offset":
            scale = {"chip_c": 20.0, "vr_c": 20.0, "input_v": 0.6, "core_v": 0.15, "core_a": 8.0, "fan_rpm": 1000.0}
            said["by"] = rng.uniform(-1.0, 1.0) * scale[channel]
            said["over_s"] = rng.choice([0.0, 0.0, 30.0, 300.0])
        if kind == "jumps":
            said |= {"by": rng.uniform(1.0, 40.0), "p": rng.uniform(0.02, 0.5)}
        blind = frozenset({Excuse.BLIND}) if channel in ("chip_c", "vr_c", "core_a") else _NONE
        return said, S | _LEVEL[channel], blind

    return draw


def _part(causes_of: Mapping[str, frozenset[Cause]], **more: Any) -> Callable[[random.Random], Draw]:
    def draw(rng: random.Random) -> Draw:
        part = rng.choice(PARTS)
        said = {"part": part, **{key: value(rng) for key, value in more.items()}}
        # The fan controller has the die's thermometer, the regulator has the rail.
        return said, causes_of[part], _RAIL if part == "tps546" else frozenset({Excuse.BLIND})

    return draw


def _stuck_register(rng: random.Random) -> Draw:
    part, register, data = rng.choice(
        (
            ("tps546", "VOUT_COMMAND", None),
            ("tps546", "VOUT_MAX", None),
            ("tps546", "STATUS_WORD", None),
            ("tps546", "OPERATION", "00"),
            ("emc2101", "FAN_SETTING", "00"),
        )
    )
    said = {"part": part, "register": register} | ({} if data is None else {"data": data})
    return said, S | {Cause.ACTUATION, Cause.REGULATOR_FAULT, Cause.REGULATOR_OFF}, _NONE


def _flipped_bits(rng: random.Random) -> Draw:
    """The bridge's packets have no checksum: on the control port one bit makes another status word of a good one, and a
    fault bit of the regulator trips at once, as it has to."""
    said = {"p": rng.choice([0.0001, 0.001, 0.01]), "port": rng.choice(["data", "data", "control"])}
    causes = GONE | {Cause.ERROR_RATE}
    if said["port"] == "control":
        causes |= {Cause.REGULATOR_FAULT, Cause.REGULATOR_OFF, Cause.VR_TEMPERATURE, *_INPUT}
    return said, causes, _RAIL


_INPUT: Final = frozenset({Cause.INPUT_LOW, Cause.INPUT_HIGH})
# A status word that froze while the rail was off still says so when it is on.
_FROZEN: Final = S | {Cause.ACTUATION, Cause.CORE_VOLTAGE, Cause.CHIP_SILENT, Cause.REGULATOR_OFF}

CATALOGUE: Final[Mapping[str, Callable[[random.Random], Draw]]] = {
    "nak": _part(dict.fromkeys(PARTS, BUS), p=lambda rng: rng.choice([1.0, 0.5, 0.1])),
    "stuck_bus": _of(BUS, _RAIL | {Excuse.BLIND}),
    "garbage": _part({part: S | {Cause.ACTUATION} for part in PARTS}),
    "stick": _stuck_register,
    "first_temperature": _of(frozenset()),
    "freeze": _part({"emc2101": S | {Cause.ACTUATION, Cause.FAN}, "tps546": _FROZEN}),
    "deafen": _part({part: frozenset({Cause.ACTUATION, Cause.CORE_VOLTAGE}) for part in PARTS}),
    "ignore_writes": _of(
        {Cause.ACTUATION, Cause.CORE_VOLTAGE},
        _RAIL,
        command=lambda rng: rng.choice(["VOUT_COMMAND", "OPERATION"]),
        count=lambda rng: rng.choice([1, 3, 99]),
    ),
    "double_writes": _of(
        {Cause.ACTUATION, Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT}, _OWN, count=lambda rng: rng.choice([1, 99])
    ),
    "answer_old": _of({Cause.ACTUATION}, _RAIL, command="VOUT_COMMAND"),
    "freeze_channel": _reading("freeze_channel"),
    "garbage_once": _reading("garbage_once"),
    "misread": _reading("misread"),
    "offset": _reading("offset"),
    "jumps": _reading("jumps"),
    "open_diode": _of(S, frozenset({Excuse.BLIND})),
    "short_diode": _of(S, frozenset({Excuse.BLIND})),
    "lose_tach": _of(S | {Cause.FAN}),
    "stall_fan": _of(HOT | {Cause.FAN}, _HOT),
    "degrade_fan": _of(HOT | {Cause.FAN}, _HOT, ratio=lambda rng: rng.uniform(0.0, 0.9)),
    "loosen_heatsink": _of(
        HOT | S | {Cause.RUNAWAY, Cause.POWER},
        _HOT,
        factor=lambda rng: rng.choice([2.0, 5.0, 20.0, 1000.0]),
        over_s=lambda rng: rng.choice([0.0, 0.0, 60.0]),
    ),
    "ambient_c": _of(HOT, _HOT, celsius=lambda rng: rng.uniform(35.0, 60.0)),
    # Where it gives way at once, the output is off before a sweep has seen the input low: as with a short dip, below.
    "source_ohm": _of(
        _INPUT | {Cause.REGULATOR_OFF},
        ohm=lambda rng: rng.uniform(0.15, 0.6),
        over_s=lambda rng: rng.choice([0.0, 5.0, 120.0]),
    ),
    "source_v": _of(
        _INPUT,
        volts=lambda rng: rng.choice([0.0, 4.4, 4.7, 4.9, 5.6, 6.0, 7.0]),
        over_s=lambda rng: rng.choice([0.0, 5.0]),
    ),
    # A dip shorter than a sweep leaves an output that is off, and nothing that says why.
    "dip": _of(
        _INPUT | {Cause.REGULATOR_OFF},
        by_v=lambda rng: rng.uniform(0.2, 3.0),
        for_s=lambda rng: rng.choice([0.001, 0.02, 0.3, 3.0]),
    ),
    "regulation_error": _of({Cause.CORE_VOLTAGE, Cause.ACTUATION}, _OWN, volts=lambda rng: rng.uniform(-0.3, 0.3)),
    "run_away": _of(
        {Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT, Cause.ACTUATION},
        _OWN,
        v_per_s=lambda rng: rng.choice([0.01, 0.1, 1.0, 100.0]),
    ),
    "trip_rail": _of({Cause.REGULATOR_OFF, Cause.ACTUATION}, frozenset({Excuse.ACTS_BY_ITSELF})),
    "silence_chip": _of({Cause.CHIP_SILENT, Cause.ACTUATION}, replies=lambda rng: rng.choice(["nonces", "all"])),
    "kill_domain": _of({Cause.CHIP_SILENT}, domain=lambda rng: rng.randrange(4)),
    "duplicate_storm": _of({Cause.CHIP_SILENT}),
    "corrupt_nonces": _of({Cause.ERROR_RATE, Cause.CHIP_SILENT}, p=lambda rng: rng.choice([0.01, 0.05, 0.3, 1.0])),
    "lose_bytes": _of(
        GONE,
        _RAIL,
        p=lambda rng: rng.choice([0.001, 0.01, 0.1]),
        port=lambda rng: rng.choice(["control", "data", "both"]),
    ),
    "flip_bits": _flipped_bits,
    "chop": _of(GONE, port=lambda rng: rng.choice(["control", "data", "both"])),
    "late": _of(
        GONE, _RAIL, by_s=lambda rng: rng.choice([0.01, 0.1, 0.5]), port=lambda rng: rng.choice(["control", "data"])
    ),
    "lose_replies": _of(BUS, _RAIL, count=lambda rng: rng.choice([1, 3, 10])),
    "wrong_id": _of(BUS, _RAIL, count=lambda rng: rng.choice([1, 3, 10])),
    "wedge": _of(GONE, _UNREACHED),
    "panic": _of(GONE, _UNREACHED),
    "reboot": _of(
        GONE | {Cause.FAN}, _UNREACHED | {Excuse.ACTS_BY_ITSELF}, back_s=lambda rng: rng.choice([0.5, 1.0, 5.0])
    ),
    "stall_bridge": _of(GONE, _UNREACHED, for_s=lambda rng: rng.choice([0.3, 1.0, 5.0])),
    "unplug": _of(GONE, _UNREACHED, port=lambda rng: rng.choice(["control", "data"])),
    "unplug_usb": _of(GONE, _UNREACHED),
    "power_cycle": _of(
        GONE | _INPUT | {Cause.REGULATOR_OFF, Cause.CORE_VOLTAGE}, frozenset({Excuse.ACTS_BY_ITSELF, Excuse.RAIL_STAYS})
    ),
}
"""Each fault by the name of its action."""
LEFT_OUT: Final = frozenset(
    {
        "unplug_control", "unplug_data",  # `unplug`, by another name
        "break_chain", "weaken_chip",  # of chains: the board of the campaign has one chip
        "replug", "replug_control", "replug_data", "replug_usb", "restore_diode", "heal",  # ends of faults
    }
)  # fmt: skip
"""Actions that are no fault of their own. A test holds the two together to be all that there are."""


def draw(rng: random.Random, at_s: float, action: str | None = None) -> Fault:
    """One fault, with arguments of its own, at this time; of this kind, or of any."""
    action = rng.choice(tuple(CATALOGUE)) if action is None else action
    arguments, causes, excuses = CATALOGUE[action](rng)
    for_s = rng.choice([0.5, 5.0, 60.0]) if ACTIONS[action].lasting and rng.random() < 0.4 else None
    return Fault(at_s, action, arguments, for_s, causes, excuses)

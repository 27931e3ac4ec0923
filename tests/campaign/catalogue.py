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
from functools import cache
from typing import Any, Final

from controller.model import Cause
from emulator.faults import ACTIONS
from emulator.parts import ds4432u, emc230x, emc2103
from tests.campaign.subject import Subject, subject_of


class Excuse(StrEnum):
    """Why a board may be outside what is promised."""

    RAIL_IS_ITS_OWN = (
        "the regulator gives another voltage than it was told, until that is read: its own limit bounds it, if any"
    )
    WAKES_HIGH = "the rail comes up by itself with the supply, and stays there until a rig has been there"
    RAIL_STAYS = "the regulator does not obey, or cannot be reached: reset is asserted, the rail stays on"
    NOBODY_REACHES_IT = "no byte reaches the control port: hashing is stopped through the data port, or not at all"
    NOBODY_STOPS_IT = "neither port carries a byte: the board goes on at its point, to where that and the room take it"
    READS_LOW = "the die's thermometer reads too little, by less than the other channels can tell"
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
    "input_w": frozenset({Cause.POWER, Cause.RUNAWAY}),
    "fan_rpm": frozenset({Cause.FAN}),
}
"""A false reading within its range says what it says: the level that it passes is the right name for it."""
_BLINDING: Final = frozenset({"chip_c", "vr_c", "core_a", "input_w"})
_WORST: Final[Mapping[str, float]] = {
    "chip_c": 20.0,
    "vr_c": 20.0,
    "input_v": 0.6,
    "core_v": 0.15,
    "core_a": 8.0,
    "input_w": 8.0,
    "fan_rpm": 1000.0,
}
"""Of an offset, on a Gamma."""


def channels(about: Subject) -> tuple[str, ...]:
    """What may be misread: core volts only where a part on the bus measures them."""
    seen = (channel.value for channel in about.envelope.means.sensors)
    return tuple(channel for channel in seen if not (about.has_dac and channel == "core_v"))


def _false(about: Subject, channel: str) -> tuple[float, ...]:
    """What it may show."""
    e, supply, rail = about.envelope, about.input_scale, about.rail_scale
    match channel:
        case "chip_c":
            return (-1.0, 0.0, 20.0, 40.0, 60.0, 74.0, 90.0, 127.0, 127.875, 255.0)
        case "vr_c":
            return (0.0, 25.0, 60.0, 110.0, 127.88, 150.0)
        case "input_v":
            low_v, warn_v, high_v = e.input_v_low_trip, e.input_v_low_warn, e.input_v_high_trip
            near = (low_v - 0.1 * supply, warn_v - 0.05 * supply, 5.0 * supply, high_v + 0.1 * supply)
            return (0.0, *(round(volts, 3) for volts in near), 80.88, 1600.0)
        case "core_v":
            return tuple(round(volts * rail, 4) for volts in (0.0, 0.9, 1.05, 1.15, 1.3, 1.45, 2.0))
        case "core_a":
            assert about.own is not None
            return (-0.5, 0.0, 5.0, 15.0, float(e.core_a_trip) + 1.0, 2.0 * about.own.core_a, 200.0)
        case "input_w":
            return (0.0, 5.0, 15.0, float(e.power_hard_w) + 1.0, 100.0, 655.35)
        case "fan_rpm":
            return (0.0, 300.0, 2500.0, 5200.0, 12000.0, 60000.0)
    raise AssertionError(channel)


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
Drawn = Callable[[random.Random], Draw]
_NONE: Final[frozenset[Excuse]] = frozenset()
_RAIL: Final = frozenset({Excuse.RAIL_STAYS})
_OWN: Final = frozenset({Excuse.RAIL_IS_ITS_OWN})
_UNREACHED: Final = frozenset({Excuse.NOBODY_REACHES_IT, Excuse.RAIL_STAYS})
_DEAD: Final = _UNREACHED | {Excuse.NOBODY_STOPS_IT}
_HOT: Final = frozenset({Excuse.NO_COOLING})


def _of(causes: frozenset[Cause] | set[Cause], excuses: frozenset[Excuse] = _NONE, /, **fixed: Any) -> Drawn:
    def draw(rng: random.Random) -> Draw:
        return (
            {key: value(rng) if callable(value) else value for key, value in fixed.items()},
            frozenset(causes),
            excuses,
        )

    return draw


def _reading(about: Subject, kind: str) -> Drawn:
    known = channels(about)
    scales = {"input_v": about.input_scale, "core_v": about.rail_scale}

    def draw(rng: random.Random) -> Draw:
        channel = rng.choice(known)
        said: dict[str, Any] = {"channel": channel}
        if kind in ("misread", "garbage_once"):
            said["value"] = rng.choice(_false(about, channel))
        if kind == "garbage_once":
            said["count"] = rng.choice([1, 1, 2, 3, 5])
        if kind == "offset":
            said["by"] = rng.uniform(-1.0, 1.0) * _WORST[channel] * scales.get(channel, 1.0)
            said["over_s"] = rng.choice([0.0, 0.0, 30.0, 300.0])
        if kind == "jumps":
            said |= {"by": rng.uniform(1.0, 40.0), "p": rng.uniform(0.02, 0.5)}
        blind = frozenset({Excuse.BLIND}) if channel in _BLINDING else _NONE
        return said, S | _LEVEL[channel], blind

    return draw


RAILS: Final = frozenset({"tps546", "ds4432u"})
"""Parts that set the rail."""
WARM: Final = frozenset({"emc2101", "emc2103", "tmp1075_a", "tmp1075_b", "tmp451"})
"""Parts that have the dies' thermometers."""
_FAN_REGISTERS: Final[Mapping[str, str | int]] = {
    "emc2101": "FAN_SETTING",
    "emc2103": emc2103.SETTING,
    "emc2302": 0x30 + emc230x.SETTING,
}
_DAC_REGISTER: Final = ds4432u.OUT0


def _part(about: Subject, causes_of: Callable[[str], frozenset[Cause]], **more: Any) -> Drawn:
    def draw(rng: random.Random) -> Draw:
        part = rng.choice(about.parts)
        said = {"part": part, **{key: value(rng) for key, value in more.items()}}
        excuses = _RAIL if part in RAILS else frozenset({Excuse.BLIND}) if part in WARM else _NONE
        return said, causes_of(part), excuses

    return draw


def _stuck_register(about: Subject) -> Drawn:
    known: list[tuple[str, str | int, str | None]] = [
        *(("tps546", name, None) for name in ("VOUT_COMMAND", "VOUT_MAX", "STATUS_WORD")),
        ("tps546", "OPERATION", "00"),
        ("ds4432u", _DAC_REGISTER, None),
        ("ds4432u", _DAC_REGISTER, "00"),
        *((part, register, "00") for part, register in _FAN_REGISTERS.items()),
    ]
    there = [row for row in known if row[0] in about.parts]

    def draw(rng: random.Random) -> Draw:
        part, register, data = rng.choice(there)
        said = {"part": part, "register": register} | ({} if data is None else {"data": data})
        return said, S | {Cause.ACTUATION, Cause.REGULATOR_FAULT, Cause.REGULATOR_OFF, *_dac_lies(about)}, _NONE

    return draw


def _flipped_bits(about: Subject) -> Drawn:
    """The bridge's packets have no checksum: on the control port one bit makes another status word of a good one. What
    trips at once is read twice (drivers/boards/sweep.py), so that it takes two bits; with one byte in a hundred they
    are not ruled out."""

    def draw(rng: random.Random) -> Draw:
        said = {"p": rng.choice([0.0001, 0.001, 0.01]), "port": rng.choice(["data", "data", "control"])}
        causes = GONE | {Cause.ERROR_RATE}
        if said["port"] == "control":
            causes |= {Cause.VR_TEMPERATURE, *_INPUT, *_dac_lies(about)}
            if said["p"] == 0.01:
                causes |= {Cause.REGULATOR_FAULT, Cause.REGULATOR_OFF, Cause.CORE_VOLTAGE}
        return said, causes, _RAIL

    return draw


_INPUT: Final = frozenset({Cause.INPUT_LOW, Cause.INPUT_HIGH})
# A status word that froze while the rail was off still says so when it is on.
_FROZEN: Final = S | {Cause.ACTUATION, Cause.CORE_VOLTAGE, Cause.CHIP_SILENT, Cause.REGULATOR_OFF}


def _dac_lies(about: Subject) -> frozenset[Cause]:
    """The setting that a DAC tells is the core voltage, where the ADC beside it is not calibrated."""
    return frozenset() if about.switches else frozenset({Cause.CORE_VOLTAGE})


def _froze(part: str) -> frozenset[Cause]:
    if part in RAILS:
        return _FROZEN
    return S | {Cause.ACTUATION, Cause.FAN} if part in _FAN_REGISTERS else S


def _catalogue(about: Subject) -> dict[str, Drawn]:
    dac, chain = about.has_dac, about.chips > 1
    supply, rail = about.input_scale, about.rail_scale
    # Nothing tells why an output is off but its volts; and it comes on again by itself, whatever reset does.
    off = {Cause.CORE_VOLTAGE, Cause.CHIP_SILENT} if dac else {Cause.REGULATOR_OFF}
    itself = frozenset({Excuse.ACTS_BY_ITSELF})
    sags = itself if dac else _NONE
    # One that regulates wrongly cannot be cut off there.
    own = _OWN if about.switches else _OWN | _RAIL
    # Where the rail hangs on a pin of the bridge, it goes with it.
    gone = GONE | {Cause.REGULATOR_OFF, Cause.CORE_VOLTAGE} if about.rail_follows_bridge else GONE
    if dac:
        setting: dict[str, Any] = {"command": _DAC_REGISTER, "part": "ds4432u"}
        ignored = setting
    else:
        setting = {"command": "VOUT_COMMAND"}
        ignored = {"command": lambda rng: rng.choice(["VOUT_COMMAND", "OPERATION"])}
    fan = {Cause.FAN} if about.has_fan else set()
    which_chip = {"chip": lambda rng: rng.randrange(about.chips)} if chain else {}
    found: dict[str, Drawn] = {
        "nak": _part(about, lambda part: BUS, p=lambda rng: rng.choice([1.0, 0.5, 0.1])),
        "stuck_bus": _of(BUS, _RAIL | {Excuse.BLIND}),
        "garbage": _part(about, lambda part: S | {Cause.ACTUATION} | _dac_lies(about)),
        "stick": _stuck_register(about),
        "first_temperature": _of(frozenset()),
        "freeze": _part(about, _froze),
        "deafen": _part(about, lambda part: frozenset({Cause.ACTUATION, Cause.CORE_VOLTAGE})),
        "ignore_writes": _of(
            {Cause.ACTUATION, Cause.CORE_VOLTAGE}, _RAIL, **ignored, count=lambda rng: rng.choice([1, 3, 99])
        ),
        "double_writes": _of(
            {Cause.ACTUATION, Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT}, _OWN, count=lambda rng: rng.choice([1, 99])
        ),
        "answer_old": _of({Cause.ACTUATION}, _RAIL, **setting),
        "freeze_channel": _reading(about, "freeze_channel"),
        "garbage_once": _reading(about, "garbage_once"),
        "misread": _reading(about, "misread"),
        "offset": _reading(about, "offset"),
        "jumps": _reading(about, "jumps"),
        "open_diode": _of(S, frozenset({Excuse.BLIND})),
        "short_diode": _of(S, frozenset({Excuse.BLIND})),
        "lose_tach": _of(S | {Cause.FAN}),
        "stall_fan": _of(HOT | fan, _HOT),
        "degrade_fan": _of(HOT | fan, _HOT, ratio=lambda rng: rng.uniform(0.0, 0.9)),
        "loosen_heatsink": _of(
            HOT | S | {Cause.RUNAWAY, Cause.POWER},
            _HOT,
            factor=lambda rng: rng.choice([2.0, 5.0, 20.0, 1000.0]),
            over_s=lambda rng: rng.choice([0.0, 0.0, 60.0]),
        ),
        "ambient_c": _of(HOT, _HOT, celsius=lambda rng: rng.uniform(35.0, 60.0)),
        # Where it gives way at once, the output is off before a sweep has seen the input low: as with a short dip,
        # below.
        "source_ohm": _of(
            _INPUT | off,
            sags,
            ohm=lambda rng: rng.uniform(0.15, 0.6),
            over_s=lambda rng: rng.choice([0.0, 5.0, 120.0]),
        ),
        "source_v": _of(
            _INPUT | (off if dac else set()),
            sags,
            volts=lambda rng: rng.choice(_supplies(about)),
            over_s=lambda rng: rng.choice([0.0, 5.0]),
        ),
        # A dip shorter than a sweep leaves an output that is off, and nothing that says why.
        "dip": _of(
            _INPUT | off,
            sags,
            by_v=lambda rng: rng.uniform(0.2, 3.0) * supply,
            for_s=lambda rng: rng.choice([0.001, 0.02, 0.3, 3.0]),
        ),
        "regulation_error": _of(
            {Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT, Cause.ACTUATION},
            own,
            volts=lambda rng: rng.uniform(-0.3, 0.3) * rail,
        ),
        "run_away": _of(
            {Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT, Cause.ACTUATION},
            own,
            v_per_s=lambda rng: rng.choice([0.01, 0.1, 1.0, 100.0]),
        ),
        "trip_rail": _of(off | {Cause.ACTUATION}, itself),
        "silence_chip": _of({Cause.CHIP_SILENT, Cause.ACTUATION}, replies=lambda rng: rng.choice(["nonces", "all"])),
        "kill_domain": _of({Cause.CHIP_SILENT}, domain=lambda rng: rng.randrange(4), **which_chip),
        "duplicate_storm": _of({Cause.CHIP_SILENT}),
        "corrupt_nonces": _of({Cause.ERROR_RATE, Cause.CHIP_SILENT}, p=lambda rng: rng.choice([0.01, 0.05, 0.3, 1.0])),
        "lose_bytes": _of(
            GONE,
            _RAIL,
            p=lambda rng: rng.choice([0.001, 0.01, 0.1]),
            port=lambda rng: rng.choice(["control", "data", "both"]),
        ),
        "flip_bits": _flipped_bits(about),
        "chop": _of(GONE, port=lambda rng: rng.choice(["control", "data", "both"])),
        "late": _of(
            GONE, _RAIL, by_s=lambda rng: rng.choice([0.01, 0.1, 0.5]), port=lambda rng: rng.choice(["control", "data"])
        ),
        "lose_replies": _of(BUS, _RAIL, count=lambda rng: rng.choice([1, 3, 10])),
        "wrong_id": _of(BUS, _RAIL, count=lambda rng: rng.choice([1, 3, 10])),
        "wedge": _of(gone, _UNREACHED),
        "panic": _of(gone, _DEAD),
        "reboot": _of(gone | {Cause.FAN}, _UNREACHED | itself, back_s=lambda rng: rng.choice([0.5, 1.0, 5.0])),
        "stall_bridge": _of(GONE, _UNREACHED, for_s=lambda rng: rng.choice([0.3, 1.0, 5.0])),
        "unplug": _of(GONE, _UNREACHED, port=lambda rng: rng.choice(["control", "data"])),
        "unplug_usb": _of(gone, _DEAD),
        "power_cycle": _of(
            GONE | _INPUT | {Cause.REGULATOR_OFF, Cause.CORE_VOLTAGE}, frozenset({*itself, Excuse.RAIL_STAYS})
        ),
    }
    if chain:
        found["break_chain"] = _of({Cause.CHIP_SILENT, Cause.ACTUATION}, **which_chip)
        found["weaken_chip"] = _of(
            {Cause.CHIP_SILENT, Cause.ERROR_RATE},
            **which_chip,
            by_mv=lambda rng: rng.uniform(10.0, 300.0) * about.core_scale,
        )
    return {action: drawn for action, drawn in found.items() if action not in inapplicable(about)}


def _supplies(about: Subject) -> tuple[float, ...]:
    e, supply = about.envelope, about.input_scale
    low_v, warn_v, high_v = e.input_v_low_trip, e.input_v_low_warn, e.input_v_high_trip
    near = (
        low_v - 0.2 * supply,
        warn_v - 0.05 * supply,
        e.input_v_enable.low + 0.1 * supply,
        high_v + 0.1 * supply,
        high_v + 0.5 * supply,
        high_v + 1.5 * supply,
    )
    return (0.0, *(round(volts, 3) for volts in near))


LEFT_OUT: Final = frozenset(
    {
        "unplug_control", "unplug_data",  # `unplug`, by another name
        "replug", "replug_control", "replug_data", "replug_usb", "restore_diode", "heal",  # ends of faults
    }
)  # fmt: skip
"""Actions that are no fault of their own. A test holds the two together to be all that there are."""


def inapplicable(about: Subject) -> Mapping[str, str]:
    """Faults that this board cannot have, and why."""
    found: dict[str, str] = {}
    if about.chips == 1:
        found |= dict.fromkeys(("break_chain", "weaken_chip"), "of chains: it has one chip")
    if about.has_dac:
        found["double_writes"] = "of voltages in volts: a DAC is told a current"
        found["first_temperature"] = "its regulator has no thermometer"
    if not about.has_fan:
        found["lose_tach"] = "no tachometer is read"
    return found


@cache
def catalogue_of(board: str) -> Mapping[str, Drawn]:
    """Each fault that it can have, by the name of its action."""
    return _catalogue(subject_of(board))


_HELPLESS: Final = _RAIL | _DEAD
_ANSWERS: Final = frozenset({"lose_replies", "wrong_id"})


def _with_a_lease(
    action: str, causes: frozenset[Cause], excuses: frozenset[Excuse]
) -> tuple[frozenset[Cause], frozenset[Excuse]]:
    """The firmware makes the board safe by two pins when it hears nobody, whatever the regulator does: that nobody
    reached it excuses nothing. A heartbeat that was not heard, or not answered, has names of its own."""
    if excuses & _HELPLESS:
        causes |= {Cause.ACTUATION}  # a safe-off that could not be confirmed
    if Cause.CONTROL_PORT_LOST in causes or action in _ANSWERS:
        causes |= {Cause.LEASE_LOST, Cause.LEASE_EXPIRED}
    return causes, excuses - _HELPLESS


def draw(rng: random.Random, at_s: float, about: Subject, action: str | None = None) -> Fault:
    """One fault, with arguments of its own, at this time; of this kind, or of any."""
    known = catalogue_of(about.kind.name)
    action = rng.choice(tuple(known)) if action is None else action
    arguments, causes, excuses = known[action](rng)
    if about.leased:
        causes, excuses = _with_a_lease(action, causes, excuses)
    for_s = rng.choice([0.5, 5.0, 60.0]) if ACTIONS[action].lasting and rng.random() < 0.4 else None
    return Fault(at_s, action, arguments, for_s, causes, excuses)

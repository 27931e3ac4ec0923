"""A board: which parts, in which order. The vocabulary between the guard that judges and the board that acts.

A `Step` is one actuator move. The guard makes lists of steps, the board carries out one at a time, and nothing else
reaches an actuator. Numbers of the envelopes come from `docs/safety.md`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from drivers.boards.plausibility import DieFromRegulator as DieFromRegulator
from drivers.boards.plausibility import PlausibilityLimits as PlausibilityLimits
from drivers.boards.plausibility import PowerLaw as PowerLaw
from drivers.boards.plausibility import TemperatureSensor as TemperatureSensor
from drivers.errors import UsageError
from drivers.traits import Transport
from drivers.units import Amps, Celsius, Megahertz, Ratio, Rpm, Seconds, Volts, Watts

if TYPE_CHECKING:
    from drivers.asics.chain import Chain
    from drivers.bridges.lease import HostLease


class Channel(StrEnum):
    """What can be measured on a board. The unit is in the name."""

    CHIP_C = "chip_c"
    VR_C = "vr_c"
    INPUT_V = "input_v"
    CORE_V = "core_v"
    CORE_A = "core_a"
    CORE_W = "core_w"
    POWER_W = "power_w"
    INPUT_W = "input_w"
    FAN_RPM = "fan_rpm"
    FAN_RATIO = "fan_ratio"
    STATUS_WORD = "status_word"
    RESET_RELEASED = "reset_released"
    FREQUENCY_MHZ = "frequency_mhz"


class Protection(StrEnum):
    """What guards a board. `SENTINEL` and below name what still acts when this process is dead."""

    SOFTWARE_TRIPS = "software_trips"
    SENTINEL = "sentinel"
    REGULATOR_LIMITS = "regulator_limits"
    FAN_TABLE = "fan_table"
    HOST_LEASE = "host_lease"


@dataclass(frozen=True, slots=True)
class UsbMatch:
    """A USB device that may be this board: ids *and* both strings (c0de:cafe is not an assigned id)."""

    vid: int
    pid: int
    manufacturer: str
    product: str
    revisions: tuple[int, ...] = ()
    """Of the board, where its `bcdDevice` tells one (0xJJMN: JJ); empty: any. A device that cannot be asked fits."""


@dataclass(frozen=True, slots=True)
class Span:
    """An inclusive range."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


_NEAR: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Means:
    """What a board lets a program see and switch. The defaults are those of a board with a regulator on a bus."""

    sensors: tuple[Channel, ...] = (
        Channel.CHIP_C,
        Channel.VR_C,
        Channel.INPUT_V,
        Channel.CORE_V,
        Channel.CORE_A,
        Channel.FAN_RPM,
    )
    """What it must be able to measure while it is powered. What it cannot is not missed, and not made up either."""
    rests_at_v: Volts | None = None
    """Where the core rail is while the board is off, if nobody can switch it off; None: at nothing."""

    def sees(self, channel: Channel) -> bool:
        return channel in self.sensors


_ALL_MEANS: Final = Means()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a board may be asked for (operator), what it may never exceed (hard), and when the guard trips.

    Source: safety.md 1, 2 and 4 and boards.md 8, row of the board. All limits are inclusive.
    """

    stock_core_v: Volts
    stock_frequency_mhz: Megahertz
    core_v: Span
    frequency_mhz: Span
    core_v_hard: Volts
    frequency_hard_mhz: Megahertz
    floor_frequency_mhz: Megahertz
    power_operator_w: Watts
    power_hard_w: Watts
    input_v_enable: Span
    input_v_low_trip: Volts
    input_v_low_warn: Volts
    input_v_high_trip: Volts
    core_a_warn: Amps
    core_a_trip: Amps
    chip_c_warn: Celsius
    chip_c_throttle: Celsius
    chip_c_trip: Celsius
    chip_c_emergency: Celsius
    vr_c_warn: Celsius
    vr_c_throttle: Celsius
    vr_c_trip: Celsius
    vr_c_emergency: Celsius
    cold_start_max_c: Celsius = Celsius(45.0)
    warm_start_max_c: Celsius = Celsius(65.0)
    stale_warn_s: Seconds = Seconds(1.0)
    stale_bad_s: Seconds = Seconds(2.0)
    fan_stale_bad_s: Seconds = Seconds(5.0)
    frequency_step_mhz: Megahertz = Megahertz(6.25)
    frequency_step_s: Seconds = Seconds(0.1)
    core_v_within_v: Volts = Volts(0.040)
    """A rail reads back within so much of its command, or 4 % of it if that is more."""
    core_v_above_hard_v: Volts = Volts(0.050)
    """Above `core_v_hard` by so much is a trip at once."""
    core_v_off_v: Volts = Volts(0.5)
    """A rail that can be switched off reads less than this when it is."""
    core_v_step_v: Volts = Volts(0.010)
    core_v_step_s: Seconds = Seconds(0.2)
    command_core_v_max_change_v: Volts = Volts(0.050)
    command_frequency_max_change_mhz: Megahertz = Megahertz(50.0)
    fan_full_rpm: Rpm = Rpm(5200.0)
    means: Means = _ALL_MEANS

    @property
    def core_off_below_v(self) -> Volts:
        """What the core rail reads less than while the board is off."""
        rests_at_v = self.means.rests_at_v
        return self.core_v_off_v if rests_at_v is None else Volts(rests_at_v + self.core_v_within_v)

    def above_stock(self, core_v: float | None, frequency_mhz: float | None) -> bool:
        """Volts and MHz; what is not known is not above."""
        return (core_v or 0.0) > self.stock_core_v + _NEAR or (frequency_mhz or 0.0) > self.stock_frequency_mhz + _NEAR


# --- steps: one actuator move each -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FanDuty:
    """Fan to a true duty (0..1), host-set mode."""

    ratio: Ratio
    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FanTable:
    """Hand the fan to the controller's own temperature-to-duty table."""

    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LockDown:
    """Write the regulator's own limits and the fan table, read them back; `VerifyError` when one does not hold."""

    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CoreVoltage:
    """Command the core rail. Does not switch it on."""

    core_v: Volts
    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RailOn:
    """Switch the core rail on."""

    settle_s: float = 0.5


@dataclass(frozen=True, slots=True)
class VerifyRail:
    """Read the rail back: within `max(tolerance_ratio * core_v, tolerance_v)` of the command, else `VerifyError`."""

    core_v: Volts
    tolerance_ratio: float = 0.04
    tolerance_v: Volts = Volts(0.040)
    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AssertReset:
    """Put the chips into reset while their rail stays on, and read it back; `VerifyError` when it does not hold. What
    they had is gone. Not the way to make a board safe: that is a safe-off."""

    settle_s: float = 0.2


@dataclass(frozen=True, slots=True)
class ReleaseReset:
    """Let the chips out of reset."""

    settle_s: float = 0.2


@dataclass(frozen=True, slots=True)
class BringUp:
    """Enumerate and initialise the chips; the clock stays at its reset value (50 MHz)."""

    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Frequency:
    """One round of clock writes: no chip moves by more than one slew step. All chips to one clock, the board's, but for
    those of `caps_mhz` whose cap is lower: by their place on the line, from 0 at the host."""

    frequency_mhz: Megahertz
    settle_s: float = 0.1
    caps_mhz: Mapping[int, Megahertz] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SweepWindow:
    """Write the hash-counting number that fits this clock, or the cap of a chip that is lower, on chips that have one.
    0 MHz stops hashing on any."""

    frequency_mhz: Megahertz
    settle_s: float = 0.0
    caps_mhz: Mapping[int, Megahertz] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FastLink:
    """Chip and host to the fast line rate, confirmed by a read."""

    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TicketDifficulty:
    """Ticket mask: the smallest difficulty that the chips report. A power of two."""

    difficulty: int
    settle_s: float = 0.0


Step = (
    FanDuty
    | FanTable
    | LockDown
    | CoreVoltage
    | RailOn
    | VerifyRail
    | AssertReset
    | ReleaseReset
    | BringUp
    | Frequency
    | SweepWindow
    | FastLink
    | TicketDifficulty
)


def below(frequency_mhz: float, caps_mhz: Mapping[int, Megahertz]) -> dict[int, Megahertz]:
    """Of a board at this clock: the chips whose cap is lower, and their clocks."""
    return {chip: cap for chip, cap in caps_mhz.items() if cap < frequency_mhz}


BLANKED = "blanked"
FAULTY = "faulty"

# --- what comes back -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BoardReading:
    """One sweep over the sensors. A part that did not answer reads `None`, never a number.

    `notes` says why a channel is `None` or doubtful (bus error, open diode ...), by channel. A note that begins with
    `BLANKED` says that the sample was left out on purpose, one that begins with `FAULTY` that the part itself reports a
    broken sensor: an answer, and a bad one.
    """

    at_s: float
    channels: Mapping[Channel, float | None]
    notes: Mapping[Channel, str] = field(default_factory=dict)
    bus_silent: bool = False
    """True when the control port answered nothing at all in this sweep."""


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """One action of a safe-off: what was tried, and what a read-back says of it."""

    name: str
    sent: bool
    confirmed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SafeOffReport:
    """What a safe-off did. `confirmed` only if every action was confirmed by read-back."""

    at_s: float
    actions: tuple[ActionOutcome, ...]

    @property
    def confirmed(self) -> bool:
        return bool(self.actions) and all(action.confirmed for action in self.actions)


@dataclass(frozen=True, slots=True)
class BoardIdentity:
    """What first contact found, by reading alone. `parts` maps a part to what it said of itself, None when silent."""

    board: str
    firmware: str | None
    parts: Mapping[str, str | None]
    hashing_suspected: bool
    """The board was found powered: rail on or reset released."""


@dataclass(frozen=True, slots=True)
class RecipeAction:
    """One request of a safe-off as bytes, for the sentinel, which knows no protocol.

    `request` is a whole frame whose byte 2 is replaced by a fresh id; the answer is good when it has the length and
    bytes of `reply`, byte 2 being the id. `mask` has 0xFF for reply bytes that must match and 00 for those that may
    differ. `confirms` names the actuator whose state this answer proves; None when it is the write itself.
    """

    name: str
    request: bytes
    reply: bytes
    mask: bytes
    pause_s: float = 0.0
    confirms: str | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """The ports of one board, and what is known of them before a byte was sent."""

    name: str
    control: Transport
    data: Transport
    emulated: bool = False
    dilution: int = 1
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class BoardKind:
    """One row of BOARDS."""

    name: str
    title: str
    matches: tuple[UsbMatch, ...]
    envelope: Envelope
    chip: str
    chips: int
    safe_off_recipe: tuple[RecipeAction, ...]
    open: Callable[[Attached], Awaitable[Board]]
    unswitchable: tuple[str, ...] = ()
    """What cannot be switched or measured through the bridge, for badges and docs."""
    plausibility: PlausibilityLimits = field(default_factory=PlausibilityLimits)
    """When a number from its sensors may be doubted."""
    own_limits: Mapping[Channel, str] = field(default_factory=dict)
    """What its parts do by themselves, with nobody there, once they are programmed; for docs."""
    parts: tuple[str, ...] = ()
    """Regulator, fan controller and thermometers, for docs."""
    on_hardware: str | None = None
    """What was run on a real one, for docs; None: nothing yet."""
    dialect: str = "A"
    """In which its bridge answers."""
    other_dialects: Mapping[str, BoardKind] = field(default_factory=dict)
    """The same board behind firmwares that answer in another one."""

    @property
    def dialects(self) -> tuple[str, ...]:
        """In which a firmware of this board may answer."""
        return (self.dialect, *self.other_dialects)

    def behind(self, dialect: str | None) -> BoardKind:
        """This board behind a bridge that answers so; None: nobody has said, so that of the row. `UsageError` for a
        dialect that no firmware of this board speaks."""
        if dialect is None or dialect == self.dialect:
            return self
        if dialect not in self.other_dialects:
            raise UsageError("dialect", dialect, f"{', '.join(self.dialects)}: those of {self.name}")
        return self.other_dialects[dialect]


class Board(Protocol):
    """A live board. All methods may raise `Unplugged`, `NoReply`, `Nack`, `BridgeRefused`; `safe_off` never raises."""

    kind: BoardKind
    chains: Sequence[Chain]

    @property
    def lease(self) -> HostLease | None:
        """The lease of its firmware, over the present control port; None where the firmware has none."""
        ...

    async def first_contact(self) -> BoardIdentity:
        """Fan up, then read only: the board is presumed hot and hashing."""
        ...

    async def apply(self, step: Step) -> None: ...

    async def read(self) -> BoardReading:
        """One sweep, bounded to 0.6 s even when nothing answers."""
        ...

    async def safe_off(self) -> SafeOffReport:
        """Reset asserted, rail off, fan full, each tried even if the one before failed, then read back. Runs twice."""
        ...

    async def stop_hashing(self) -> bool:
        """Through the data port alone: clock to its floor, sweep window 0 or what stands for it. True when the chips
        confirmed both."""
        ...

    def protections(self) -> frozenset[Protection]:
        """Protections that this board has now, of its own (proved by read-back)."""
        ...

    def replace_control(self, control: Transport) -> None:
        """Use another control port from now on (the sentinel died, or the port came back)."""
        ...

    async def replace_data(self, data: Transport) -> None:
        """Use another data port from now on: the one before is gone. Nothing is sent."""
        ...

    async def aclose(self) -> None: ...

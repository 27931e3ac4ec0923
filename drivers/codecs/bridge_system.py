"""Page 00 of the bridge firmwares, "bridge system": who the firmware is, its host lease, and its safety status.

Only bonanza-bridge-fw has the whole page; bitaxe-raw for Bonanza boards and the newest RP2040 port have 01, 02 and 10.
No firmware that speaks over USB lets the host renew a lease. Requests carry no data; each of 10 to 14 is answered with
the status. Facts: bitaxeorg/bonanza-bridge-fw (22cab7b) src/safety.rs, src/control/system.rs, src/info.rs,
docs/safety-interlock.md; docs/wire/host-lease.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self, TypeVar

from drivers.codecs.bitaxe_raw import Page, Request
from drivers.errors import UnexpectedReply, UsageError

SCHEMA: Final = 1
STATUS_BYTES: Final = 17
RX_LOSS_BYTES: Final = 9
INFO_BYTES: Final = 4
VERSION_BYTES_MAX: Final = 63

E = TypeVar("E", bound=IntEnum)


class SystemCommand(IntEnum):
    INFO = 0x01
    RX_LOSS = 0x02
    STATUS = 0x10
    ARM = 0x11
    HEARTBEAT = 0x12
    CLEAR_FAULT = 0x13
    DISARM = 0x14


class Stage(IntEnum):
    """How much the firmware enforces. Released firmware has TRIP_LATCH built in."""

    BOOT_SAFE = 0
    LEASE = 1
    TRIP_LATCH = 2


class State(IntEnum):
    SAFE_OFF = 0
    CONTROLLED = 1
    FAULT_LATCHED = 2


class Fault(IntEnum):
    NONE = 0
    LEASE_EXPIRED = 1
    ASIC_TRIP = 2


class RuntimeVerdict(IntEnum):
    GOOD_OFF = 0x00
    GOOD_CONTROLLED = 0x01
    FAULT = 0x80
    LEASE = 0x81
    TRIP_INPUT = 0x82
    UNSAFE_OUTPUTS = 0x83


class ProductionVerdict(IntEnum):
    GOOD = 0x00
    STAGE_DISABLED = 0x80
    CAPABILITY_GAP = 0x81
    RUNTIME = 0x82


class Capability(IntFlag):
    """What the firmware can act on. Released firmware: the lowest four."""

    FIVE_VOLT = 1 << 0
    RESET = 1 << 1
    FAN_FULL = 1 << 2
    TRIP_SAMPLED = 1 << 3
    CORE_CUTOFF = 1 << 4
    TACH_INTERLOCK = 1 << 5
    TRIP_MONITOR = 1 << 6


class Evidence(IntFlag):
    OUTPUTS_SAFE = 1 << 0
    LEASE_VALID = 1 << 1
    TRIP_CLEAR = 1 << 2
    FAULT_CLEAR = 1 << 3
    CORE_CUTOFF = 1 << 4
    TACH_INTERLOCK = 1 << 5
    TRIP_MONITOR = 1 << 6


_FIVE_VOLT_ON, _RESET_ASSERTED, _FAN_FULL = 0x01, 0x02, 0x04


@dataclass(frozen=True, slots=True)
class SafetyStatus:
    """What the firmware says of its lease, its latch and the outputs that it drives. It measures none of them."""

    stage: Stage
    state: State
    fault: Fault
    runtime: RuntimeVerdict
    production: ProductionVerdict
    capabilities: Capability
    evidence: Evidence
    lease_left_ms: int
    five_volt_on: bool
    reset_asserted: bool
    fan_percent: int
    tripped: bool
    """The trip input of the chips, now; `fault` says whether it has latched."""

    @property
    def outputs_safe(self) -> bool:
        """5 V off, reset asserted, fan at full: as the outputs say, not as the evidence does."""
        return not self.five_volt_on and self.reset_asserted and self.fan_percent == 100

    def encode(self) -> bytes:
        """The payload, 17 bytes."""
        flags = (
            (_FIVE_VOLT_ON if self.five_volt_on else 0)
            | (_RESET_ASSERTED if self.reset_asserted else 0)
            | (_FAN_FULL if self.fan_percent == 100 else 0)
        )
        head = bytes((SCHEMA, self.stage, self.state, self.fault, self.runtime, self.production))
        bits = self.capabilities.to_bytes(2, "little") + self.evidence.to_bytes(2, "little")
        outputs = bytes((flags, self.fan_percent, self.tripped))
        return head + bits + self.lease_left_ms.to_bytes(4, "little") + outputs

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """From the payload. `UnexpectedReply` for another length or schema, for a word that schema 1 does not know and
        for outputs that contradict themselves: what is not understood must not pass for a lease."""
        if len(payload) != STATUS_BYTES:
            raise UnexpectedReply(f"safety status of {len(payload)} bytes, where {STATUS_BYTES} were due")
        _check_schema("safety status", payload[0])
        flags, fan_percent, tripped = payload[14:17]
        if flags & ~(_FIVE_VOLT_ON | _RESET_ASSERTED | _FAN_FULL):
            raise UnexpectedReply(f"safety status: output flags {flags:#04x}, of which 3 bits are known")
        if fan_percent > 100 or bool(flags & _FAN_FULL) is not (fan_percent == 100):
            raise UnexpectedReply(f"safety status: fan at {fan_percent} % with output flags {flags:#04x}")
        if tripped > 1:
            raise UnexpectedReply(f"safety status: trip input {tripped}, where 0 or 1 was due")
        return cls(
            stage=_word(Stage, payload[1]),
            state=_word(State, payload[2]),
            fault=_word(Fault, payload[3]),
            runtime=_word(RuntimeVerdict, payload[4]),
            production=_word(ProductionVerdict, payload[5]),
            capabilities=Capability(int.from_bytes(payload[6:8], "little")),
            evidence=Evidence(int.from_bytes(payload[8:10], "little")),
            lease_left_ms=int.from_bytes(payload[10:14], "little"),
            five_volt_on=bool(flags & _FIVE_VOLT_ON),
            reset_asserted=bool(flags & _RESET_ASSERTED),
            fan_percent=fan_percent,
            tripped=bool(tripped),
        )


@dataclass(frozen=True, slots=True)
class FirmwareInfo:
    """Protocol and version. The README of the firmware shows protocol 1.3; its code says 1.0."""

    major: int
    minor: int
    version: str

    def encode(self) -> bytes:
        """The payload, 5 to 67 bytes."""
        text = self.version.encode("ascii")
        if not 1 <= len(text) <= VERSION_BYTES_MAX:
            raise UsageError("version", self.version, f"1 to {VERSION_BYTES_MAX} ASCII characters")
        return bytes((SCHEMA, self.major, self.minor, len(text))) + text

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """From the payload. `UnexpectedReply` for another schema, a wrong length or a version that is no text."""
        if len(payload) <= INFO_BYTES or len(payload) != INFO_BYTES + payload[3]:
            raise UnexpectedReply(f"bridge info of {len(payload)} bytes: {payload.hex(' ')}")
        _check_schema("bridge info", payload[0])
        text = payload[INFO_BYTES:]
        if len(text) > VERSION_BYTES_MAX or not all(0x20 <= byte <= 0x7E for byte in text):
            raise UnexpectedReply(f"bridge info: no version: {text.hex(' ')}")
        return cls(payload[1], payload[2], text.decode("ascii"))


@dataclass(frozen=True, slots=True)
class RxLoss:
    """Bytes from the chips that the firmware lost, since it started: counts of overflows."""

    fifo_overflows: int
    ring_overflows: int

    def encode(self) -> bytes:
        """The payload, 9 bytes."""
        counts = self.fifo_overflows.to_bytes(4, "little") + self.ring_overflows.to_bytes(4, "little")
        return bytes((SCHEMA,)) + counts

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """From the payload. `UnexpectedReply` for another length or schema."""
        if len(payload) != RX_LOSS_BYTES:
            raise UnexpectedReply(f"loss counters of {len(payload)} bytes, where {RX_LOSS_BYTES} were due")
        _check_schema("loss counters", payload[0])
        return cls(int.from_bytes(payload[1:5], "little"), int.from_bytes(payload[5:9], "little"))


def _check_schema(what: str, schema: int) -> None:
    if schema != SCHEMA:
        raise UnexpectedReply(f"{what} of schema {schema}, where {SCHEMA} is known")


def _word(words: type[E], value: int) -> E:
    try:
        return words(value)
    except ValueError:
        raise UnexpectedReply(f"safety status: {words.__name__} {value:#04x} is not known") from None


# --- requests --------------------------------------------------------------------------------------------------------


def info() -> Request:
    """Who the firmware is: `FirmwareInfo`. The length of the answer is that of the version."""
    most = INFO_BYTES + VERSION_BYTES_MAX
    return Request(Page.BRIDGE, SystemCommand.INFO, reply_bytes=INFO_BYTES + 1, reply_bytes_most=most)


def rx_loss() -> Request:
    """`RxLoss`."""
    return Request(Page.BRIDGE, SystemCommand.RX_LOSS, reply_bytes=RX_LOSS_BYTES)


def status() -> Request:
    """`SafetyStatus`; changes nothing."""
    return _asking(SystemCommand.STATUS)


def arm() -> Request:
    """Take the lease. **The firmware makes its outputs safe first**, also when it is armed already."""
    return _asking(SystemCommand.ARM)


def heartbeat() -> Request:
    """Renew the lease. Denied when it is not armed."""
    return _asking(SystemCommand.HEARTBEAT)


def clear_fault() -> Request:
    """Leave the latch. **The firmware makes its outputs safe and forgets the lease**, also when nothing is latched."""
    return _asking(SystemCommand.CLEAR_FAULT)


def disarm() -> Request:
    """Give the lease back. The firmware makes its outputs safe; a latched fault stays."""
    return _asking(SystemCommand.DISARM)


def _asking(command: SystemCommand) -> Request:
    return Request(Page.BRIDGE, command, reply_bytes=STATUS_BYTES)

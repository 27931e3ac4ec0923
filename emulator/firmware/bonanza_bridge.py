"""bonanza-bridge: the firmware with a lease that its host must renew (RP2040), reply dialect B.

Without a heartbeat for 2000 ms it makes its outputs safe by itself, 5 V off, reset asserted, fan at full, and latches
why. Facts: bitaxeorg/bonanza-bridge-fw (22cab7b) src/safety.rs, src/safety_timing.rs, src/control/*.rs,
docs/safety-interlock.md; docs/wire/host-lease.md. The real one sits on a UART behind another MCU and has no I2C; here
it has page 05 as bitaxe-raw has it, so that it can stand on a board whose parts are emulated already. [A] = assumption
of this emulator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from drivers.codecs.bridge_system import (
    Capability,
    Evidence,
    Fault,
    FirmwareInfo,
    ProductionVerdict,
    RuntimeVerdict,
    RxLoss,
    SafetyStatus,
    Stage,
    State,
    SystemCommand,
)
from drivers.codecs.dialect_b import DeviceCodec, ErrorCode
from emulator.device import Burst
from emulator.faults import Faults
from emulator.faults.topic import UartChip
from emulator.firmware.bitaxe_raw import DataPort, Refused, spoil_reply
from emulator.parts import I2cBus

LEASE_S: Final = 2.0
WATCHDOG_S: Final = 3.0
SERVICE_S: Final = 0.004
"""The control task looks at lease and trip input at least so often when idle; here always as late as it may."""
WATCH_S: Final = 0.05
"""How often the emulation looks whether the task stands still. Its lease it never looks at too late."""
TACH_S: Final = 0.5
TACH_PULSES_MAX: Final = 1092
PULSES_PER_TURN: Final = 2
FRAME_GAP_S: Final = 0.004
FRAME_MIN, FRAME_MAX = 6, 4098
BYTE_S: Final = 10 / 115_200
"""One byte on the control UART, 8N1."""
OVERHEAD_S: Final = 0.0002
"""From the end of a request to the first byte of its answer [A]."""
I2C_HZ: Final = 100_000
ID_UNKNOWN: Final = 0xFF
INFO: Final = FirmwareInfo(1, 0, "0.1.0")

PAGE_SYSTEM, PAGE_I2C, PAGE_GPIO, PAGE_FAN = 0x00, 0x05, 0x06, 0x09
PIN_FIVE_VOLT, PIN_RESET, PIN_TRIP = 0x01, 0x02, 0x03
FAN_SET, FAN_TACH = 0x10, 0x20
CAPABILITIES: Final = Capability.FIVE_VOLT | Capability.RESET | Capability.FAN_FULL | Capability.TRIP_SAMPLED


class Board(Protocol):
    """What hangs on the pins of the firmware."""

    def set_five_volt(self, on: bool, at_s: float) -> None: ...

    def set_reset(self, asserted: bool, at_s: float) -> None: ...

    def set_forced_fan(self, percent: int, at_s: float) -> None: ...

    def fan_rpm(self, at_s: float) -> float: ...

    def bring(self, at_s: float) -> None:
        """Carry the board to `at_s`, and all that is due on it by then."""
        ...

    def at(self, at_s: float, call: Callable[[], None]) -> None:
        """Do something on the board when it is `at_s`, exactly then, whoever looks at it or does not."""
        ...


class Outputs(NamedTuple):
    five_volt_on: bool
    reset_asserted: bool
    fan_percent: int


SAFE: Final = Outputs(five_volt_on=False, reset_asserted=True, fan_percent=100)


class SafetyPolicy:
    """The lease, the latch, and in which order outputs may leave the safe state. Pure: time comes as an argument."""

    def __init__(self) -> None:
        self.state = State.SAFE_OFF
        self.fault = Fault.NONE
        self.outputs = SAFE
        self.tripped = False
        """The trip input, as last sampled."""
        self.lease_ends_s: float | None = None

    def look(self, at_s: float, tripped: bool) -> None:
        """What the firmware does by itself: latches a trip, or the end of the lease."""
        self.tripped = tripped
        if self.state is State.FAULT_LATCHED:
            return
        if tripped:
            self._latch(Fault.ASIC_TRIP)
        elif self.state is State.CONTROLLED and self.lease_ends_s is not None and at_s >= self.lease_ends_s:
            self._latch(Fault.LEASE_EXPIRED)

    def _latch(self, fault: Fault) -> None:
        self.state, self.fault, self.outputs, self.lease_ends_s = State.FAULT_LATCHED, fault, SAFE, None

    def arm(self, at_s: float) -> None:
        self._not_latched()
        self.outputs = SAFE  # also of a board that is armed and runs
        self.state, self.lease_ends_s = State.CONTROLLED, at_s + LEASE_S

    def heartbeat(self, at_s: float) -> None:
        self._controlled()
        self.lease_ends_s = at_s + LEASE_S

    def clear(self) -> None:
        if self.tripped:
            raise Refused(ErrorCode.FAULT)
        self.state, self.fault, self.outputs, self.lease_ends_s = State.SAFE_OFF, Fault.NONE, SAFE, None

    def disarm(self) -> None:
        self.outputs, self.lease_ends_s = SAFE, None
        if self.fault is Fault.NONE:
            self.state = State.SAFE_OFF

    def set_five_volt(self, on: bool) -> None:
        if not on:
            self.outputs = SAFE
            return
        self._controlled()
        if self.outputs.fan_percent != 100 or not self.outputs.reset_asserted:
            raise Refused(ErrorCode.DENIED)
        self.outputs = self.outputs._replace(five_volt_on=True)

    def set_reset(self, asserted: bool) -> None:
        if not asserted:
            self._controlled()
            if not self.outputs.five_volt_on:
                raise Refused(ErrorCode.DENIED)
        self.outputs = self.outputs._replace(reset_asserted=asserted)

    def set_fan(self, percent: int) -> None:
        if percent < 100:
            self._controlled()
            if self.outputs.five_volt_on:
                raise Refused(ErrorCode.DENIED)
        self.outputs = self.outputs._replace(fan_percent=percent)

    def _not_latched(self) -> None:
        if self.state is State.FAULT_LATCHED:
            raise Refused(ErrorCode.FAULT)

    def _controlled(self) -> None:
        self._not_latched()
        if self.state is not State.CONTROLLED:
            raise Refused(ErrorCode.DENIED)

    def status(self, at_s: float) -> SafetyStatus:
        left_ms = 0 if self.lease_ends_s is None else max(0, math.floor((self.lease_ends_s - at_s) * 1000 + 1e-6))
        valid = self.state is State.CONTROLLED and left_ms > 0
        evidence = (
            (Evidence.OUTPUTS_SAFE if self.outputs == SAFE else Evidence(0))
            | (Evidence.LEASE_VALID if valid else Evidence(0))
            | (Evidence(0) if self.tripped else Evidence.TRIP_CLEAR)
            | (Evidence.FAULT_CLEAR if self.fault is Fault.NONE else Evidence(0))
        )
        if self.fault is not Fault.NONE:
            runtime = RuntimeVerdict.FAULT
        elif self.state is State.SAFE_OFF:
            runtime = RuntimeVerdict.GOOD_OFF if self.outputs == SAFE else RuntimeVerdict.UNSAFE_OUTPUTS
        else:
            runtime = RuntimeVerdict.GOOD_CONTROLLED if valid else RuntimeVerdict.LEASE
        good = runtime in (RuntimeVerdict.GOOD_OFF, RuntimeVerdict.GOOD_CONTROLLED)
        return SafetyStatus(
            stage=Stage.TRIP_LATCH,
            state=self.state,
            fault=self.fault,
            runtime=runtime,
            # Never good: released firmware lacks capabilities that it calls necessary itself.
            production=ProductionVerdict.CAPABILITY_GAP if good else ProductionVerdict.RUNTIME,
            capabilities=CAPABILITIES,
            evidence=evidence,
            lease_left_ms=left_ms,
            five_volt_on=self.outputs.five_volt_on,
            reset_asserted=self.outputs.reset_asserted,
            fan_percent=self.outputs.fan_percent,
            tripped=self.tripped,
        )


class BonanzaBridge:
    """The firmware: the state that both ports share. Power-up: 5 V off, chips in reset, fan at full."""

    def __init__(self, bus: I2cBus, chip: UartChip, faults: Faults, board: Board) -> None:
        self.bus, self.chip, self.faults = bus, chip, faults
        self.running = True
        self._board = board
        self.trip_input = False
        """The level of the trip pin: high is tripped."""
        self.policy = SafetyPolicy()
        self.resets = 0
        """How often the watchdog has reset the MCU."""
        self._applied: Outputs | None = None
        self._still_since_s: float | None = None
        self._starts = 0
        self.control = ControlPort(self)
        self.data = DataPort(self)

    @property
    def halted(self) -> bool:
        """The control task stands still: nothing is looked at, nothing answered, and the watchdog counts."""
        return self.faults.panicked or self.faults.wedged

    def power_up(self, at_s: float) -> None:
        """The MCU starts, after a power-up or by its watchdog: all as at the first start, no fault latched."""
        self.policy = SafetyPolicy()
        self._applied = None
        self._still_since_s = None
        self._starts += 1
        self._apply(at_s)
        self.control.power_up()
        self.data.restart()
        self._watch(self._starts, at_s)

    def lose_usb(self, at_s: float) -> bool:
        """It has none."""
        return False

    def settle(self, at_s: float) -> None:
        """Carry out all that is due by `at_s`."""
        self.control.settle(at_s)

    def set_trip_input(self, tripped: bool, at_s: float) -> None:
        """The chips drive the trip pin high, or no longer."""
        self.trip_input = tripped
        self._look_at(at_s + SERVICE_S)

    # --- the control task

    def stands_still(self, at_s: float) -> bool:
        return self.halted or at_s < self.faults.stalled_until_s

    def bring(self, at_s: float) -> None:
        self._board.bring(at_s)

    def serve(self, at_s: float) -> None:
        """One turn of the control task: trip input, lease, outputs."""
        self.policy.look(at_s, self.trip_input)
        self._apply(at_s)

    def _look_at(self, at_s: float) -> None:
        """Have the task look at that moment, with all requests behind it that are due by then."""
        start = self._starts

        def look() -> None:
            self.control.settle(at_s)
            if start == self._starts and not self.stands_still(at_s):
                self.serve(at_s)

        self._board.at(at_s, look)

    def _watch(self, start: int, at_s: float) -> None:
        """The watchdog, as long as this start of the MCU lasts. A task that comes back serves at once."""
        if start != self._starts:
            return
        if not self.stands_still(at_s):
            if self._still_since_s is not None:
                self._still_since_s = None
                self._look_at(at_s)
        elif self._still_since_s is None:
            self._still_since_s = at_s
        elif at_s - self._still_since_s >= WATCHDOG_S:
            self._bite(at_s)
            return
        self._board.at(at_s + WATCH_S, lambda: self._watch(start, at_s + WATCH_S))

    def _bite(self, at_s: float) -> None:
        """The watchdog resets the MCU, whatever held it up."""
        self.resets += 1
        self.faults.panicked = self.faults.wedged = False
        self.faults.stalled_until_s = float("-inf")
        self.power_up(at_s)

    def _apply(self, at_s: float) -> None:
        outputs = self.policy.outputs
        if outputs == self._applied:
            return
        # In the order of a safe-off where it is one; the policy lets nothing else move two at once.
        if outputs.reset_asserted:
            self._board.set_reset(True, at_s)
        self._board.set_five_volt(outputs.five_volt_on, at_s)
        self._board.set_forced_fan(outputs.fan_percent, at_s)
        if not outputs.reset_asserted:
            self._board.set_reset(False, at_s)
        self._applied = outputs

    # --- requests

    def carry_out(self, page: int, command: int, data: bytes, at_s: float) -> bytes:
        """The payload of a success, or `Refused`."""
        self.serve(at_s)
        try:
            match page:
                case 0x00:
                    return self._system(command, data, at_s)
                case 0x05:
                    return self._i2c(command, data, at_s)
                case 0x06:
                    return self._gpio(command, data)
                case 0x09:
                    return self._fan(command, data, at_s)
                case _:
                    raise Refused(ErrorCode.INVALID)
        finally:
            self._apply(at_s)

    def _system(self, command: int, data: bytes, at_s: float) -> bytes:
        if data:
            raise Refused(ErrorCode.INVALID)
        match command:
            case SystemCommand.INFO:
                return INFO.encode()
            case SystemCommand.RX_LOSS:
                return RxLoss(0, 0).encode()
            case SystemCommand.STATUS:
                return self.policy.status(at_s).encode()
            case SystemCommand.ARM:
                self.policy.arm(at_s)
                self._look_at(at_s + LEASE_S + SERVICE_S)
            case SystemCommand.HEARTBEAT:
                self.policy.heartbeat(at_s)
                self._look_at(at_s + LEASE_S + SERVICE_S)
            case SystemCommand.CLEAR_FAULT:
                self.policy.clear()
            case SystemCommand.DISARM:
                self.policy.disarm()
            case _:
                raise Refused(ErrorCode.INVALID)
        return self.policy.status(at_s).encode()

    def _gpio(self, pin: int, data: bytes) -> bytes:
        if len(data) > 1 or pin not in (PIN_FIVE_VOLT, PIN_RESET, PIN_TRIP) or (data and pin == PIN_TRIP):
            raise Refused(ErrorCode.INVALID)
        high = bool(data and data[0])
        if data and pin == PIN_FIVE_VOLT:
            self.policy.set_five_volt(high)
        elif data:
            self.policy.set_reset(not high)
        outputs = self.policy.outputs
        levels = {
            PIN_FIVE_VOLT: outputs.five_volt_on,
            PIN_RESET: not outputs.reset_asserted,
            PIN_TRIP: self.trip_input,
        }
        return bytes((levels[pin],))

    def _fan(self, command: int, data: bytes, at_s: float) -> bytes:
        if command == FAN_SET and data and data[0] <= 100:
            self.policy.set_fan(data[0])
            return b"\x00"
        if command == FAN_TACH:
            pulses = round(self._board.fan_rpm(at_s) / 60 * PULSES_PER_TURN * TACH_S)
            if pulses <= TACH_PULSES_MAX:
                return (pulses * 60).to_bytes(2, "little")
        raise Refused(ErrorCode.INVALID)

    def _i2c(self, command: int, data: bytes, at_s: float) -> bytes:
        """Not in bonanza-bridge-fw [A]: the page of bitaxe-raw, without its traps."""
        found: bytes | None
        if command == 0x20 and len(data) >= 2:
            found = bytes(((len(data) - 1) & 0xFF,)) if self.bus.write(data[0], data[1:], at_s) else None
        elif command == 0x30 and len(data) == 2 and data[1]:
            found = self.bus.read(data[0], data[1], at_s)
        elif command == 0x40 and len(data) >= 3 and data[-1]:
            found = self.bus.write_read(data[0], data[1:-1], data[-1], at_s)
        else:
            raise Refused(ErrorCode.INVALID)
        if found is None:
            raise Refused(ErrorCode.TEXT)
        return found


_I2C_TEXTS: Final = {0x20: "I2C Write Error", 0x30: "I2C Read Error", 0x40: "I2C WriteRead Error"}


class ControlPort:
    """The control port, a `Device`: a byte stream, one request at a time. Bursts have baud 0: a bridge lies between."""

    def __init__(self, firmware: BonanzaBridge) -> None:
        self._firmware = firmware
        self._codec = DeviceCodec()
        self.heartbeats: list[float] = []
        """When each heartbeat was carried out that was not refused."""
        self.power_up()

    def power_up(self) -> None:
        self._buffer = bytearray()
        self._came_at_s = float("-inf")
        self._busy: tuple[bytes, float] | None = None
        """The request that is being carried out, and when it is done."""
        self._answers: list[tuple[float, bytes]] = []

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        """Ignored: the UART behind the bridge has a rate of its own."""

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        self.settle(at_s)
        self._buffer += burst.data
        self._came_at_s = at_s + len(burst.data) * BYTE_S
        self._parse(self._came_at_s)

    def transmit(self, at_s: float) -> list[Burst]:
        self.settle(at_s)
        due = [Burst(0, answer) for when_s, answer in self._answers if when_s <= at_s]
        self._answers = [(when_s, answer) for when_s, answer in self._answers if when_s > at_s]
        return due

    def wakes_at(self) -> float | None:
        if self._firmware.halted:
            return None
        due = [when_s for when_s, _ in self._answers]
        if self._busy is not None:
            due.append(self._busy[1])
        elif self._buffer:
            due.append(self._came_at_s + FRAME_GAP_S)
        return max(min(due), self._firmware.faults.stalled_until_s) if due else None

    def settle(self, at_s: float) -> None:
        """Carry out what is done by `at_s`, and forget half a frame whose rest did not come."""
        firmware = self._firmware
        while not firmware.stands_still(at_s):
            if self._busy is not None and self._busy[1] <= at_s:
                busy = frame, done_s = self._busy
                firmware.bring(done_s)  # a lease that ends before comes first
                if self._busy is not busy or firmware.stands_still(at_s):
                    continue
                self._busy = None
                done_s = max(done_s, firmware.faults.stalled_until_s)
                self._answer(self._carry_out(frame, done_s), done_s)
                self._came_at_s = max(self._came_at_s, done_s)  # only now it waits for the rest of a frame
                self._parse(done_s)
            elif self._busy is None and self._buffer and at_s - self._came_at_s >= FRAME_GAP_S:
                ident = self._buffer[2] if len(self._buffer) >= 3 else ID_UNKNOWN
                self._buffer.clear()
                self._answer(self._codec.encode_error(ident, ErrorCode.TIMEOUT), self._came_at_s + FRAME_GAP_S)
            else:
                return

    def _parse(self, at_s: float) -> None:
        """Take the next whole frame from the buffer, if the task has nothing else in hand."""
        buffer = self._buffer
        while self._busy is None and len(buffer) >= 2:
            length = buffer[0] | buffer[1] << 8
            if not FRAME_MIN <= length <= FRAME_MAX:
                ident = buffer[2] if len(buffer) >= 3 else ID_UNKNOWN
                buffer.clear()
                self._answer(self._codec.encode_error(ident, ErrorCode.INVALID), at_s)
                return
            if len(buffer) < length:
                return
            frame = bytes(buffer[:length])
            del buffer[:length]
            self._busy = (frame, at_s + OVERHEAD_S + self._seconds(frame))

    def _seconds(self, frame: bytes) -> float:
        if frame[4] == PAGE_FAN and frame[5] == FAN_TACH:
            return TACH_S
        if frame[4] == PAGE_I2C and len(frame) > 6:
            clocks = 9 * (len(frame) - 6 + (frame[-1] if frame[5] != 0x20 else 0))
            return clocks / I2C_HZ
        return 0.0

    def _carry_out(self, frame: bytes, at_s: float) -> bytes:
        ident, page, command = frame[2], frame[4], frame[5]
        try:
            payload = self._firmware.carry_out(page, command, frame[6:], at_s)
        except Refused as refused:
            text = _I2C_TEXTS[command] if refused.code is ErrorCode.TEXT else ""
            return self._codec.encode_error(ident, refused.code, text)
        if page == PAGE_SYSTEM and command == SystemCommand.HEARTBEAT:
            self.heartbeats.append(at_s)
        return self._codec.encode_reply(ident, payload)

    def _answer(self, answer: bytes, at_s: float) -> None:
        spoilt = spoil_reply(answer, self._firmware.faults)
        if spoilt is not None:
            self._answers.append((at_s + len(spoilt) * BYTE_S, spoilt))

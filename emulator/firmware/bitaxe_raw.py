"""bitaxe-raw, the USB bridge firmware of Bitaxe boards (ESP32-S3), reply dialect A.

Two ports: `control` tunnels I2C, one GPIO and one ADC channel; `data` is a byte pipe to the UART of the chips. What the
firmware does with half a frame, two frames in a packet, a length it did not expect or a host that does not read is
part of it, and is here. Facts: korbin/bitaxe-raw and bitaxeorg/bitaxe-raw `src/main.rs`, `src/control/*.rs`,
`src/asic_serial.rs`; docs/wire/bitaxe-raw.md. [D] = follows from that source, not seen on hardware; [U] = unverified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from drivers.codecs.dialects import device_codec
from emulator.device import Burst
from emulator.faults import Faults
from emulator.faults.topic import UartChip
from emulator.parts import I2cBus

PACKET_BYTES: Final = 64
"""A full-speed bulk packet. A longer write arrives as several."""
FRAME_GAP_S: Final = 0.004
"""Half a frame is forgotten when the next packet is later than this."""
FRAME_MAX: Final = 4098
QUEUE_MAX: Final = 8
WRITE_MAX: Final = 256
BACKLOG_PACKETS: Final = 256
"""Packets that wait in the host while the queue is full. The host would block; here the excess is dropped."""

PAGE_I2C: Final = 0x05
PAGE_GPIO: Final = 0x06
PAGE_ADC: Final = 0x07
RESET_PIN: Final = 0x00
ADC_VDD: Final = 0x50

ID_UNKNOWN: Final = 0xFF
"""Stands in answers to requests that could not be parsed."""
INVALID: Final = 0x11
TOO_LONG: Final = 0x12
TEXT_FOLLOWS: Final = 0xFF

OVERHEAD_S: Final = 0.0003
"""USB and task switching per request [A]; I2C bits come on top."""
I2C_DEFAULT_HZ: Final = 100_000
I2C_MIN_HZ: Final = 1_150
I2C_MAX_HZ: Final = 1_000_000
UART_START_BAUD: Final = 9600
"""Line coding before the host sets one: Linux cdc_acm says 9600 at probe; the USB class default is 8000."""


class _Request(NamedTuple):
    at_s: float
    seconds: float
    ident: int
    page: int
    command: int
    data: bytes


class _Refused(NamedTuple):
    """A request that did not parse. It takes its turn in the queue, so answers keep their order."""

    at_s: float
    seconds: float
    answer: bytes


class BitaxeRaw:
    """The firmware: the state that both ports share. Power-up holds the chips in reset."""

    def __init__(
        self,
        bus: I2cBus,
        chip: UartChip,
        faults: Faults,
        *,
        set_reset: Callable[[bool, float], None],
        core_adc: Callable[[float], int],
        dialect: str = "A",
    ) -> None:
        self.bus, self.chip, self.faults = bus, chip, faults
        self.set_reset, self.core_adc = set_reset, core_adc
        self.dialect = dialect
        self.reset_released = False
        self.control = ControlPort(self)
        self.data = DataPort(self)

    @property
    def dead(self) -> bool:
        """Nothing is parsed and nothing answered on the control port."""
        faults = self.faults
        return faults.panicked or faults.control_orphaned

    def power_up(self, at_s: float) -> None:
        """The MCU starts: the reset pin is low, queues are empty, the rate of the chip UART is the default."""
        self.reset_released = False
        self.set_reset(True, at_s)
        self.control.power_up()
        self.data.power_up()

    def settle(self, at_s: float) -> None:
        """Carry out all that is due by `at_s`, as when someone looks at the board between two wake-ups."""
        self.control.settle(at_s)


class ControlPort:
    """The control port, a `Device`. Its bursts have baud 0: the line rate of this port means nothing."""

    def __init__(self, firmware: BitaxeRaw) -> None:
        self._firmware = firmware
        self._codec = device_codec(firmware.dialect)
        self.power_up()

    def power_up(self) -> None:
        self._buffer = bytearray()
        self._packet_at_s = float("-inf")
        self._queue: deque[_Request | _Refused] = deque()
        self._done_at_s: float | None = None
        self._backlog: deque[bytes] = deque()
        self._answers: list[Burst] = []
        self._held = b""
        self._i2c_hz = I2C_DEFAULT_HZ

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        """Ignored: only the data port mirrors its line rate."""

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        if self._firmware.dead:
            return
        self.settle(at_s)
        data = burst.data
        if len(data) <= PACKET_BYTES:
            self._packet(data, at_s)
            return
        for start in range(0, len(data), PACKET_BYTES):
            self._packet(data[start : start + PACKET_BYTES], at_s)

    def transmit(self, at_s: float) -> list[Burst]:
        self.settle(at_s)
        answers, self._answers = self._answers, []
        return answers

    def wakes_at(self) -> float | None:
        if self._answers:
            return self._packet_at_s
        if self._firmware.faults.wedged or self._firmware.dead or self._done_at_s is None:
            return None
        return max(self._done_at_s, self._firmware.faults.stalled_until_s)

    # --- receiving: one USB packet at a time

    def _packet(self, packet: bytes, at_s: float) -> None:
        if self._firmware.dead:
            return
        if len(self._queue) >= QUEUE_MAX:
            # The reader task waits for a place; the packet stays in the host, which cannot send more.
            if len(self._backlog) < BACKLOG_PACKETS:
                self._backlog.append(packet)
            return
        buffer = self._buffer
        if buffer and at_s - self._packet_at_s > FRAME_GAP_S:
            buffer.clear()
        self._packet_at_s = at_s
        if len(buffer) + len(packet) > FRAME_MAX:
            self._firmware.faults.panic()  # [D] the copy into the frame buffer overruns
            return
        buffer += packet
        if len(buffer) < 5:
            return
        length = buffer[0] | buffer[1] << 8
        if length <= 4:
            self._firmware.faults.panic()  # [D] a slice of the frame ends before it begins
            return
        if len(buffer) < length:
            return
        frame = bytes(buffer[:length])
        # Only one frame a packet: what is left is looked at again when the next packet comes, if that is soon.
        del buffer[:length]
        self._parsed(frame, at_s)

    def _parsed(self, frame: bytes, at_s: float) -> None:
        request: _Request | _Refused
        refusal = INVALID
        seconds: float | None = None
        if len(frame) >= 6:
            page, command, data = frame[4], frame[5], frame[6:]
            if page == PAGE_I2C:
                if command == 0x20 and len(data) > WRITE_MAX + 1:
                    refusal = TOO_LONG
                elif command in (0x20, 0x30, 0x40, 0x10):
                    seconds = self._i2c_seconds(command, data)
            elif page == PAGE_GPIO:
                if command == RESET_PIN and len(data) <= 1:
                    seconds = 0.0
            elif page == PAGE_ADC and command == ADC_VDD and not data:
                seconds = 0.0  # 51 stands in the firmware's README but not in its code
        if seconds is None:
            request = _Refused(at_s, OVERHEAD_S, self._codec.encode_error(ID_UNKNOWN, refusal))
        else:
            request = _Request(at_s, OVERHEAD_S + seconds, frame[2], page, command, data)
        self._queue.append(request)
        if self._done_at_s is None:
            self._done_at_s = at_s + request.seconds

    def _i2c_seconds(self, command: int, data: bytes) -> float | None:
        """How long the bus is busy; None: the data do not fit the command."""
        if command == 0x20:
            clocks = 9 * len(data) if data else None
        elif command == 0x30:
            clocks = 9 * (1 + data[1]) if len(data) == 2 else None
        elif command == 0x40:
            clocks = 9 * (len(data) + data[-1]) if len(data) >= 3 else None  # the length byte stands for address two
        else:
            clocks = 0 if len(data) == 4 else None
        return None if clocks is None else clocks / self._i2c_hz

    # --- carrying out, in order, one at a time

    def settle(self, at_s: float) -> None:
        """Carry out every request that is done by `at_s`, each at the moment its bus transfer ends."""
        faults = self._firmware.faults
        while (done := self._done_at_s) is not None and done <= at_s:
            if faults.wedged or self._firmware.dead or at_s < faults.stalled_until_s:
                return
            done = max(done, faults.stalled_until_s)
            request = self._queue.popleft()
            answer = request.answer if isinstance(request, _Refused) else self._carry_out(request, done)
            if answer is not None:
                self._reply(answer)
            self._done_at_s = None
            if self._queue:
                following = self._queue[0]
                self._done_at_s = max(done, following.at_s) + following.seconds
            while self._backlog and len(self._queue) < QUEUE_MAX:
                self._packet(self._backlog.popleft(), done)

    def _carry_out(self, request: _Request, at_s: float) -> bytes | None:
        """The answer as bytes; None when there will be none."""
        _, _, ident, page, command, data = request
        firmware = self._firmware
        if page == PAGE_I2C:
            if command == 0x40:
                payload = firmware.bus.write_read(data[0], data[1:-1], data[-1], at_s) if data[-1] else None
                if payload is None:
                    return self._codec.encode_error(ident, TEXT_FOLLOWS, "I2C WriteRead Error")
            elif command == 0x20:
                if len(data) == 1:
                    # [D] The driver waits for a STOP that an empty write never makes. The control task ends here.
                    firmware.faults.wedge()
                    return None
                if not firmware.bus.write(data[0], data[1:], at_s):
                    return self._codec.encode_error(ident, TEXT_FOLLOWS, "I2C Write Error")
                payload = bytes(((len(data) - 1) & 0xFF,))
            elif command == 0x30:
                found = firmware.bus.read(data[0], data[1], at_s) if data[1] else None
                if found is None:
                    return self._codec.encode_error(ident, TEXT_FOLLOWS, "I2C Read Error")
                payload = found
            else:
                hertz = int.from_bytes(data, "little")
                if hertz == 0:
                    firmware.faults.panic()  # [U] divides by zero on the RP2040; taken to be alike here
                    return None
                if not I2C_MIN_HZ <= hertz <= I2C_MAX_HZ:
                    return self._codec.encode_error(ident, TEXT_FOLLOWS, "I2C Set Frequency Error")
                self._i2c_hz = hertz
                payload = data
        elif page == PAGE_GPIO:
            if data:
                released = data[0] != 0
                if released != firmware.reset_released:
                    firmware.reset_released = released
                    firmware.set_reset(not released, at_s)
            payload = b"\x01" if firmware.reset_released else b"\x00"
        else:
            payload = firmware.core_adc(at_s).to_bytes(2, "little")
        return self._codec.encode_reply(ident, payload)

    def _reply(self, answer: bytes) -> None:
        spoilt = spoil_reply(answer, self._firmware.faults)
        if spoilt is None:
            return
        answer = spoilt
        if len(answer) > PACKET_BYTES:
            return  # the packet write fails, and nobody looks at the error
        answer, self._held = self._held + answer, b""
        if len(answer) == PACKET_BYTES:
            # No zero-length packet ends the transfer: the host's driver keeps it until more data come.
            self._held = answer
            return
        self._answers.append(Burst(0, answer))


class Piping(Protocol):
    """A firmware that pipes bytes to a chip."""

    chip: UartChip
    faults: Faults

    def settle(self, at_s: float) -> None: ...


class DataPort:
    """The data port, a `Device`: a byte pipe to the chip UART, always 8N1, at the rate of the line coding."""

    def __init__(self, firmware: Piping) -> None:
        self._firmware = firmware
        self.power_up()

    def power_up(self) -> None:
        self.baud = UART_START_BAUD
        self._waiting: list[tuple[Burst, int | None]] = []

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        """At once, whatever still waits to be sent. Rate 0 halts the firmware [D]."""
        if baud == 0:
            self._firmware.faults.panic()
        elif not self._firmware.faults.panicked:
            self.baud = baud

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        if self._firmware.faults.panicked:
            return
        self._firmware.settle(at_s)
        burst = Burst(burst.baud or self.baud, burst.data)
        if at_s < self._firmware.faults.stalled_until_s:
            self._waiting.append((burst, previous_baud))
            return
        if self._waiting:
            self._pass_on(at_s)
        self._firmware.chip.receive(burst, at_s, previous_baud)

    def transmit(self, at_s: float) -> list[Burst]:
        self._firmware.settle(at_s)
        if at_s < self._firmware.faults.stalled_until_s:
            return []
        if self._waiting:
            self._pass_on(at_s)
        bursts = self._firmware.chip.transmit(at_s)
        return [] if self._firmware.faults.panicked else bursts

    def wakes_at(self) -> float | None:
        faults = self._firmware.faults
        if faults.panicked:
            return None
        due_s = faults.stalled_until_s if self._waiting else self._firmware.chip.wakes_at()
        return None if due_s is None else max(due_s, faults.stalled_until_s)

    def _pass_on(self, at_s: float) -> None:
        """What came while the firmware stood still."""
        waiting, self._waiting = self._waiting, []
        for burst, previous_baud in waiting:
            self._firmware.chip.receive(burst, at_s, previous_baud)


def spoil_reply(answer: bytes, faults: Faults) -> bytes | None:
    """What the faults of the line make of a reply: it is lost, or another request's."""
    if faults.lost_replies > 0:
        faults.lost_replies -= 1
        return None
    if faults.foreign_replies > 0:
        faults.foreign_replies -= 1
        return answer[:2] + bytes((foreign_id(answer[2]),)) + answer[3:]
    return answer


def foreign_id(ident: int) -> int:
    """Another id, and never the one that stands for requests that could not be parsed."""
    other = ident ^ 0x20
    return other if other != ID_UNKNOWN else ident ^ 0x10

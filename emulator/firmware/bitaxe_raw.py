"""bitaxe-raw, the USB bridge firmware of Bitaxe boards (ESP32-S3), and emberone-usbserial-fw (RP2040), made from it.

Two ports: `control` tunnels I2C, pins and ADC channels; `data` is a byte pipe to the UART of the chips. What the
firmware does with half a frame, two frames in a packet, a length it did not expect or a host that does not read is
part of it, and is here; in what the firmwares differ is data, `profiles.py`. Facts: korbin/bitaxe-raw and
bitaxeorg/bitaxe-raw `src/main.rs`, `src/control/*.rs`, `src/asic_serial.rs`; emberone-usbserial-fw the same and
`src/uart.rs`; docs/wire/bitaxe-raw.md. [D] = follows from that source, not seen on hardware; [U] = unverified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from drivers.codecs.dialects import device_codec
from drivers.units import Volts
from emulator.device import Burst
from emulator.faults import Faults
from emulator.faults.topic import UartChip
from emulator.firmware.profiles import BITAXE_RAW, Profile, exactly
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

PAGE_BRIDGE: Final = 0x00
PAGE_I2C: Final = 0x05
PAGE_GPIO: Final = 0x06
PAGE_ADC: Final = 0x07
PAGE_LED: Final = 0x08
PAGE_SYSTEM: Final = 0x09
PAGE_FAN: Final = 0x09
FAN_SET, FAN_TACH = 0x10, 0x20
BRIDGE_COMMANDS: Final = frozenset({0x01, 0x02, 0x10})
LED_SET: Final = 0x10
MAGIC: Final = {0x01: bytes.fromhex("DE AD BE EF"), 0x02: bytes.fromhex("B0 07 10 AD")}
"""Of page 09: reboot, and reboot into the UF2 loader."""
REBOOT: Final = 0x01

ID_UNKNOWN: Final = 0xFF
"""Stands in answers to requests that could not be parsed."""
INVALID: Final = 0x11
TEXT_FOLLOWS: Final = 0xFF

OVERHEAD_S: Final = 0.0003
"""USB and task switching per request [A]; I2C bits come on top."""
I2C_DEFAULT_HZ: Final = 100_000
ENUMERATION_S: Final = 1.0
"""From a reboot to the two ports of a device that is there again [A]."""
UART_START_BAUD: Final = 9600
"""Line coding before the host sets one: Linux cdc_acm says 9600 at probe; the USB class default is 8000."""


_I2C_TEXTS: Final = {0x20: "I2C Write Error", 0x30: "I2C Read Error", 0x40: "I2C WriteRead Error"}


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


class Refused(Exception):
    """A request that the firmware answers with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code:#04x}")
        self.code = code


class BitaxeRaw:
    """The firmware: the state that both ports share. At power-up each output is driven as its `Pin` says."""

    def __init__(
        self,
        bus: I2cBus,
        chip: UartChip,
        faults: Faults,
        *,
        drive: Callable[[str, bool | None, float], None],
        pin_v: Callable[[str, float], Volts],
        sense: Callable[[str, float], bool] | None = None,
        profile: Profile = BITAXE_RAW,
    ) -> None:
        """`drive`: a named pin is set, or driven by nobody (None), at that time. `pin_v`: volts at the pin of a named
        ADC channel. `sense`: level of a named input; a profile with inputs needs it."""
        if sense is None and not all(pin.output for pin in profile.pins.values()):
            raise ValueError(f"{profile.name} has inputs, and nobody says what level they have")
        self.bus, self.chip, self.faults, self.profile = bus, chip, faults, profile
        self._drive, self._pin_v, self._sense = drive, pin_v, sense
        self.levels: dict[str, bool] = {}
        """What the latch of each output holds."""
        self.led_rgb = (0, 0, 0)
        self.running = False
        """False: no power, or in the UF2 loader. Both ports are dead and the pins driven by nobody."""
        self.control = ControlPort(self)
        self.data = DataPort(self, profile.make_baud, profile.rx_ring_bytes)

    @property
    def dead(self) -> bool:
        """Nothing is parsed and nothing answered on the control port."""
        faults = self.faults
        return faults.panicked or faults.control_orphaned or not self.running

    def power_up(self, at_s: float) -> None:
        """The MCU starts: pins as the profile has them, queues are empty, the rate of the chip UART is the default.
        Nothing starts without the cable that it lives on."""
        if self.faults.usb_starved:
            return
        self.running = True
        self.led_rgb = (0, 0, 0)
        for pin in self.profile.pins.values():
            if pin.output and not pin.behind:
                self.levels[pin.name] = pin.high_at_power_up
                self._drive(pin.name, pin.high_at_power_up, at_s)
        self.control.restart()
        self.data.restart()

    def power_down(self, at_s: float) -> None:
        """The MCU stops: its pins are driven by nobody, and what the board makes of that is the board's."""
        self.running = False
        for name in self.levels:
            self._drive(name, None, at_s)
        self.levels.clear()
        self.control.restart()
        self.data.restart()

    def lose_usb(self, at_s: float) -> bool:
        """The cable is out. Whether the MCU lived on it, and stops."""
        if self.profile.usb_powered:
            self.power_down(at_s)
        return self.profile.usb_powered

    def settle(self, at_s: float) -> None:
        """Carry out all that is due by `at_s`, as when someone looks at the board between two wake-ups."""
        self.control.settle(at_s)

    # --- pages

    def pin(self, number: int, data: bytes, at_s: float) -> bool:
        """Set the pin where there is a level, and say which it has. Of an output the latch."""
        pin = self.profile.pins[number]
        if not pin.output:
            assert self._sense is not None
            return self._sense(pin.name, at_s)
        if data and (high := data[0] != 0) != self.levels[pin.name]:
            self.levels[pin.name] = high
            self._drive(pin.name, high, at_s)
        return self.levels[pin.name]

    def adc(self, command: int, at_s: float) -> int:
        return self.profile.convert(self._pin_v(self.profile.adc[command], at_s))

    def proxied(self, page: int, command: int, data: bytes, at_s: float) -> bytes:
        """The payload of a fan or bridge request, which another MCU carries out; or `Refused`."""
        raise Refused(INVALID)

    def seconds(self, page: int, command: int) -> float:
        """How long another MCU takes for it."""
        return 0.0

    def reboot(self, at_s: float, *, into_loader: bool) -> None:
        """Both ports vanish. The firmware starts anew and they come back; the loader is no serial port."""
        if into_loader:
            self.power_down(at_s)
        else:
            self.power_up(at_s)
        for port in self.faults.ports.values():
            port.hang_up()
            if not into_loader:
                port.replug_later(ENUMERATION_S)


class ControlPort:
    """The control port, a `Device`. Its bursts have baud 0: the line rate of this port means nothing."""

    def __init__(self, firmware: BitaxeRaw) -> None:
        self._firmware = firmware
        self._codec = device_codec(firmware.profile.dialect)
        self.restart()

    def restart(self) -> None:
        """Forgets everything."""
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
        refusal, text = INVALID, ""
        seconds: float | None = None
        known = False
        profile = self._firmware.profile
        if len(frame) >= 6:
            page, command, data = frame[4], frame[5], frame[6:]
            if page == PAGE_I2C:
                written = len(data) - {0x20: 1, 0x40: 2}.get(command, len(data))
                if written > WRITE_MAX:
                    refusal, text = profile.too_long
                elif command in (0x20, 0x30, 0x40, 0x10):
                    seconds = self._i2c_seconds(command, data)
            elif page == PAGE_GPIO:
                pin = profile.pins.get(command)
                known = pin is not None and len(data) <= pin.output
            elif page == PAGE_ADC:
                known = command in profile.adc and not data
            elif page == PAGE_LED:
                known = profile.led and command == LED_SET and len(data) == 3
            elif page == PAGE_FAN and profile.fan:
                known = (command == FAN_SET and len(data) == 1 and data[0] <= 100) or (command == FAN_TACH and not data)
            elif page == PAGE_SYSTEM:
                known = profile.system and data == MAGIC.get(command)
            elif page == PAGE_BRIDGE:
                known = profile.bridge_page and command in BRIDGE_COMMANDS and not data
            if known:
                seconds = self._firmware.seconds(page, command)
        if seconds is None:
            request = _Refused(at_s, OVERHEAD_S, self._codec.encode_error(ID_UNKNOWN, refusal, text))
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
            clocks = 9 * (len(data) + data[-1]) if len(data) >= 2 else None  # the length byte stands for address two
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
            self._done_at_s = None  # before it is carried out: that may start the firmware anew
            answer = request.answer if isinstance(request, _Refused) else self._answer_to(request, done)
            if answer is not None:
                self._reply(answer)
            if self._queue:
                following = self._queue[0]
                self._done_at_s = max(done, following.at_s) + following.seconds
            while self._backlog and len(self._queue) < QUEUE_MAX:
                self._packet(self._backlog.popleft(), done)

    def _answer_to(self, request: _Request, at_s: float) -> bytes | None:
        """As bytes; None when there will be none."""
        try:
            return self._carry_out(request, at_s)
        except Refused as refused:
            return self._codec.encode_error(request.ident, refused.code)

    def _carry_out(self, request: _Request, at_s: float) -> bytes | None:
        _, _, ident, page, command, data = request
        firmware = self._firmware
        if page == PAGE_I2C:
            return self._i2c(ident, command, data, at_s)
        if page == PAGE_SYSTEM and firmware.profile.system:
            firmware.reboot(at_s, into_loader=command != REBOOT)
            return None
        if page in (PAGE_FAN, PAGE_BRIDGE):
            payload = firmware.proxied(page, command, data, at_s)
        elif page == PAGE_GPIO:
            payload = bytes((firmware.pin(command, data, at_s),))
        elif page == PAGE_ADC:
            payload = firmware.adc(command, at_s).to_bytes(2, "little")
        else:
            firmware.led_rgb = (data[0], data[1], data[2])
            payload = data
        return self._codec.encode_reply(ident, payload)

    def _i2c(self, ident: int, command: int, data: bytes, at_s: float) -> bytes | None:
        firmware = self._firmware
        if command == 0x10:
            return self._set_i2c_hz(ident, data)
        bus, found, text = firmware.bus, None, _I2C_TEXTS[command]
        reserved = firmware.profile.refuses_reserved and (data[0] >= 0x78 or 0x01 <= data[0] <= 0x07)
        if reserved:
            found = None
        elif command == 0x20:
            if len(data) == 1:
                # [D] The driver waits for a STOP that an empty write never makes. The control task ends here.
                firmware.faults.wedge()
                return None
            found = bytes(((len(data) - 1) & 0xFF,)) if bus.write(data[0], data[1:], at_s) else None
        elif command == 0x30 or len(data) == 2:  # [D] a write of nothing, then a read, is a read
            found = bus.read(data[0], data[1], at_s) if data[1] else None
        elif data[-1]:
            found = bus.write_read(data[0], data[1:-1], data[-1], at_s)
        if found is None:
            return self._codec.encode_error(ident, TEXT_FOLLOWS, text)
        return self._codec.encode_reply(ident, found)

    def _set_i2c_hz(self, ident: int, data: bytes) -> bytes | None:
        hertz = int.from_bytes(data, "little")
        if hertz == 0:
            self._firmware.faults.panic()  # [D] divides by zero on the RP2040; taken to be alike elsewhere [U]
            return None
        profile = self._firmware.profile
        if not profile.i2c_min_hz <= hertz <= profile.i2c_max_hz:
            return self._codec.encode_error(ident, TEXT_FOLLOWS, "I2C Set Frequency Error")
        self._i2c_hz = hertz
        return self._codec.encode_reply(ident, data)

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
    running: bool

    def settle(self, at_s: float) -> None: ...


class DataPort:
    """The data port, a `Device`: a byte pipe to the chip UART, always 8N1, at the rate of the line coding.

    `make_baud`: what the UART makes of that rate. `rx_ring_bytes`: what it keeps while the firmware stands still.
    """

    def __init__(
        self, firmware: Piping, make_baud: Callable[[int], int] = exactly, rx_ring_bytes: int | None = None
    ) -> None:
        self._firmware, self._make_baud, self._rx_ring_bytes = firmware, make_baud, rx_ring_bytes
        self.restart()

    def restart(self) -> None:
        """Forgets everything, the rate as well."""
        self.baud = UART_START_BAUD
        self._read_at_s = float("-inf")
        self._waiting: list[tuple[Burst, int | None]] = []

    @property
    def _dead(self) -> bool:
        return self._firmware.faults.panicked or not self._firmware.running

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        """At once, whatever still waits to be sent. Rate 0 halts the firmware [D]."""
        if baud == 0:
            self._firmware.faults.panic()
        elif not self._firmware.faults.panicked:
            self.baud = baud

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        if self._dead:
            return
        self._firmware.settle(at_s)
        burst = Burst(self._make_baud(burst.baud or self.baud), burst.data)
        previous_baud = self._make_baud(previous_baud) if previous_baud else previous_baud
        if at_s < self._firmware.faults.stalled_until_s:
            self._waiting.append((burst, previous_baud))
            return
        if self._waiting:
            self._pass_on(at_s)
        self._firmware.chip.receive(burst, at_s, previous_baud)

    def transmit(self, at_s: float) -> list[Burst]:
        self._firmware.settle(at_s)
        stalled_until_s = self._firmware.faults.stalled_until_s
        if self._dead or at_s < stalled_until_s:
            return []
        chip, kept = self._firmware.chip, []
        if self._read_at_s < stalled_until_s and self._rx_ring_bytes is not None:
            kept = _first(chip.transmit(stalled_until_s), self._rx_ring_bytes)
        self._read_at_s = at_s
        if self._waiting:
            self._pass_on(at_s)
        bursts = kept + chip.transmit(at_s)
        return [] if self._dead else bursts

    def wakes_at(self) -> float | None:
        faults = self._firmware.faults
        if self._dead:
            return None
        due_s = faults.stalled_until_s if self._waiting else self._firmware.chip.wakes_at()
        return None if due_s is None else max(due_s, faults.stalled_until_s)

    def _pass_on(self, at_s: float) -> None:
        """What came while the firmware stood still."""
        waiting, self._waiting = self._waiting, []
        for burst, previous_baud in waiting:
            self._firmware.chip.receive(burst, at_s, previous_baud)


def _first(bursts: list[Burst], count: int) -> list[Burst]:
    """The first `count` bytes of them."""
    kept = []
    for baud, data in bursts:
        if count > 0:
            kept.append(Burst(baud, data[:count]))
        count -= len(data)
    return kept


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

"""A wire recording as frames: bytes of both directions put together again, each with its time and meaning.

Pure: recordings in, frames out. The data port speaks BM13xx, the control port bitaxe-raw in any reply dialect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from drivers.codecs import bitaxe_raw, bm13xx, bridge_system
from drivers.codecs.dialects import DIALECTS, AnyDeviceCodec, AnyHostCodec, device_codec, host_codec
from drivers.codecs.pmbus import Command as PmbusCommand
from drivers.errors import ProtocolError, UsageError
from drivers.transports.tap import BAUD, LOST, RX, TX, TapRecord

_QUIET_NS: Final = 20_000_000
"""Silence after which a bridge reply that could be an error or the beginning of a success is an error."""

_RESET_BAUD: Final = 115_200

_CHIP_ID: Final = 0x00
_OF_MIDSTATES: Final = frozenset({0x1397})
"""Chips that take no whole headers."""
_REGISTERS: Final = {
    0x00: "CHIP_ID",
    0x04: "HASH_RATE",
    0x08: "PLL0",
    0x0C: "CHIP_NONCE_OFFSET",
    0x10: "HASH_COUNTING_NUMBER",
    0x14: "TICKET_MASK",
    0x18: "MISC_CONTROL",
    0x20: "ORDERED_CLOCK_ENABLE",
    0x28: "FAST_UART",
    0x2C: "UART_RELAY",
    0x3C: "CORE_REGISTER_CONTROL",
    0x4C: "ERROR_COUNT",
    0x54: "ANALOG_MUX",
    0x58: "IO_DRIVER_STRENGTH",
    0x60: "PLL1",
    0x68: "PLL3",
    0x70: "PLL0_DIVIDER",
    0x80: "CLOCK_ORDER_CONTROL0",
    0x84: "CLOCK_ORDER_CONTROL1",
    0x8C: "TOTAL_COUNT",
    0xA4: "VERSION_ROLLING",
    0xA8: "SOFT_RESET_CONTROL",
    0xB9: "MISC_SETTINGS",
}
_PMBUS_NAMES: Final = {command.value: command.name for command in PmbusCommand}
_BRIDGE_NAMES: Final = {each.value: each.name.lower().replace("_", " ") for each in bridge_system.SystemCommand}
_I2C_PARTS: Final = {
    0x24: "tps546",
    0x2E: "emc2103",
    0x2F: "emc2302",
    0x40: "ina260",
    0x43: "fxl6408",
    0x48: "ds4432u",
    0x49: "tmp451",
    0x4A: "tmp1075",
    0x4B: "tmp1075",
    0x4C: "emc2101",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `direction`: tx (from the host), rx (to it), baud or lost. `kind` is a stable word for scripts."""

    t_ns: int
    port: str
    direction: str
    data: bytes
    kind: str
    meaning: str


class _Decoder(Protocol):
    def line_rate(self, baud: int) -> None: ...

    def decode(self, record: TapRecord) -> Iterator[Frame]: ...

    def flush(self, t_ns: int) -> Iterator[Frame]: ...


def frames(records: Iterable[TapRecord]) -> Iterator[Frame]:
    """All frames of a recording in order of their last byte. What fits no frame comes as kind `noise`."""
    decoders: dict[str, _Decoder] = {}
    last_ns = 0
    for record in records:
        last_ns = record.t_ns
        decoder = decoders.get(record.port)
        if decoder is None:
            decoder = DataDecoder(record.port) if record.port.endswith("data") else ControlDecoder(record.port)
            decoders[record.port] = decoder
        if record.direction == BAUD:
            decoder.line_rate(record.baud)
            yield Frame(record.t_ns, record.port, BAUD, b"", "baud", f"line rate {record.baud}")
        elif record.direction == LOST:
            yield Frame(record.t_ns, record.port, LOST, b"", "lost", f"port lost: {record.why}")
        else:
            yield from decoder.decode(record)
    for decoder in decoders.values():
        yield from decoder.flush(last_ns)


class DataDecoder:
    """BM13xx in both directions. Replies have 9 bytes until one of 11 was seen, and again after a reset of the chips.

    Once the length is known it is kept: a nonce of 11 bytes passes for a register reply of 9 now and then. A BM1397 is
    known by its id, which has to be in the recording: it keeps to 9 bytes, and is sent midstates.
    """

    def __init__(self, port: str) -> None:
        self._port = port
        self._chip = bm13xx.DeviceCodec(full_header_jobs=True)
        self._host = bm13xx.HostCodec()

    def decode(self, record: TapRecord) -> Iterator[Frame]:
        if record.direction == TX:
            for command in self._chip.feed(record.data):
                if isinstance(command, bm13xx.ReadRegister):
                    self._host.expect(command.register)
                yield self._command(record.t_ns, command)
            return
        for event in self._host.feed(record.data):
            yield self._event(record.t_ns, event)
            if isinstance(event, bm13xx.RegisterReply) and event.register == _CHIP_ID:
                self._found(event.value >> 16)
        if self._host.seen_reply_bytes == bm13xx.LONG_REPLY_BYTES:
            self._host.use_reply_bytes(bm13xx.LONG_REPLY_BYTES)

    def _found(self, chip_id: int) -> None:
        self._chip.full_header_jobs = chip_id not in _OF_MIDSTATES
        if chip_id in _OF_MIDSTATES:
            self._host.use_reply_bytes(bm13xx.SHORT_REPLY_BYTES)

    def line_rate(self, baud: int) -> None:
        """The rate of chips out of reset says that they were reset."""
        if baud == _RESET_BAUD:
            self._host.use_reply_bytes(None)

    def flush(self, t_ns: int) -> Iterator[Frame]:
        for codec, direction in ((self._chip, TX), (self._host, RX)):
            if codec.pending:
                text = f"{codec.pending} bytes of an unfinished frame at the end of the recording"
                yield Frame(t_ns, self._port, direction, b"", "noise", text)

    def _command(self, t_ns: int, command: bm13xx.Command) -> Frame:
        if isinstance(command, bm13xx.Noise):
            return Frame(t_ns, self._port, TX, command.data, "noise", command.why)
        if isinstance(command, bm13xx.BadFrame):
            return Frame(t_ns, self._port, TX, command.data, "bad_crc", f"{command.kind} whose checksum is wrong")
        data = bm13xx.encode(command)
        match command:
            case bm13xx.ReadRegister(register, address):
                kind, meaning = "read", f"read {register_name(register)} of {_target(address)}"
            case bm13xx.WriteRegister(register, value, address):
                kind, meaning = "write", f"write {register_name(register)} = {value:08x} to {_target(address)}"
            case bm13xx.SetAddress(address):
                kind, meaning = "set_address", f"next chip takes address {address:02x}"
            case bm13xx.ChainInactive():
                kind, meaning = "chain_inactive", "all chips forget that they were addressed"
            case bm13xx.Job(job_byte=job_byte, header=header):
                version = int.from_bytes(header[:4], "little")
                kind = "job"
                meaning = f"job {job_byte >> 3}, version {version:08x}, previous block ..{header[4:12][::-1].hex()}"
            case bm13xx.MidstateJob(job_byte=job_byte, midstates=midstates):
                kind, meaning = "job", f"job byte {job_byte:02x}, {len(midstates)} midstates"
        return Frame(t_ns, self._port, TX, data, kind, meaning)

    def _event(self, t_ns: int, event: bm13xx.HostEvent) -> Frame:
        if isinstance(event, bm13xx.Noise):
            return Frame(t_ns, self._port, RX, event.data, "noise", event.why)
        if isinstance(event, bm13xx.RegisterReply):
            size = self._host.reply_bytes or self._host.seen_reply_bytes or bm13xx.SHORT_REPLY_BYTES
            meaning = f"{register_name(event.register)} = {event.value:08x} from chip {event.address:02x}"
            return Frame(t_ns, self._port, RX, self._chip.encode(event, size), "register", meaning)
        size = bm13xx.SHORT_REPLY_BYTES if event.version_field is None else bm13xx.LONG_REPLY_BYTES
        meaning = f"nonce {event.nonce.hex()}, result {event.result:02x}"
        if event.version_field is None:
            meaning += f" (job byte {event.result & 0xFC:02x}, midstate {event.result & 3})"
        else:
            meaning += f" (job {event.result >> 4 & 15}), version bits {event.version_field:04x}"
        return Frame(t_ns, self._port, RX, self._chip.encode(event, size), "nonce", meaning)


def register_name(register: int) -> str:
    return f"{_REGISTERS.get(register, 'register')} ({register:02x})"


def _target(address: int | None) -> str:
    return "all chips" if address is None else f"chip {address:02x}"


class ControlDecoder:
    """bitaxe-raw in both directions. A reply is understood by the request before it.

    The reply dialect is A until a reply is one in another and none in A; from the first reply on it is kept.
    """

    def __init__(self, port: str) -> None:
        self._port = port
        self._firmware = bitaxe_raw.DeviceCodec()
        self._device: AnyDeviceCodec = self._firmware
        self._host: AnyHostCodec = bitaxe_raw.HostCodec()
        self._settled = False
        self._question: tuple[bitaxe_raw.Request, int] | None = None
        self._since_question = bytearray()
        self._request = bytearray()
        self._asked = ""
        self._heard = bytearray()
        self._heard_ns = 0

    def line_rate(self, baud: int) -> None:
        """Means nothing to a bridge."""

    def decode(self, record: TapRecord) -> Iterator[Frame]:
        if self._host.pending_quiet and record.t_ns - self._heard_ns >= _QUIET_NS:
            yield from self._replies(self._heard_ns, self._host.quiet())
        if record.direction == TX:
            yield from self._requests(record)
            return
        self._heard_ns = record.t_ns
        self._heard += record.data
        self._since_question += record.data
        events = self._host.feed(record.data)
        if not self._settled:
            events = self._settle(events)
        yield from self._replies(record.t_ns, events)

    def _settle(self, events: list[bitaxe_raw.HostEvent]) -> list[bitaxe_raw.HostEvent]:
        """Look for the dialect in which what was heard is a reply. Errors look alike and say nothing."""
        if any(isinstance(event, bitaxe_raw.Reply) for event in events):
            self._settled = True
        elif self._question is not None and any(isinstance(event, bitaxe_raw.Stray) for event in events):
            for dialect in DIALECTS:
                codec = host_codec(dialect)
                with suppress(UsageError):
                    codec.expect(*self._question)
                    found = codec.feed(bytes(self._since_question))
                    if any(isinstance(event, bitaxe_raw.Reply) for event in found):
                        self._host, self._device, self._settled = codec, device_codec(dialect), True
                        return found
        return events

    def flush(self, t_ns: int) -> Iterator[Frame]:
        yield from self._replies(t_ns, self._host.quiet())
        if self._request:
            yield Frame(t_ns, self._port, TX, bytes(self._request), "noise", "an unfinished request")

    def _requests(self, record: TapRecord) -> Iterator[Frame]:
        self._request += record.data
        while len(self._request) >= 2:
            length = int.from_bytes(self._request[:2], "little")
            if length < bitaxe_raw.REQUEST_OVERHEAD_BYTES:
                yield Frame(record.t_ns, self._port, TX, bytes(self._request), "noise", "no request has this length")
                self._request.clear()
                return
            if len(self._request) < length:
                return
            data = bytes(self._request[:length])
            del self._request[:length]
            yield self._asking(record.t_ns, data)

    def _asking(self, t_ns: int, data: bytes) -> Frame:
        try:
            id_, page, command, payload = self._firmware.parse_request(data)
            self._asked = request_meaning(page, command, payload)
            self._heard.clear()
            request = _request(page, command, payload)
            self._question = request, id_
            self._since_question.clear()
            if page == bitaxe_raw.Page.BRIDGE and not self._settled:  # no firmware that answers in another has it
                self._host, self._device = host_codec("B"), device_codec("B")
            self._host.expect(request, id_)
        except (ProtocolError, UsageError) as error:
            return Frame(t_ns, self._port, TX, data, "noise", str(error))
        return Frame(t_ns, self._port, TX, data, "request", f"#{id_:02x} {self._asked}")

    def _replies(self, t_ns: int, events: Iterable[bitaxe_raw.HostEvent]) -> Iterator[Frame]:
        for event in events:
            if isinstance(event, bitaxe_raw.Reply):
                said = event.payload.hex(" ") or "done"
                frame = self._device.encode_reply(event.id, event.payload)
                yield Frame(t_ns, self._port, RX, frame, "reply", f"#{event.id:02x} {self._asked}: {said}")
            elif isinstance(event, bitaxe_raw.Refusal):
                text = event.text or f"error {event.code:02x}"
                data = bytes(self._heard)
                yield Frame(t_ns, self._port, RX, data, "refusal", f"#{event.id:02x} {self._asked}: refused, {text}")
            else:
                yield Frame(t_ns, self._port, RX, event.data, "noise", event.why)
            self._heard.clear()


_PAYLOAD_BYTES: Final[dict[tuple[int, int | None], int]] = {
    (bitaxe_raw.Page.ADC, None): 2,
    (bitaxe_raw.Page.LED, 0x10): 3,
    (bitaxe_raw.Page.FAN, 0x20): 2,
    (bitaxe_raw.Page.BRIDGE, bridge_system.SystemCommand.RX_LOSS): bridge_system.RX_LOSS_BYTES,
    (bitaxe_raw.Page.BRIDGE, None): bridge_system.STATUS_BYTES,
}
"""Of answers that are not 1 byte long; None: of every other command of the page."""


def _request(page: int, command: int, payload: bytes) -> bitaxe_raw.Request:
    """With what its answer can be."""
    if (page, command) == (bitaxe_raw.Page.BRIDGE, bridge_system.SystemCommand.INFO):
        return bridge_system.info()
    return bitaxe_raw.Request(page, command, payload, reply_bytes=_reply_bytes(page, command, payload))


def _reply_bytes(page: int, command: int, payload: bytes) -> int:
    """How long the payload of the answer is, from the request alone."""
    if page == bitaxe_raw.Page.I2C:
        if command == bitaxe_raw.I2cCommand.SET_FREQUENCY:
            return 4
        return 1 if command == bitaxe_raw.I2cCommand.WRITE else payload[-1] if payload else 0
    return _PAYLOAD_BYTES.get((page, command), _PAYLOAD_BYTES.get((page, None), 1))


def request_meaning(page: int, command: int, payload: bytes) -> str:
    """A request in words."""
    if page == bitaxe_raw.Page.GPIO:
        if not payload:
            return f"read pin {command}"
        return f"set pin {command} {'high' if payload[0] else 'low'}"
    if page == bitaxe_raw.Page.ADC:
        return f"convert channel {command:02x}"
    if page == bitaxe_raw.Page.LED and command == 0x10:
        return f"LED {payload.hex(' ')}"
    if page == bitaxe_raw.Page.FAN and command in (0x10, 0x20):  # its other meaning, the system, has 01 and 02
        return "read the tachometer" if command == 0x20 else f"fan {payload[0] if payload else '?'} %"
    if page == bitaxe_raw.Page.SYSTEM and payload == bitaxe_raw.reboot(into_loader=command == 0x02).data:
        return "reboot into the loader" if command == 0x02 else "reboot"
    if page == bitaxe_raw.Page.BRIDGE and command in _BRIDGE_NAMES:
        return f"bridge {_BRIDGE_NAMES[command]}"
    if page == bitaxe_raw.Page.I2C:
        if command == bitaxe_raw.I2cCommand.SET_FREQUENCY:
            return f"I2C clock {int.from_bytes(payload, 'little')} Hz"
        if payload:
            return _i2c_meaning(command, payload)
    return f"page {page:02x} command {command:02x} {payload.hex(' ')}".rstrip()


def _i2c_meaning(command: int, payload: bytes) -> str:
    address, rest = payload[0], payload[1:]
    part = f"{_I2C_PARTS.get(address, 'part')}@{address:02x}"
    if command == bitaxe_raw.I2cCommand.READ:
        return f"{part} read {rest[0] if rest else 0} bytes"
    register = rest[0] if rest else 0
    name = f"{register:02x}"
    if _I2C_PARTS.get(address) == "tps546" and register in _PMBUS_NAMES:
        name = f"{_PMBUS_NAMES[register]} ({register:02x})"
    if command == bitaxe_raw.I2cCommand.WRITE_READ:
        return f"{part} read {name}, {rest[-1]} bytes"
    return f"{part} write {name} = {rest[1:].hex(' ')}" if rest[1:] else f"{part} send {name}"

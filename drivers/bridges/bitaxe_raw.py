"""The bitaxe-raw bridge: the MCU on the board that lends us its I2C bus, its reset pin and its ADC over USB.

The firmware parses one frame per USB packet, counts lengths in two ways and drops what it cannot answer, so the driver
is the careful side: one request at a time, written in one call; ids that start at random and are never 0xFF; input
flushed and 20 ms of silence before the first request; reads tried again, writes never. Sources: korbin/bitaxe-raw
src/control/*.rs, 256foundation/emberone-usbserial-fw; docs/wire/bitaxe-raw.md. Firmwares that answer in dialect B
(docs/wire/host-lease.md) or C take the same requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from drivers.bridges.firmware import BridgeFirmware, Pin
from drivers.codecs import bitaxe_raw
from drivers.codecs.bitaxe_raw import ErrorCode, HostEvent, Refusal, Reply, Request, Stray
from drivers.codecs.dialects import DIALECTS, AnyHostCodec, host_codec
from drivers.errors import BridgeRefused, Nack, NoReply, NotInFirmware, UnexpectedReply, Unplugged, UsageError
from drivers.link import Link
from drivers.traits import Transport
from drivers.units import Rpm, Volts

TIMEOUT_S: Final = 0.25
"""Longest wait for one answer; the firmware needs about a millisecond, its own I2C timeouts stay below 100 ms [U]."""
OPEN_QUIET_S: Final = 0.020
"""After opening: replies of an earlier session come in this time, and half a frame is forgotten (after 4 ms)."""
QUIET_S: Final = 0.030
"""A silence that decides between the two readings of an ambiguous reply."""
SETTLE_S: Final = 0.010
"""After a request that was given up: its frame must not share a USB packet with the next."""
READ_TRIES: Final = 3
LEARN_TIMEOUT_S: Final = 0.1
"""Longest wait for an answer in a dialect that the firmware may not speak."""
TACH_TIMEOUT_S: Final = 1.0
"""A firmware with a fan counts its pulses for 0.5 s before it answers."""
REBOOT_WAIT_S: Final = 0.1
"""A firmware that reboots is silent; one that cannot says so in this time."""
_ADC_TOP_RAW: Final = 4095

T = TypeVar("T")
_Frame = tuple[Request, int]


@dataclass(slots=True)
class BridgeCounters:
    """Counts since the bridge was made. `strays`: pieces of input that answered nothing."""

    requests: int = 0
    silent: int = 0
    refused: int = 0
    strays: int = 0


class _Framing:
    """The codec with the one-argument `encode` that a `Link` calls."""

    def __init__(self, codec: AnyHostCodec) -> None:
        self.codec = codec

    def encode(self, message: _Frame, /) -> bytes:
        return self.codec.encode(*message)

    def feed(self, data: bytes, /) -> list[HostEvent]:
        return self.codec.feed(data)


class BitaxeRawBridge:
    """One bridge over its control port. Requests from any number of tasks are sent one after the other."""

    def __init__(
        self,
        transport: Transport,
        *,
        firmware: BridgeFirmware | None = None,
        dialect: str | None = None,
        timeout_s: float = TIMEOUT_S,
        first_id: int | None = None,
    ) -> None:
        """`firmware`: what it offers by name; None: it is asked by numbers. `dialect`: A, B or C, in which it answers;
        None: that of the firmware, or A."""
        self.name = transport.name
        self.firmware = firmware
        self.dialect = dialect or (firmware.dialect if firmware else "A")
        self.counters = BridgeCounters()
        self.on_lost: Callable[[Unplugged], None] | None = None
        self._transport = transport
        self._timeout_s = timeout_s
        self._framing = _Framing(host_codec(self.dialect))
        self._link: Link[_Frame, HostEvent] = Link(
            transport, self._framing, on_events=self._on_events, on_lost=self._on_lost
        )
        self._busy = asyncio.Lock()
        self._id = random.randrange(bitaxe_raw.UNPARSED_ID) if first_id is None else first_id
        self._opened = False
        self._settled_at_s = 0.0

    @property
    def lost(self) -> Unplugged | None:
        """Why the control port is gone; None while it is there."""
        return self._link.lost

    def start(self) -> None:
        """Begin to read. Nothing is sent."""
        self._link.start()

    async def open(self) -> None:
        """Throw away what an earlier session left behind. The first request does this by itself."""
        async with self._busy:
            await self._open()

    async def _open(self) -> None:
        if self._opened:
            return
        await self._transport.discard_input()
        await asyncio.sleep(OPEN_QUIET_S)
        await self._transport.discard_input()
        self._opened = True

    async def learn_dialect(self) -> str:
        """Find out in which dialect the firmware answers, and go on in it. For a port whose USB descriptor nobody saw:
        `bcdDevice` says it too. Reads pin 00, which changes nothing. Nothing else may be asked meanwhile. `NoReply`
        when it answers in none, with the dialect as it was."""
        before, what = self.dialect, f"GPIO 0 get of {self.name} in dialects {', '.join(DIALECTS)}"
        for _ in range(READ_TRIES):
            for dialect in sorted(DIALECTS, key=lambda each: each != before):
                self.speak(dialect)
                try:
                    await self.request(bitaxe_raw.gpio_get(0), what, timeout_s=LEARN_TIMEOUT_S)
                except NoReply:
                    continue
                return dialect
        self.speak(before)
        raise NoReply(what, LEARN_TIMEOUT_S)

    def speak(self, dialect: str) -> None:
        """From the next request on, answers are taken to be in this dialect. Nothing may be asked meanwhile."""
        self.dialect, self._framing.codec = dialect, host_codec(dialect)

    async def aclose(self) -> None:
        await self._link.aclose()

    def _on_lost(self, error: Unplugged) -> None:
        if self.on_lost is not None:
            self.on_lost(error)

    def _on_events(self, events: list[HostEvent]) -> None:
        self.counters.strays += sum(isinstance(event, Stray) for event in events)

    # --- requests -----------------------------------------------------------------------------------------------------

    async def request(
        self, request: Request, what: str, *, timeout_s: float | None = None, i2c_address: int | None = None
    ) -> bytes:
        """One request, sent once; returns the payload. Raises `NoReply`, `BridgeRefused` or `Unplugged`.

        With `i2c_address` an error text becomes a `Nack` of that address: the firmware has one for all that can go
        wrong on the bus.
        """
        async with self._busy:
            if not self._opened:
                await self._open()
            loop = asyncio.get_running_loop()
            if (wait_s := self._settled_at_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            self._id = own_id = (self._id + 1) % bitaxe_raw.UNPARSED_ID
            self._framing.codec.expect(request, own_id)
            self.counters.requests += 1

            def pick(event: HostEvent) -> Reply | Refusal | None:
                if isinstance(event, Reply) and event.id == own_id:
                    return event
                ours = isinstance(event, Refusal) and event.id in (own_id, bitaxe_raw.UNPARSED_ID)
                return event if ours and isinstance(event, Refusal) else None

            limit_s = timeout_s or self._timeout_s
            try:
                if self.dialect == "A" and request.reply_bytes in bitaxe_raw.COLLIDING_LENGTHS:
                    answer = await self._ask_ambiguous((request, own_id), pick, what, limit_s)
                else:
                    answer = await self._link.ask((request, own_id), pick, limit_s, what)
            except (NoReply, asyncio.CancelledError):
                self._settled_at_s = loop.time() + SETTLE_S
                self.counters.silent += 1
                raise
        if isinstance(answer, Refusal):
            self.counters.refused += 1
            if i2c_address is not None and answer.code == ErrorCode.TEXT:
                raise Nack(i2c_address, answer.text)
            raise BridgeRefused(what, answer.code, answer.text)
        return answer.payload

    async def _ask_ambiguous(
        self, frame: _Frame, pick: Callable[[HostEvent], Reply | Refusal | None], what: str, timeout_s: float
    ) -> Reply | Refusal:
        """Ask, and let silence decide what the codec cannot: the few answers that read two ways in dialect A."""
        asking: asyncio.Future[Reply | Refusal] = asyncio.ensure_future(self._link.ask(frame, pick, timeout_s, what))
        try:
            while not asking.done():
                before = self._framing.codec.pending
                await asyncio.wait((asking,), timeout=QUIET_S)
                if self._framing.codec.pending_quiet and self._framing.codec.pending == before:
                    self._link.dispatch(self._framing.codec.quiet())
            return await asking
        finally:
            asking.cancel()

    async def read(
        self,
        request: Request,
        what: str,
        *,
        tries: int = READ_TRIES,
        timeout_s: float | None = None,
        i2c_address: int | None = None,
    ) -> bytes:
        """A request that changes nothing: asked up to `tries` times while it stays unanswered or is refused."""
        if tries < 1:
            raise UsageError("tries", tries, "1 or more")
        for _ in range(tries - 1):
            try:
                return await self.request(request, what, timeout_s=timeout_s, i2c_address=i2c_address)
            except (Nack, BridgeRefused, NoReply):
                continue
        return await self.request(request, what, timeout_s=timeout_s, i2c_address=i2c_address)

    # --- what the bridge lends ----------------------------------------------------------------------------------------

    def i2c(self, *, read_tries: int = READ_TRIES, timeout_s: float | None = None) -> BridgeI2c:
        """The I2C bus. `read_tries=1` and a short time-out for sweeps, which come back soon anyway."""
        return BridgeI2c(self, read_tries, timeout_s)

    def gpio(self, pin: int) -> BridgePin:
        """One pin, by the number that the firmware gives it."""
        return BridgePin(self, Pin("", pin))

    def pin(self, name: str) -> BridgePin:
        """One pin, by the name that the table of the firmware gives it. `UsageError` for another."""
        return BridgePin(self, self._known("pin", name).pin(name))

    async def adc(self, command: int = 0x50, *, tries: int = READ_TRIES) -> int:
        """A raw, uncalibrated conversion. 0x50 is VDD; bitaxe-raw refuses every other, as `NotInFirmware`."""
        what = f"ADC {command:#04x} of {self.name}"
        payload = await self.ask(bitaxe_raw.adc_read(command), what, changes=False, tries=tries)
        return int.from_bytes(payload, "little")

    async def adc_v(self, channel: str) -> Volts:
        """Volts at the pin of a channel, by its name; what divides them in front of it the board knows.

        `UsageError` for a channel that is not in the table of the firmware or whose counts mean no volts.
        """
        firmware = self._known("adc", channel)
        command = firmware.channel(channel)
        if firmware.adc_step_v is None:
            raise UsageError("adc", channel, f"counts alone: the ADC of {firmware.name} is not calibrated")
        counts = await self.adc(command)
        if counts > _ADC_TOP_RAW:
            raise UnexpectedReply(f"ADC {channel} of {self.name}: {counts} counts, where {_ADC_TOP_RAW} are the most")
        return Volts(counts * firmware.adc_step_v)

    async def set_led(self, red: int, green: int, blue: int) -> None:
        """Colour of the status LED, each 0 to 255. `UsageError` where the firmware is known to have none."""
        self._has("led", "page 08")
        what = f"LED (page 08) of {self.name}"
        request = bitaxe_raw.led_set(red, green, blue)
        payload = await self.ask(request, what)
        if payload != request.data:
            raise UnexpectedReply(f"{what}: {request.data.hex(' ')} was sent, the bridge echoes {payload.hex(' ')}")

    async def set_fan(self, percent: int) -> None:
        """Duty of the fan of the bridge, 0 to 100 %. `UsageError` where the firmware is known to have none."""
        self._has("fan", "page 09")
        what = f"fan (page 09) of {self.name}"
        payload = await self.ask(bitaxe_raw.fan_set(percent), what)
        if payload != b"\x00":
            raise UnexpectedReply(f"{what}: the bridge answers {payload.hex(' ')}, where 00 was due")

    async def fan_rpm(self) -> Rpm:
        """Speed of the fan of the bridge; takes half a second. A firmware may refuse one that is not plausible."""
        self._has("fan", "page 09")
        what = f"tachometer (page 09) of {self.name}"
        payload = await self.read(bitaxe_raw.fan_tach(), what, tries=1, timeout_s=TACH_TIMEOUT_S)
        return Rpm(int.from_bytes(payload, "little"))

    async def reboot(self, *, into_loader: bool = False) -> None:
        """Start the MCU anew, or have it wait in its UF2 loader. **Only of a board that is safe**: pins go back to
        their power-up levels, a regulator on PMBus stays as it is.

        `UsageError` unless the firmware is known to have it; `NotInFirmware` when it says no. There is no answer:
        what proves it is that the ports vanish.
        """
        self._known("reboot", "page 09")
        self._has("reboot", "page 09")
        what = f"reboot (page 09) of {self.name}"
        try:
            await self.ask(bitaxe_raw.reboot(into_loader=into_loader), what, timeout_s=REBOOT_WAIT_S)
        except (NoReply, Unplugged):
            return
        raise UnexpectedReply(f"{what}: answered, where a bridge that reboots is silent")

    async def ask(
        self,
        request: Request,
        what: str,
        *,
        changes: bool = True,
        tries: int = READ_TRIES,
        timeout_s: float | None = None,
    ) -> bytes:
        """`request`, or `read` of what changes nothing, for pages that not every firmware has: a request that it does
        not understand is `NotInFirmware`."""
        try:
            if changes:
                return await self.request(request, what, timeout_s=timeout_s)
            return await self.read(request, what, tries=tries, timeout_s=timeout_s)
        except BridgeRefused as error:
            if error.code == ErrorCode.INVALID:
                raise NotInFirmware(what, error.code) from None
            raise

    def _known(self, key: str, value: str) -> BridgeFirmware:
        if self.firmware is None:
            raise UsageError(key, value, f"nothing by name: the firmware of {self.name} is not known")
        return self.firmware

    def _has(self, page: str, number: str) -> None:
        if self.firmware is not None and not getattr(self.firmware, page):
            raise UsageError(page, number, f"firmware with it; {self.firmware.name} has none")

    async def set_i2c_frequency(self, hertz: int) -> None:
        """The clock of the I2C bus. `UnexpectedReply` when the firmware echoes another."""
        payload = await self.request(bitaxe_raw.i2c_frequency(hertz), f"I2C clock of {self.name}")
        if int.from_bytes(payload, "little") != hertz:
            raise UnexpectedReply(f"{self.name}: I2C clock {hertz} Hz, but the bridge echoes {payload.hex(' ')}")


class BridgeI2c:
    """An `I2c` through the bridge. Made by `BitaxeRawBridge.i2c`."""

    def __init__(self, bridge: BitaxeRawBridge, read_tries: int, timeout_s: float | None) -> None:
        self._bridge, self._read_tries, self._timeout_s = bridge, read_tries, timeout_s

    async def write(self, address: int, data: bytes) -> None:
        what = f"I2C write {address:#04x} {data[:1].hex()}"
        request = bitaxe_raw.i2c_write(address, data)
        payload = await self._bridge.request(request, what, timeout_s=self._timeout_s, i2c_address=address)
        if payload[0] != len(data) & 0xFF:
            raise UnexpectedReply(f"{what}: {len(data)} bytes were sent, the bridge says {payload[0]}")

    def _length(self, count: int) -> int:
        """What is read for `count` bytes: no length whose answer could be an error."""
        return bitaxe_raw.safe_read_length(2 if self._bridge.dialect == "B" and count == 1 else count)

    async def read(self, address: int, count: int) -> bytes:
        request = bitaxe_raw.i2c_read(address, self._length(count))
        return (await self._read(address, request, f"I2C read {address:#04x}"))[:count]

    async def write_read(self, address: int, data: bytes, count: int) -> bytes:
        # A colliding length is avoided by reading one byte more, and never by a second read: that would start over.
        request = bitaxe_raw.i2c_write_read(address, data, self._length(count))
        return (await self._read(address, request, _read_name(address, data)))[:count]

    async def _read(self, address: int, request: Request, what: str) -> bytes:
        return await self._bridge.read(
            request, what, tries=self._read_tries, timeout_s=self._timeout_s, i2c_address=address
        )


@lru_cache(maxsize=1024)
def _read_name(address: int, data: bytes) -> str:
    """What an error says was asked. Kept: the same registers are read five times a second."""
    return f"I2C read {address:#04x} {data.hex()}"


class BridgePin:
    """A `GpioPin` of the bridge. Of an output it reads the latch."""

    def __init__(self, bridge: BitaxeRawBridge, pin: Pin) -> None:
        self._bridge, self._pin = bridge, pin
        self._what = f"GPIO {pin.number} {pin.name}".rstrip()

    async def set(self, high: bool) -> None:
        """`UnexpectedReply` when the bridge reports another level, `UsageError` for an input."""
        if not self._pin.output:
            raise UsageError("pin", self._pin.name, "an output; this one is read only")
        what = f"{self._what} set {'high' if high else 'low'}"
        payload = await self._bridge.ask(bitaxe_raw.gpio_set(self._pin.number, high), what)
        if bool(payload[0]) is not high:
            raise UnexpectedReply(f"{what}: the bridge reports {payload[0]}")

    async def get(self, *, tries: int = READ_TRIES, timeout_s: float | None = None) -> bool:
        what, request = f"{self._what} get", bitaxe_raw.gpio_get(self._pin.number)
        payload = await self._bridge.ask(request, what, changes=False, tries=tries, timeout_s=timeout_s)
        return bool(payload[0])

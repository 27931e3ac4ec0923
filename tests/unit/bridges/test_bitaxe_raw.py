"""The bridge: one request at a time, nothing that wedges the firmware, and an error that says whose fault it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.codecs.bitaxe_raw import gpio_get
from drivers.errors import BridgeRefused, Nack, NoReply, UnexpectedReply, Unplugged, UsageError
from drivers.transports.memory import memory_pair

Answer = Callable[[bytes], bytes | None]


class Firmware:
    """Answers each request with the next of its answers; the last one stays. None: silence."""

    def __init__(self, *answers: Answer | str | None) -> None:
        self.port, self._wire = memory_pair("control")
        self._answers: Iterator[Answer | str | None] = iter(answers)
        self._last: Answer | str | None = None
        self.requests: list[bytes] = []
        self.at_s: list[float] = []
        self._wire.attach(self._on_bytes, lambda baud: None)

    def say(self, data: bytes) -> None:
        self._wire.deliver(data)

    def hang_up(self) -> None:
        self._wire.hang_up()

    def _on_bytes(self, baud: int, data: bytes) -> None:
        self.requests.append(data)
        self.at_s.append(asyncio.get_running_loop().time())
        self._last = next(self._answers, self._last)
        answer = self._last
        if isinstance(answer, str):
            answer = ok(answer)
        reply = answer(data) if answer else None
        if reply is not None:
            self._wire.deliver(reply)


def ok(payload: str) -> Answer:
    """A success of dialect A with the id of the request."""
    data = bytes.fromhex(payload)
    return lambda request: len(data).to_bytes(2, "little") + request[2:3] + data


def text(message: str) -> Answer:
    data = message.encode()
    return lambda request: (4 + len(data)).to_bytes(2, "little") + request[2:3] + b"\xff" + data


def code(value: int) -> Answer:
    return lambda request: b"\x04\x00\xff" + bytes([value])


def bridge_on(firmware: Firmware, first_id: int = 0x41) -> BitaxeRawBridge:
    bridge = BitaxeRawBridge(firmware.port, first_id=first_id)
    bridge.start()
    return bridge


async def test_an_i2c_write_goes_out_as_the_wire_page_has_it() -> None:
    firmware = Firmware("03")
    await bridge_on(firmware).i2c().write(0x24, bytes.fromhex("21 66 02"))
    assert [request.hex(" ") for request in firmware.requests] == ["0a 00 42 00 05 20 24 21 66 02"]


async def test_a_register_is_read_with_a_repeated_start() -> None:
    firmware = Firmware("00 00")
    assert await bridge_on(firmware).i2c().write_read(0x24, b"\x79", 2) == b"\x00\x00"
    assert firmware.requests[0].hex(" ") == "09 00 42 00 05 40 24 79 02"


async def test_what_an_earlier_session_left_is_thrown_away_before_the_first_request() -> None:
    firmware = Firmware("01")
    bridge = bridge_on(firmware)
    firmware.say(bytes.fromhex("01 00 42 00"))
    assert await bridge.gpio(0).get() is True
    assert firmware.at_s == [pytest.approx(0.020)]


async def test_the_id_ff_is_never_used() -> None:
    firmware = Firmware("01")
    bridge = bridge_on(firmware, first_id=0xFC)
    for _ in range(4):
        await bridge.gpio(0).get()
    assert [request[2] for request in firmware.requests] == [0xFD, 0xFE, 0x00, 0x01]


async def test_ids_start_at_random() -> None:
    ids = set()
    for _ in range(8):
        firmware = Firmware("01")
        bridge = BitaxeRawBridge(firmware.port)
        bridge.start()
        await bridge.gpio(0).get()
        ids.add(firmware.requests[0][2])
    assert len(ids) > 1
    assert 0xFF not in ids


async def test_only_one_request_is_in_flight_however_many_tasks_ask() -> None:
    firmware = Firmware()
    open_requests: list[int] = []

    def answer_later(request: bytes) -> bytes | None:
        open_requests.append(request[2])
        assert len(open_requests) == 1

        def answer() -> None:
            open_requests.remove(request[2])
            firmware.say(b"\x01\x00" + request[2:3] + b"\x01")

        asyncio.get_running_loop().call_later(0.001, answer)
        return None

    firmware._last = answer_later
    bridge = bridge_on(firmware)
    assert await asyncio.gather(*(bridge.gpio(0).get() for _ in range(10))) == [True] * 10


async def test_a_failed_transfer_is_a_nack_with_the_address() -> None:
    firmware = Firmware(text("I2C Write Error"))
    with pytest.raises(Nack, match="0x4c: I2C Write Error"):
        await bridge_on(firmware).i2c().write(0x4C, b"\x4c\x3f")
    assert len(firmware.requests) == 1, "a write is never repeated by itself"


async def test_a_read_that_fails_is_tried_twice_more_and_then_given_up() -> None:
    firmware = Firmware(text("I2C WriteRead Error"))
    with pytest.raises(Nack):
        await bridge_on(firmware).i2c().write_read(0x24, b"\x79", 2)
    assert len(firmware.requests) == 3
    assert len({request[2] for request in firmware.requests}) == 3


async def test_a_read_that_succeeds_at_the_second_try_is_a_success() -> None:
    firmware = Firmware(text("I2C WriteRead Error"), "34 12")
    assert await bridge_on(firmware).i2c().write_read(0x24, b"\x79", 2) == b"\x34\x12"


async def test_a_sweep_may_ask_for_a_single_try() -> None:
    firmware = Firmware(text("I2C WriteRead Error"))
    with pytest.raises(Nack):
        await bridge_on(firmware).i2c(read_tries=1).write_read(0x24, b"\x79", 2)
    assert len(firmware.requests) == 1


async def test_silence_is_no_reply_after_a_quarter_of_a_second_a_try() -> None:
    firmware = Firmware(None)
    with pytest.raises(NoReply, match=r"GPIO 0 get within 0\.250 s"):
        await bridge_on(firmware).gpio(0).get()
    assert len(firmware.requests) == 3
    assert asyncio.get_running_loop().time() == pytest.approx(0.020 + 3 * 0.250 + 2 * 0.010, abs=1e-3)


async def test_a_request_that_the_firmware_cannot_parse_is_refused_with_its_code() -> None:
    firmware = Firmware(code(0x11))
    with pytest.raises(BridgeRefused, match="code 0x11") as caught:
        await bridge_on(firmware).request(gpio_get(0x7F), "GPIO 127 get")
    assert caught.value.code == 0x11


async def test_an_answer_with_a_foreign_id_is_not_ours() -> None:
    firmware = Firmware(lambda request: b"\x01\x00\x07\x01", "00")
    bridge = bridge_on(firmware)
    assert await bridge.gpio(0).get() is False
    assert bridge.counters.strays > 0


async def test_a_late_answer_is_not_taken_for_the_answer_to_the_next_question() -> None:
    firmware = Firmware(None, "00")
    bridge = bridge_on(firmware)
    with pytest.raises(NoReply):
        await bridge.request(gpio_get(0), "GPIO 0 get")
    firmware.say(b"\x01\x00" + firmware.requests[0][2:3] + b"\x01")
    assert await bridge.request(gpio_get(0), "GPIO 0 get") == b"\x00"


async def test_a_request_that_was_given_up_does_not_share_a_packet_with_the_next() -> None:
    firmware = Firmware(None, "00")
    bridge = bridge_on(firmware)
    await bridge.open()
    asking = asyncio.create_task(bridge.request(gpio_get(0), "GPIO 0 get"))
    await asyncio.sleep(0.001)
    asking.cancel()
    await asyncio.wait((asking,))
    await bridge.request(gpio_get(0), "GPIO 0 get")
    assert firmware.at_s[1] - firmware.at_s[0] >= 0.005, "the firmware forgets half a frame after 4 ms"


@pytest.mark.parametrize("address", [0x00, 0x07, 0x78, 0x80, 0x124])
async def test_reserved_addresses_never_reach_the_wire(address: int) -> None:
    firmware = Firmware("01")
    bridge = bridge_on(firmware)
    for attempt in (
        bridge.i2c().write(address, b"\x00"),
        bridge.i2c().read(address, 1),
        bridge.i2c().write_read(address, b"\x00", 1),
    ):
        with pytest.raises(UsageError, match="i2c address"):
            await attempt
    assert firmware.requests == []


async def test_a_write_of_no_bytes_never_reaches_the_wire_because_it_wedges_the_firmware() -> None:
    firmware = Firmware("01")
    with pytest.raises(UsageError, match="none wedges the bridge"):
        await bridge_on(firmware).i2c().write(0x24, b"")
    assert firmware.requests == []


@pytest.mark.parametrize("count", [0, 61, 300])
async def test_a_read_that_would_not_fit_a_packet_is_refused(count: int) -> None:
    firmware = Firmware("01")
    with pytest.raises(UsageError):
        await bridge_on(firmware).i2c().read(0x24, count)
    assert firmware.requests == []


@pytest.mark.parametrize("count", [4, 18, 19, 23, 27])
async def test_a_length_that_reads_like_an_error_is_avoided_by_one_byte_more(count: int) -> None:
    answer = bytes(range(count + 2))

    def long_enough(request: bytes) -> bytes:
        asked = request[-1]
        return asked.to_bytes(2, "little") + request[2:3] + answer[:asked]

    firmware = Firmware(long_enough)
    assert await bridge_on(firmware).i2c().read(0x24, count) == answer[:count]
    assert firmware.requests[0][-1] > count


async def test_a_count_that_does_not_fit_the_write_is_an_error() -> None:
    firmware = Firmware("01")
    with pytest.raises(UnexpectedReply, match="3 bytes were sent, the bridge says 1"):
        await bridge_on(firmware).i2c().write(0x24, b"\x21\x66\x02")


async def test_a_pin_that_does_not_take_the_level_is_an_error() -> None:
    firmware = Firmware("01")
    with pytest.raises(UnexpectedReply, match="GPIO 0 set low"):
        await bridge_on(firmware).gpio(0).set(False)


async def test_the_i2c_clock_is_checked_by_its_echo() -> None:
    firmware = Firmware("a0 86 01 00")
    await bridge_on(firmware).set_i2c_frequency(100_000)
    assert firmware.requests[0].hex(" ") == "0a 00 42 00 05 10 a0 86 01 00"
    with pytest.raises(UsageError, match="i2c frequency"):
        await bridge_on(Firmware("00")).set_i2c_frequency(0)


async def test_an_error_that_looks_like_the_beginning_of_a_success_is_decided_by_silence() -> None:
    firmware = Firmware(lambda request: b"\x04\x00" + request[2:3] + b"\x11")
    bridge = bridge_on(firmware)
    with pytest.raises(BridgeRefused, match="code 0x11"):
        await bridge.set_i2c_frequency(0x11 | 100_000 << 8 & 0xFFFF)
    assert asyncio.get_running_loop().time() < 0.150


async def test_the_adc_is_read_as_it_comes() -> None:
    assert await bridge_on(Firmware("34 02")).adc() == 0x0234


async def test_a_port_that_is_gone_ends_every_question_and_tells_the_owner() -> None:
    firmware = Firmware(None)
    bridge = bridge_on(firmware)
    lost: list[Unplugged] = []
    bridge.on_lost = lost.append
    asking = asyncio.create_task(bridge.gpio(0).get())
    await asyncio.sleep(0.1)
    firmware.hang_up()
    with pytest.raises(Unplugged):
        await asking
    with pytest.raises(Unplugged):
        await bridge.gpio(0).get()
    assert bridge.lost is lost[0]

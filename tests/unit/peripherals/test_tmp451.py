"""TMP451: both temperatures with their sixteenths, an offset that holds, and what is no temperature."""

from __future__ import annotations

import pytest

from drivers.errors import LimitError, Nack, UnknownPart, VerifyError
from drivers.peripherals.tmp451 import RATES_HZ, Tmp451, decode, decode_offset, encode_offset
from emulator.parts import tmp451 as emulated
from emulator.parts.tmp451 import Warmth
from tests.fakes import BusLog, Key
from tests.unit.peripherals.part_on_a_bus import PartOnABus
from tests.vectors import params, rows

ADDRESS = 0x49
FOUND: dict[Key, str] = {0xFE: "55", 0x03: "00", 0x02: "00"}


def known(kind: str) -> list[dict[str, object]]:
    return [row for row in rows("peripherals", kind) if str(row["part"]).startswith("TMP451")]


def celsius(row: dict[str, object]) -> float:
    return float(str(row["in"]).removesuffix(" C"))


class Bench:
    def __init__(self) -> None:
        self.warmth = Warmth(35.0, 60.0)
        self.part = emulated.Tmp451(look=lambda at_s: self.warmth, seed=1, address=ADDRESS)
        self.bus = PartOnABus(tmp451=self.part)

    async def opened(self) -> Tmp451:
        return await Tmp451.open(self.bus, ADDRESS)


@pytest.mark.parametrize("row", params(known("temp_C")))
async def test_bytes_are_those_of_the_vectors_and_only_what_a_board_can_be_is_a_temperature(
    row: dict[str, object],
) -> None:
    high, low = bytes.fromhex(str(row["in"]))
    extended = "extended" in str(row["part"])
    wanted = float(str(row["out"]))
    assert decode(high, low, extended=extended) == wanted
    replies: dict[Key, str] = {0x03: "04" if extended else "00", 0x01: f"{high:02x}", 0x10: f"{low:02x}"}
    replies |= {0x00: f"{high:02x}", 0x15: f"{low:02x}"}
    part = await Tmp451.open(BusLog(FOUND | replies), ADDRESS)
    for found in (await part.remote(), await part.local()):
        if -40.0 <= wanted <= 127.0 and (extended or wanted > 0.0):
            assert found == (wanted, None)
        else:
            assert found.celsius is None
            assert f"reads {wanted:g} C" in str(found.note)


@pytest.mark.parametrize("row", params(known("status")))
async def test_an_open_diode_is_told_by_the_status_alone(row: dict[str, object]) -> None:
    status = str(row["in"]).removeprefix("0x")
    part = await Tmp451.open(BusLog(FOUND | {0x02: status, 0x01: "19", 0x10: "00"}), ADDRESS)
    found = await part.remote()
    if row["out"]:
        assert found == (None, "diode open (status 04)")
    else:
        assert found == (25.0, None)


@pytest.mark.parametrize("row", params(known("offset")))
async def test_an_offset_is_written_as_in_the_vectors_and_holds(row: dict[str, object]) -> None:
    written = bytes.fromhex(str(row["out"]))
    bus = BusLog(FOUND, registers=True)
    part = await Tmp451.open(bus, ADDRESS)
    for address in ("09", "0a"):
        bus.answer(int(address, 16) - 6, "00" if address == "09" else "08")
    await part.configure(celsius(row))
    for at in range(0, len(written), 2):
        assert f"49 {written[at : at + 2].hex(' ')}" in bus.written
    assert await part.remote_offset_c() == celsius(row)


@pytest.mark.parametrize("offset_c", [-128.0, -7.0, -0.0625, 0.0, 0.03, 63.97, 127.9375])
def test_an_offset_is_kept_to_the_nearest_sixteenth(offset_c: float) -> None:
    high, low = encode_offset(offset_c)
    assert decode_offset(high, low) == pytest.approx(offset_c, abs=1 / 32)


@pytest.mark.parametrize(("offset_c", "rate"), [(-128.1, 8), (128.0, 8), (float("nan"), 8), (0.0, 10), (0.0, -1)])
async def test_what_the_part_cannot_hold_is_refused_and_nothing_is_written(offset_c: float, rate: int) -> None:
    bus = BusLog(FOUND)
    part = await Tmp451.open(bus, ADDRESS)
    with pytest.raises(LimitError):
        await part.configure(offset_c, rate)
    assert bus.written == []


async def test_another_part_is_refused() -> None:
    with pytest.raises(UnknownPart, match="maker 5d"):
        await Tmp451.open(BusLog({0xFE: "5d"}), ADDRESS)


async def test_the_high_byte_comes_first_its_low_byte_next_and_the_status_last() -> None:
    bus = BusLog(FOUND | {0x01: "3c", 0x10: "20", 0x00: "28", 0x15: "80"})
    part = await Tmp451.open(bus, ADDRESS)
    bus.log.clear()
    assert await part.remote() == (60.125, None)
    assert await part.local() == (40.5, None)
    assert [line.split()[1] for line in bus.log] == ["01", "10", "02", "00", "15"]


async def test_set_up_wakes_the_part_and_leaves_the_range_and_all_other_bits() -> None:
    bus = BusLog(FOUND | {0x03: ["c4", "c4", "84"], 0x04: "07", 0x11: "f9", 0x12: "00", 0x23: "00"})
    part = await Tmp451.open(bus, ADDRESS)
    assert part.extended
    await part.configure(-7.0, rate=7)
    assert RATES_HZ[7] == 8.0
    assert bus.written == ["49 09 84", "49 0a 07", "49 11 f9", "49 12 00", "49 23 00"]


async def test_a_range_that_changed_since_it_was_opened_is_told_before_anything_is_written() -> None:
    bus = BusLog(FOUND | {0x03: ["00", "04"]})
    part = await Tmp451.open(bus, ADDRESS)
    with pytest.raises(VerifyError, match="range"):
        await part.configure()
    assert bus.written == []


async def test_a_register_that_does_not_hold_is_named() -> None:
    bus = BusLog(FOUND | {0x04: "08", 0x11: "00"})
    with pytest.raises(VerifyError, match="register 0x11: wrote '0xf9', read back '0x00'"):
        await (await Tmp451.open(bus, ADDRESS)).configure(-7.0)


@pytest.mark.parametrize("extended", [False, True])
async def test_on_the_emulated_part_both_temperatures_are_what_they_are(extended: bool) -> None:
    bench = Bench()
    if extended:
        await bench.bus.write(ADDRESS, b"\x09\x04")
    part = await bench.opened()
    assert part.extended is extended
    await part.configure(remote_offset_c=-7.0)
    bench.bus.now_s += 0.1
    remote, local = await part.remote(), await part.local()
    assert remote.celsius == pytest.approx(53.0, abs=0.4)
    assert local.celsius == pytest.approx(35.0, abs=0.4)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("diode", ["open", "short"])
async def test_a_broken_diode_leaves_no_number_and_the_other_sensor_goes_on(diode: str, extended: bool) -> None:
    bench = Bench()
    if extended:
        await bench.bus.write(ADDRESS, b"\x09\x04")
    part = await bench.opened()
    assert (await part.remote()).celsius is not None
    bench.part.diode = diode
    for _ in range(3):
        bench.bus.now_s += 0.1
        found = await part.remote()
        assert found.celsius is None
        assert ("open" in str(found.note)) is (diode == "open")
        assert (await part.local()).celsius == pytest.approx(35.0, abs=0.4)
    bench.part.diode = "ok"
    bench.bus.now_s += 0.1
    await part.remote()  # an open diode is remembered until its status was read
    assert (await part.remote()).celsius == pytest.approx(60.0, abs=0.4)


async def test_a_diode_that_opened_and_closed_again_between_two_sweeps_is_told_once() -> None:
    bench = Bench()
    part = await bench.opened()
    bench.part.diode = "open"
    bench.bus.now_s += 0.1
    await part.local()
    bench.part.diode = "ok"
    assert (await part.remote()).celsius is None


@pytest.mark.parametrize("shown", [-1.0, 0.0, 127.0625, 127.9375, 255.0])
async def test_false_readings_of_the_field_are_no_temperature_in_the_standard_range(shown: float) -> None:
    bench = Bench()
    part = await bench.opened()
    bench.part.tap = lambda channel, value: shown
    assert (await part.remote()).celsius is None
    assert (await part.local()).celsius is not None


async def test_the_faults_of_a_bus_are_told() -> None:
    bench = Bench()
    part = await bench.opened()
    bench.bus.faults.freeze("tmp451")
    before = await part.remote()
    bench.warmth = Warmth(50.0, 90.0)
    bench.bus.now_s += 1.0
    assert await part.remote() == before
    bench.bus.faults.freeze("tmp451", off=True)
    assert (await part.remote()).celsius == pytest.approx(90.0, abs=0.4)
    bench.bus.faults.deafen("tmp451")
    with pytest.raises(VerifyError):
        await part.configure(-7.0)
    bench.bus.faults.deafen("tmp451", off=True)
    bench.bus.faults.nak("tmp451")
    for question in (part.local(), part.remote(), part.configure(), part.remote_offset_c()):
        with pytest.raises(Nack):
            await question


async def test_noise_on_the_bus_is_a_temperature_of_a_board_or_none() -> None:
    bench = Bench()
    part = await bench.opened()
    bench.bus.faults.garbage("tmp451")
    found = [await part.remote() for _ in range(200)]
    numbers = [reading.celsius for reading in found if reading.celsius is not None]
    assert 20 < len(numbers) < 100, "half of them have the bit of an open diode, half of the rest are beyond the range"
    assert all(0.0 < number <= 127.0 for number in numbers)

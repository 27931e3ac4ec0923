"""INA260: told by reading, signed amps, and words that it cannot give are no volts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.errors import Nack, UnexpectedReply, UnknownPart, VerifyError
from drivers.peripherals.ina260 import Ina260, decode_bus_voltage, decode_current, decode_power
from emulator.parts import ina260 as emulated
from emulator.parts.ina260 import Line
from tests.fakes import BusLog, Key
from tests.unit.peripherals.part_on_a_bus import PartOnABus
from tests.vectors import params, rows

IDENTITY: dict[Key, str] = {0xFE: "54 49", 0xFF: "22 70"}
DECODERS: dict[str, Callable[[bytes], float]] = {
    "current_mA": decode_current,
    "bus_mV": decode_bus_voltage,
    "power_mW": decode_power,
}
KNOWN = [row for row in rows("peripherals", *DECODERS) if row["part"] == "INA260"]


@pytest.mark.parametrize("row", params(KNOWN))
def test_words_are_those_of_the_vectors(row: dict[str, object]) -> None:
    data = bytes.fromhex(str(row["in"]).removeprefix("0x"))
    assert DECODERS[str(row["kind"])](data) == pytest.approx(float(str(row["out"])) / 1000.0)


@pytest.mark.parametrize("row", params([row for row in rows("peripherals", "identity") if row["part"] == "INA260"]))
async def test_the_identity_is_that_of_the_vectors(row: dict[str, object]) -> None:
    maker, die = bytes.fromhex(str(row["in"]))[:2].hex(), bytes.fromhex(str(row["in"]))[2:].hex()
    bus = BusLog({0xFE: maker, 0xFF: die})
    if row["out"] is None:
        with pytest.raises(UnknownPart, match="maker 5449 die 2270"):
            await Ina260.open(bus)
    else:
        assert (await Ina260.open(bus)).address == 0x40
    assert bus.written == []


async def test_each_quantity_is_one_word_of_its_own_register() -> None:
    bus = BusLog(IDENTITY | {0x01: "0f a0", 0x02: "0f 80", 0x03: "04 b0"})
    meter = await Ina260.open(bus)
    bus.log.clear()
    assert await meter.current_a() == pytest.approx(5.0)
    assert await meter.bus_v() == pytest.approx(4.96)
    assert await meter.power_w() == pytest.approx(12.0)
    assert bus.log == ["40 01 > 0f a0", "40 02 > 0f 80", "40 03 > 04 b0"]


@pytest.mark.parametrize("word", ["ff ff", "80 00"])
async def test_a_voltage_that_the_part_cannot_give_is_none(word: str) -> None:
    meter = await Ina260.open(BusLog(IDENTITY | {0x02: word}))
    with pytest.raises(UnexpectedReply, match="highest bit is never set"):
        await meter.bus_v()


async def test_a_part_that_another_firmware_sent_to_sleep_measures_again() -> None:
    line = Line(5.0, 2.0)
    part = emulated.Ina260(look=lambda at_s: line, seed=1)
    bus = PartOnABus(ina260=part)
    meter = await Ina260.open(bus)
    assert await meter.bus_v() == pytest.approx(5.0, abs=0.01)
    await bus.write(0x40, bytes.fromhex("00 61 20"))
    line = Line(4.0, 3.0)
    bus.now_s += 10.0
    assert await meter.bus_v() == pytest.approx(5.0, abs=0.01), "the last word, for ever"
    await meter.configure()
    bus.now_s += 0.01
    assert await meter.bus_v() == pytest.approx(4.0, abs=0.01)
    assert await meter.current_a() == pytest.approx(3.0, rel=0.01)
    assert await meter.power_w() == pytest.approx(12.0, rel=0.01)


async def test_a_configuration_that_does_not_hold_is_named() -> None:
    with pytest.raises(VerifyError, match="configuration"):
        await (await Ina260.open(BusLog(IDENTITY | {0x00: "61 20"}))).configure()


async def test_no_load_may_read_a_little_below_nothing() -> None:
    bus = PartOnABus(ina260=emulated.Ina260(look=lambda at_s: Line(5.0, 0.0), seed=1))
    meter = await Ina260.open(bus)
    found = []
    for _ in range(50):
        bus.now_s += 0.01
        found.append(await meter.current_a())
    assert min(found) < 0.0
    assert all(abs(amps) < 0.01 for amps in found)


async def test_the_faults_of_a_bus_are_told() -> None:
    bus = PartOnABus(ina260=emulated.Ina260(look=lambda at_s: Line(5.0 - at_s / 100.0, 2.0), seed=1))
    meter = await Ina260.open(bus)
    bus.faults.freeze("ina260")
    before = await meter.bus_v()
    bus.now_s += 50.0
    assert await meter.bus_v() == before
    bus.faults.bus.heal()
    assert await meter.bus_v() == pytest.approx(4.49, abs=0.01)
    bus.faults.stick("ina260", 0xFE, "ff ff")
    with pytest.raises(UnknownPart):
        await Ina260.open(bus)
    bus.faults.deafen("ina260")
    await meter.configure()  # it holds already
    bus.faults.stick("ina260", 0x00, "61 20")
    with pytest.raises(VerifyError):
        await meter.configure()
    bus.faults.nak("ina260")
    for question in (meter.bus_v(), meter.current_a(), meter.power_w(), meter.configure(), meter.identify()):
        with pytest.raises(Nack):
            await question


async def test_noise_on_the_bus_is_a_number_that_a_judge_can_doubt_or_none() -> None:
    bus = PartOnABus(ina260=emulated.Ina260(look=lambda at_s: Line(5.0, 2.0), seed=1))
    meter = await Ina260.open(bus)
    bus.faults.garbage("ina260")
    refused = 0
    for _ in range(200):
        try:
            assert 0.0 <= await meter.bus_v() <= 40.96
        except UnexpectedReply:
            refused += 1
        assert -40.96 <= await meter.current_a() <= 40.96
    assert 70 <= refused <= 130

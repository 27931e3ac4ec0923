"""EMC2301 to EMC2305: told apart by reading, true duties on all outputs, speeds as published."""

from __future__ import annotations

import pytest

from drivers.errors import LimitError, UnknownPart, VerifyError
from drivers.peripherals.emc230x import Emc230x, decode_rpm
from drivers.units import Ratio
from tests.fakes import BusLog, Key
from tests.vectors import params, rows

ADDRESS = 0x2F
IDENTITY: dict[Key, str] = {0xFE: "5d", 0xFD: "36"}


async def fan_on(bus: BusLog) -> Emc230x:
    return await Emc230x.open(bus, ADDRESS)


@pytest.mark.parametrize(
    ("product", "name", "fans"), [("37", "EMC2301", 1), ("36", "EMC2302", 2), ("34", "EMC2305", 5)]
)
async def test_a_part_is_identified_by_reading_alone(product: str, name: str, fans: int) -> None:
    bus = BusLog(IDENTITY | {0xFD: product})
    part = await fan_on(bus)
    assert (part.name, part.fans) == (name, fans)
    assert bus.written == []


@pytest.mark.parametrize("identity", [{0xFE: "55"}, {0xFD: "26"}])
async def test_another_part_is_refused(identity: dict[Key, str]) -> None:
    with pytest.raises(UnknownPart):
        await fan_on(BusLog(IDENTITY | identity))


async def test_set_up_is_polarity_and_direct_mode_of_each_output_read_back() -> None:
    bus = BusLog(IDENTITY, registers=True)
    await (await fan_on(bus)).configure()
    assert bus.written == ["2f 2a 00", "2f 32 0b", "2f 42 0b"]


async def test_full_speed_needs_nothing_to_be_read_first() -> None:
    bus = BusLog(IDENTITY)
    fan = await fan_on(bus)
    bus.log.clear()
    await fan.full_speed()
    assert bus.log == ["2f 32 0b", "2f 30 ff", "2f 42 0b", "2f 40 ff"]


@pytest.mark.parametrize(("ratio", "setting"), [(0.0, "00"), (0.5, "80"), (0.99, "fc"), (1.0, "ff")])
async def test_the_scale_is_true(ratio: float, setting: str) -> None:
    bus = BusLog(IDENTITY, registers=True)
    fan = await fan_on(bus)
    await fan.set_duty(Ratio(ratio))
    assert bus.written == ["2f 32 0b", f"2f 30 {setting}", "2f 42 0b", f"2f 40 {setting}"]
    assert await fan.duty() == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("ratio", [-0.01, 1.01, float("nan")])
async def test_no_duty_outside_is_written(ratio: float) -> None:
    bus = BusLog(IDENTITY)
    fan = await fan_on(bus)
    with pytest.raises(LimitError):
        await fan.set_duty(Ratio(ratio))
    assert bus.written == []


async def test_the_duty_is_that_of_the_output_that_is_driven_least() -> None:
    assert await (await fan_on(BusLog(IDENTITY | {0x30: "ff", 0x40: "80"}))).duty() == pytest.approx(0.5, abs=0.01)


async def test_a_setting_that_does_not_hold_is_named() -> None:
    bus = BusLog(IDENTITY | {0x32: "0b", 0x30: "10"})
    with pytest.raises(VerifyError, match="register 0x30"):
        await (await fan_on(bus)).set_duty(Ratio(1.0))


@pytest.mark.parametrize(
    "row", params([row for row in rows("peripherals", "fan_rpm") if str(row["part"]).startswith("EMC2302")])
)
async def test_speeds_are_those_of_the_vectors(row: dict[str, object]) -> None:
    high, low = bytes.fromhex(str(row["in"]))
    assert round(decode_rpm(high, low)) == row["out"]
    bus = BusLog(IDENTITY | {0x3E: f"{high:02x}", 0x3F: f"{low:02x}"})
    assert round(await (await fan_on(bus)).rpm()) == row["out"]


def test_a_higher_range_counts_more() -> None:
    assert decode_rpm(0x3D, 0x70, 4) == pytest.approx(8000, abs=1)
    assert decode_rpm(0x00, 0x00) == 0.0

"""EMC2103: told by reading, true duties, two diodes, speeds as published."""

from __future__ import annotations

import pytest

from drivers.errors import LimitError, UnknownPart, VerifyError
from drivers.peripherals.emc2103 import Emc2103, decode_diode, decode_rpm
from drivers.units import Ratio
from tests.fakes import BusLog, Key
from tests.vectors import params, rows

IDENTITY: dict[Key, str] = {0xFE: "5d", 0xFD: "26"}


def known(kind: str) -> list[dict[str, object]]:
    return [row for row in rows("peripherals", kind) if str(row["part"]).startswith("EMC2103")]


@pytest.mark.parametrize("identity", [{0xFE: "55"}, {0xFD: "24"}, {0xFD: "36"}])
async def test_another_part_is_refused_the_one_with_a_single_diode_as_well(identity: dict[Key, str]) -> None:
    with pytest.raises(UnknownPart):
        await Emc2103.open(BusLog(IDENTITY | identity))


async def test_set_up_is_that_of_the_firmware_and_direct_mode() -> None:
    bus = BusLog(IDENTITY, registers=True)
    await (await Emc2103.open(bus)).configure()
    assert bus.written == ["2e 20 00", "2e 2a 00", "2e 42 2b"]


@pytest.mark.parametrize(("ratio", "setting"), [(0.0, "00"), (0.5, "80"), (1.0, "ff")])
async def test_the_scale_is_true(ratio: float, setting: str) -> None:
    bus = BusLog(IDENTITY, registers=True)
    fan = await Emc2103.open(bus)
    await fan.set_duty(Ratio(ratio))
    assert bus.written == ["2e 42 2b", f"2e 40 {setting}"]
    assert await fan.duty() == pytest.approx(ratio, abs=0.005)
    with pytest.raises(LimitError):
        await fan.set_duty(Ratio(1.5))


async def test_a_setting_that_does_not_hold_is_named() -> None:
    with pytest.raises(VerifyError, match="register 0x40"):
        await (await Emc2103.open(BusLog(IDENTITY | {0x42: "2b", 0x40: "00"}))).set_duty(Ratio(1.0))


@pytest.mark.parametrize("row", params(known("fan_rpm")))
def test_speeds_are_those_of_the_vectors_and_a_fan_that_stands_is_not_960_rpm(row: dict[str, object]) -> None:
    high, low = bytes.fromhex(str(row["in"]).replace("0x", ""))
    found = decode_rpm(high, low)
    assert round(found) == row["out"] or ((high, low) == (0xFF, 0xF8) and found == 0.0)


@pytest.mark.parametrize("row", params(known("temp_C")))
def test_diodes_are_those_of_the_vectors(row: dict[str, object]) -> None:
    high, low = bytes.fromhex(str(row["in"]).replace("0x", "").replace(" ", ""))
    found = decode_diode(high, low)
    if (high, low) == (0x80, 0x00):
        assert found.chip_c is None
        assert found.note == "diode open or shorted (reads 8000)"
    else:
        assert found.chip_c == row["out"]


async def test_both_diodes_are_read_high_byte_first() -> None:
    bus = BusLog(IDENTITY | {0x02: "3c", 0x03: "20", 0x04: "41", 0x05: "00"})
    fan = await Emc2103.open(bus)
    bus.log.clear()
    assert [diode.chip_c for diode in await fan.diodes()] == [60.125, 65.0]
    assert [line.split()[1] for line in bus.log] == ["02", "03", "04", "05"]

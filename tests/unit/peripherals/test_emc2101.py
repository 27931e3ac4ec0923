"""EMC2101: true duties, a diode that says when it is broken, and a table that regulates without a host."""

from __future__ import annotations

import pytest

from drivers.errors import LimitError, Nack, UnknownPart, VerifyError
from drivers.peripherals.emc2101 import CONSERVATIVE_TABLE, Diode, Emc2101, FanTable, decode_diode
from drivers.units import Ratio
from tests.fakes import BusLog, Key
from tests.vectors import params, rows

IDENTITY: dict[Key, str] = {0xFE: "5d", 0xFD: "16", 0x4D: "17"}


async def fan_on(bus: BusLog) -> Emc2101:
    return await Emc2101.open(bus)


def known_fan_rows(kind: str) -> list[dict[str, object]]:
    return [row for row in rows("peripherals", kind) if str(row["part"]).startswith("EMC2101")]


@pytest.mark.parametrize(("product", "name"), [("16", "EMC2101"), ("28", "EMC2101-R")])
async def test_both_products_are_identified_by_reading_alone(product: str, name: str) -> None:
    bus = BusLog(IDENTITY | {0xFD: product})
    assert (await fan_on(bus)).name == name
    assert bus.written == []


@pytest.mark.parametrize("identity", [{0xFE: "55"}, {0xFD: "34"}])
async def test_another_part_at_the_same_address_is_refused(identity: dict[Key, str]) -> None:
    with pytest.raises(UnknownPart):
        await fan_on(BusLog(IDENTITY | identity))


async def test_set_up_is_tachometer_direct_mode_and_diode_read_back() -> None:
    bus = BusLog(IDENTITY, registers=True)
    await (await fan_on(bus)).configure(Diode(0x24, 0x00))
    assert bus.written == ["4c 03 04", "4c 4a 23", "4c 17 24", "4c 18 00"]


async def test_a_setting_that_does_not_hold_is_named() -> None:
    bus = BusLog(IDENTITY | {0x03: "04", 0x4A: "20"})
    with pytest.raises(VerifyError, match="register 0x4a"):
        await (await fan_on(bus)).configure(Diode(0x24, 0x00))


async def test_full_speed_needs_nothing_to_be_read_first() -> None:
    bus = BusLog(IDENTITY)
    fan = await fan_on(bus)
    bus.log.clear()
    await fan.full_speed()
    assert bus.log == ["4c 4a 23", "4c 4c 3f"]


@pytest.mark.parametrize(("ratio", "setting"), [(0.0, "00"), (0.25, "0c"), (0.5, "17"), (0.99, "2e"), (1.0, "3f")])
async def test_a_duty_is_true_to_the_scale_of_the_part(ratio: float, setting: str) -> None:
    bus = BusLog(IDENTITY, registers=True)
    fan = await fan_on(bus)
    await fan.set_duty(Ratio(ratio))
    assert bus.written[-1] == f"4c 4c {setting}"
    assert await fan.duty() == pytest.approx(ratio, abs=0.02)


@pytest.mark.parametrize("ratio", [-0.01, 1.01, float("nan")])
async def test_a_duty_outside_zero_to_one_is_refused(ratio: float) -> None:
    bus = BusLog(IDENTITY)
    fan = await fan_on(bus)
    with pytest.raises(LimitError):
        await fan.set_duty(Ratio(ratio))
    assert bus.written == []


@pytest.mark.parametrize("row", params(known_fan_rows("fan_true_duty")))
async def test_settings_beyond_the_scale_are_full_speed(row: dict[str, object]) -> None:
    bus = BusLog(IDENTITY | {0x4C: str(row["in"])[2:]})
    assert await (await fan_on(bus)).duty() == pytest.approx(row["out"], abs=1e-4)


async def test_the_scale_follows_the_pwm_frequency_that_is_set() -> None:
    bus = BusLog(IDENTITY | {0x4D: "1f"}, registers=True)
    fan = await fan_on(bus)
    await fan.set_duty(Ratio(0.5))
    assert bus.written[-1] == "4c 4c 1f"


@pytest.mark.parametrize("row", params(known_fan_rows("fan_rpm")))
async def test_the_speed_is_that_of_the_tachometer_count(row: dict[str, object]) -> None:
    count = int(str(row["in"]), 16)
    bus = BusLog(IDENTITY | {0x46: f"{count & 0xFF:02x}", 0x47: f"{count >> 8:02x}"})
    fan = await fan_on(bus)
    bus.log.clear()
    rpm = await fan.rpm()
    assert rpm == (0.0 if count == 0xFFFF else pytest.approx(row["out"], abs=1.0))
    assert bus.log[0].startswith("4c 46"), "the low byte first: it holds the high one"


@pytest.mark.parametrize("row", params([row for row in known_fan_rows("temp_C") if "external" in str(row["part"])]))
def test_the_diode_reads_in_eighths_of_a_degree(row: dict[str, object]) -> None:
    high, low = bytes.fromhex(str(row["in"]))
    reading = decode_diode(high, low)
    if row["out"] in (127.0, 127.875) or row["out"] is None or isinstance(row["out"], str):
        assert reading.chip_c is None
    else:
        assert reading == (row["out"], None)


@pytest.mark.parametrize(("raw", "why"), [("7f 00", "open"), ("7f e0", "shorted")])
async def test_a_broken_diode_is_unknown_and_says_how(raw: str, why: str) -> None:
    high, low = raw.split()
    bus = BusLog(IDENTITY | {0x01: high, 0x10: low})
    reading = await (await fan_on(bus)).diode_c()
    assert reading.chip_c is None
    assert reading.note is not None
    assert why in reading.note


async def test_the_part_s_own_temperature_is_signed() -> None:
    assert await (await fan_on(BusLog(IDENTITY | {0x00: "fb"}))).internal_c() == -5.0


async def test_a_part_that_does_not_answer_gives_no_number() -> None:
    bus = BusLog(IDENTITY)
    fan = await fan_on(bus)
    bus.absent.add(0x4C)
    for question in (fan.rpm, fan.diode_c, fan.duty):
        with pytest.raises(Nack):
            await question()


# --- the table -------------------------------------------------------------------------------------------------------


async def test_the_table_is_written_in_direct_mode_and_fills_all_eight_entries() -> None:
    bus = BusLog(IDENTITY, registers=True)
    await (await fan_on(bus)).write_table(CONSERVATIVE_TABLE)
    assert bus.written[0] == "4c 4a 23"
    written = {line.split()[1]: int(line.split()[2], 16) for line in bus.written[1:]}
    temperatures = [written[f"{0x50 + 2 * index:02x}"] for index in range(8)]
    settings = [written[f"{0x51 + 2 * index:02x}"] for index in range(8)]
    assert temperatures == [0, 35, 40, 45, 50, 55, 60, 127]
    assert settings == [18, 23, 28, 32, 37, 41, 63, 63]
    assert written["4f"] == 3


async def test_the_table_takes_command_by_clearing_prog() -> None:
    bus = BusLog(IDENTITY, registers=True)
    fan = await fan_on(bus)
    await fan.table_on()
    assert bus.written == ["4c 4a 03"]
    assert not await fan.is_host_set()


async def test_a_table_entry_that_does_not_hold_is_named() -> None:
    bus = BusLog(IDENTITY | {0x4A: "23", 0x50: "7f"})
    with pytest.raises(VerifyError, match="register 0x50"):
        await (await fan_on(bus)).write_table(CONSERVATIVE_TABLE)


def test_the_shipped_table_is_at_full_speed_at_the_target_and_never_stops() -> None:
    assert dict(CONSERVATIVE_TABLE.points)[60] == 1.0
    assert min(duty for _, duty in CONSERVATIVE_TABLE.points) >= 0.4


@pytest.mark.parametrize(
    ("points", "hysteresis"),
    [
        ((), 3),
        (((10, 0.5), (60, 1.0)), 3),
        (((0, 0.5), (60, 0.9)), 3),
        (((0, 0.5), (50, 0.4), (60, 1.0)), 3),
        (((0, 0.5), (0, 0.6), (60, 1.0)), 3),
        (((0, 0.0), (60, 1.0)), 3),
        (((0, 0.5), (128, 1.0)), 3),
        (((0, 1.0),), 32),
        (tuple((10 * n, (n + 1) / 9) for n in range(9)), 3),
    ],
)
def test_a_table_that_could_stop_the_fan_or_does_not_fit_is_refused(
    points: tuple[tuple[int, float], ...], hysteresis: int
) -> None:
    with pytest.raises(LimitError):
        FanTable(points, hysteresis)

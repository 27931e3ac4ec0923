"""TPS546: the bytes as the datasheet has them, limits read back, and nothing at all when the driver refuses."""

from __future__ import annotations

import re

import pytest

from drivers.codecs.pmbus import Command
from drivers.errors import LimitError, UnexpectedReply, UnknownPart, VerifyError
from drivers.peripherals.tps546 import Part, Profile, Tps546
from drivers.units import Amps, Celsius, Volts
from tests.fakes import BusLog, Key
from tests.vectors import params, rows

PROFILE = Profile(
    core_v=(Volts(1.0), Volts(1.35)),
    vout_max_v=Volts(1.40),
    vin_on_v=Volts(4.8),
    vin_off_v=Volts(4.5),
    vin_ov_v=Volts(6.5),
    scale_loop=0.25,
    frequency_khz=650,
    oc_warn_a=Amps(25.0),
    oc_fault_a=Amps(30.0),
    ot_warn_c=Celsius(105.0),
    ot_fault_c=Celsius(125.0),
)
D24A, D24S, B24A = "06 54 49 54 6d 24 41", "06 54 49 54 6d 24 62", "06 54 49 54 6b 24 41"
IDENTITY: dict[Key, str] = {0xAD: D24A, 0x20: "97"}
STATUS: dict[Key, str] = {0x79: "48 08", 0x7A: "00", 0x7B: "00", 0x7C: "08", 0x7D: "00", 0x7E: "00", 0x80: "00"}


async def part_on(bus: BusLog, profile: Profile = PROFILE) -> Tps546:
    return await Tps546.open(bus, profile)


# --- identity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("block", "part"), [(D24A, Part.D24A), (D24S, Part.D24S), (B24A, Part.B24A)])
async def test_a_known_part_is_identified_by_reading_alone(block: str, part: Part) -> None:
    bus = BusLog(IDENTITY | {0xAD: block})
    assert (await part_on(bus)).part is part
    assert bus.written == []


@pytest.mark.parametrize("block", ["06 54 49 54 4d 24 41", "00 00 00 00 00 00 00", "ff ff ff ff ff ff ff"])
async def test_an_unknown_part_is_refused(block: str) -> None:
    bus = BusLog(IDENTITY | {0xAD: block})
    with pytest.raises(UnknownPart, match="IC_DEVICE_ID"):
        await part_on(bus)
    assert bus.written == []


@pytest.mark.parametrize("mode", ["17", "96", "40"])
async def test_another_vout_mode_is_refused(mode: str) -> None:
    with pytest.raises(UnexpectedReply, match="VOUT_MODE"):
        await part_on(BusLog(IDENTITY | {0x20: mode}))


async def test_the_20_ampere_part_may_be_read_but_not_energised_for_30() -> None:
    bus = BusLog(IDENTITY | STATUS | {0xAD: B24A, 0x88: "66 ca"})
    rail = await part_on(bus)
    assert await rail.input_v() == pytest.approx(4.797, abs=1e-3)
    for attempt in (rail.lock_down(), rail.on()):
        with pytest.raises(LimitError, match="TPS546B24A"):
            await attempt
    assert bus.written == []


# --- the lock-down recipe --------------------------------------------------------------------------------------------


async def test_the_lock_down_writes_every_limit_clears_and_locks_last() -> None:
    bus = BusLog(IDENTITY | STATUS, registers=True)
    found = await (await part_on(bus)).lock_down()
    assert bus.written == [
        "24 01 00",
        "24 10 00",
        "24 02 1b",
        "24 33 8a 02",
        "24 35 66 ca",
        "24 36 40 ca",
        "24 55 40 cb",
        "24 56 80",
        "24 29 00 aa",
        "24 21 00 02",
        "24 24 cc 02",
        "24 2b 00 02",
        "24 40 80 02",
        "24 41 80",
        "24 42 51 02",
        "24 25 33 02",
        "24 26 cc 01",
        "24 43 cc 01",
        "24 44 80 01",
        "24 45 80",
        "24 4a 20 db",
        "24 46 c0 db",
        "24 47 c0",
        "24 51 69 00",
        "24 4f 7d 00",
        "24 50 80",
        "24 60 00 00",
        "24 61 03 00",
        "24 62 00 00",
        "24 63 3b",
        "24 64 00 00",
        "24 65 00 00",
        "24 03",
        "24 10 20",
    ]
    assert found.word == 0x0848
    assert str(found) == "0x0848 PGOOD# OFF VIN_UV INPUT.BELOW_VIN_ON"


async def test_the_status_is_read_before_it_is_cleared_and_everything_is_read_back_after_the_lock() -> None:
    bus = BusLog(IDENTITY | STATUS, registers=True)
    await (await part_on(bus)).lock_down()
    assert bus.log.index("24 79 > 48 08") < bus.log.index("24 03")
    after = bus.log[bus.log.index("24 10 20") + 1 :]
    read_back = {line.split()[1] for line in after}
    for command in ("24", "2b", "40", "41", "45", "46", "47", "4f", "50", "55", "56", "35", "36", "10"):
        assert command in read_back


async def test_nothing_is_ever_stored() -> None:
    bus = BusLog(IDENTITY | STATUS, registers=True)
    rail = await part_on(bus)
    await rail.lock_down()
    await rail.set_output(Volts(1.15))
    await rail.on()
    await rail.off()
    assert not any(re.match(r"24 (11|13|15|17)\b", line) for line in bus.written)


async def test_coarser_steps_of_the_part_are_accepted() -> None:
    bus = BusLog(IDENTITY | STATUS, registers=True)
    rail = await part_on(bus)
    await rail.lock_down()
    bus.answer((0x24, 0x35), "60 ca")  # VIN_ON 4.75 V: the part keeps quarters of a volt
    await rail.check_locked_down()


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (Command.VOUT_MAX, "00 04"),
        (Command.VOUT_OV_FAULT_RESPONSE, "bd"),
        (Command.IOUT_OC_FAULT_LIMIT, "00 e2"),
        (Command.IOUT_OC_FAULT_RESPONSE, "ff"),
        (Command.OT_FAULT_LIMIT, "91 00"),
        (Command.OT_FAULT_RESPONSE, "ff"),
        (Command.VIN_OFF, "00 ca"),
        (Command.WRITE_PROTECT, "00"),
    ],
)
async def test_a_limit_that_does_not_hold_is_named(command: Command, reply: str) -> None:
    bus = BusLog(IDENTITY | STATUS, registers=True)
    rail = await part_on(bus)
    await rail.lock_down()
    bus.answer((0x24, command), reply)
    with pytest.raises(VerifyError, match=rf"TPS546D24A {command.name}\b"):
        await rail.check_locked_down()


# --- the rail --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("volts", "line"), [(1.2, "24 21 66 02"), (1.15, "24 21 4d 02"), (1.35, "24 21 b3 02")])
async def test_a_voltage_goes_out_in_the_steps_that_the_part_asks_for(volts: float, line: str) -> None:
    bus = BusLog(IDENTITY, registers=True)
    await (await part_on(bus)).set_output(Volts(volts))
    assert bus.written == [line]


@pytest.mark.parametrize("volts", [0.99, 1.351, 0.0, -1.0, float("nan"), float("inf")])
async def test_a_refused_voltage_leaves_the_wire_untouched(volts: float) -> None:
    bus = BusLog(IDENTITY)
    rail = await part_on(bus)
    with pytest.raises(LimitError, match=r"1\.000 to 1\.350 V"):
        await rail.set_output(Volts(volts))
    assert bus.written == []


async def test_a_voltage_that_does_not_take_is_noticed() -> None:
    bus = BusLog(IDENTITY | {0x21: "00 02"})
    rail = await part_on(bus)
    with pytest.raises(VerifyError, match="VOUT_COMMAND"):
        await rail.set_output(Volts(1.15))


async def test_a_healthy_rail_is_switched_on_with_one_write() -> None:
    bus = BusLog(IDENTITY | STATUS | {0x79: "40 08", 0x01: "80"})
    await (await part_on(bus)).on()
    assert bus.written == ["24 01 80"]


async def test_a_rail_that_does_not_take_the_command_is_an_error_of_its_own() -> None:
    bus = BusLog(IDENTITY | STATUS | {0x79: "40 08", 0x01: "00"})
    rail = await part_on(bus)
    with pytest.raises(VerifyError, match="OPERATION: wrote 'on', read back 'off'"):
        await rail.on()


async def test_old_faults_are_cleared_under_an_open_lock_before_the_rail_comes_up() -> None:
    bus = BusLog(IDENTITY | STATUS | {0x79: "50 48", 0x10: "20", 0x01: "80"})
    found = await (await part_on(bus)).on()
    assert bus.written == ["24 10 00", "24 03", "24 10 20", "24 01 80"]
    assert "IOUT_OC" in str(found)


async def test_a_lock_that_does_not_close_again_keeps_the_rail_off() -> None:
    bus = BusLog(IDENTITY | STATUS | {0x79: "50 48", 0x10: "00"})
    rail = await part_on(bus)
    with pytest.raises(VerifyError, match="WRITE_PROTECT"):
        await rail.on()
    assert "24 01 80" not in bus.written


async def test_off_is_at_once_and_needs_no_reading() -> None:
    bus = BusLog(IDENTITY)
    await (await part_on(bus)).off()
    assert bus.written == ["24 01 00"]


# --- readings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", params([row for row in rows("peripherals", "slinear11_decode") if row["part"] == "TPS546"])
)
async def test_currents_and_temperatures_are_signed(row: dict[str, object]) -> None:
    word = int(str(row["in"]), 16).to_bytes(2, "little").hex(" ")
    bus = BusLog(IDENTITY | {0x8C: word, 0x8D: word, 0x88: word})
    rail = await part_on(bus)
    assert await rail.output_a() == row["out"]
    assert await rail.die_c() == row["out"]
    assert await rail.input_v() == row["out"]


async def test_the_output_voltage_is_read_in_steps_of_the_vout_mode() -> None:
    assert await (await part_on(BusLog(IDENTITY | {0x8B: "66 02"}))).output_v() == 1.19921875


@pytest.mark.parametrize(("byte", "on"), [("80", True), ("00", False), ("84", True)])
async def test_operation_says_whether_the_rail_is_commanded_on(byte: str, on: bool) -> None:
    assert await (await part_on(BusLog(IDENTITY | {0x01: byte}))).is_commanded_on() is on


@pytest.mark.parametrize("row", params(rows("peripherals", "ic_device_id")))
async def test_every_published_identity_is_known(row: dict[str, str]) -> None:
    assert (await part_on(BusLog(IDENTITY | {0xAD: row["in"]}))).part.value in row["out"]

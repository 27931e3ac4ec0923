"""DS4432U: never above what was asked, nothing outside its reach, and the volts that the emulated part makes of it."""

from __future__ import annotations

import itertools
import math

import pytest

from drivers.errors import LimitError, Nack, VerifyError
from drivers.peripherals.ds4432u import BITAXE, EMBERONE_V3, FULL_SCALE_OHM, Ds4432u, Feedback, Output
from drivers.units import Volts
from emulator.parts import ds4432u as emulated
from tests.fakes import BusLog
from tests.unit.peripherals.part_on_a_bus import PartOnABus
from tests.vectors import params, rows

NODES = {"DS4432U+TPS40305 (Bitaxe)": BITAXE, "DS4432U+LM25119 (EmberOne v2-v4)": EMBERONE_V3}
ULTRA_V = (1.0, 1.4)
every_node = pytest.mark.parametrize("node", [BITAXE, EMBERONE_V3], ids=lambda node: node.name)


def node_of(row: dict[str, object]) -> Feedback:
    return NODES[str(row["part"])]


def byte(row: dict[str, object], key: str = "out") -> int:
    return int(str(row[key]), 16)


@pytest.mark.parametrize("row", params(rows("peripherals", "dac_code")))
def test_codes_are_those_of_the_firmware_but_where_it_gives_more_than_was_asked(row: dict[str, object]) -> None:
    node, asked_v, theirs = node_of(row), float(str(row["in"])), byte(row)
    if node.decode(theirs) <= asked_v:
        assert node.encode(Volts(asked_v)) == theirs
    else:
        assert theirs < 0x80, "it can only be so where current is drawn"
        assert node.encode(Volts(asked_v)) == theirs - 1


@pytest.mark.parametrize("row", params(rows("peripherals", "dac_code_not_above")))
def test_codes_are_the_highest_that_are_not_above_the_request(row: dict[str, object]) -> None:
    assert node_of(row).encode(Volts(float(str(row["in"])))) == byte(row)


@pytest.mark.parametrize("row", params(rows("peripherals", "dac_volts")))
def test_bytes_stand_for_the_volts_of_the_vectors(row: dict[str, object]) -> None:
    assert node_of(row).decode(byte(row, "in")) == pytest.approx(float(str(row["out"])), abs=5e-5)


@pytest.mark.parametrize("row", params(rows("peripherals", "dac_wrap")))
def test_what_wraps_round_in_old_firmware_is_refused(row: dict[str, object]) -> None:
    node, asked_v, wrapped = node_of(row), float(str(row["in"])), byte(row)
    assert abs(node.decode(wrapped) - asked_v) > 0.4, "this is the trap"
    with pytest.raises(LimitError, match=r"0\.9886 to 1\.9283 V"):
        node.encode(Volts(asked_v))


@every_node
def test_every_code_is_its_own_volts_and_none_other_is_between_two(node: Feedback) -> None:
    rising = [0x80 | magnitude for magnitude in range(127, 0, -1)] + list(range(128))
    volts = [node.decode(code) for code in rising]
    assert len(rising) == 255
    assert node.decode(0x80) == node.decode(0x00) == node.idle_v
    for below, above in itertools.pairwise(volts):
        assert above - below == pytest.approx(node.step_v)
    for code, exact in zip(rising, volts, strict=True):
        assert node.encode(exact) == code


@every_node
def test_over_the_whole_range_the_choice_is_not_above_the_request_and_within_a_step(node: Feedback) -> None:
    low_v, high_v = node.reach_v
    requests = [low_v + (high_v - low_v) * at / 25_000 for at in range(25_000)]
    for code in range(256):  # the places where a rounding would show
        exact = node.decode(code)
        requests += [math.nextafter(exact, 0.0), exact, math.nextafter(exact, 9.0), exact + node.step_v / 2]
    tried = 0
    for asked_v in requests:
        if low_v <= asked_v <= high_v:
            tried += 1
            assert 0.0 <= asked_v - node.decode(node.encode(Volts(asked_v))) < node.step_v
    assert tried > 25_700


@every_node
def test_current_flows_out_exactly_where_less_than_the_resting_voltage_is_asked(node: Feedback) -> None:
    assert node.encode(Volts(math.nextafter(node.idle_v, 0.0))) == 0x81
    assert node.encode(node.idle_v) == 0x00
    assert node.encode(Volts(node.idle_v + 1.01 * node.step_v)) == 0x01


@every_node
def test_volts_are_those_that_the_emulated_part_and_its_resistors_make(node: Feedback) -> None:
    if node is BITAXE:
        divider, full_scale_ohm = emulated.BITAXE, emulated.BITAXE_FULL_SCALE_OHM
    else:
        divider, full_scale_ohm = emulated.EMBERONE, emulated.EMBERONE_FULL_SCALE_OHM
    part = emulated.Ds4432u(drive=lambda *_: None, full_scale_ohm=(full_scale_ohm, full_scale_ohm))
    for code in range(256):
        part.write(bytes([emulated.OUT0, code]), 0.0)
        assert divider.output_v(part.sourced_a(0)) == pytest.approx(node.decode(code), abs=1e-9)


def test_one_of_the_two_boards_has_a_resistor_outside_the_datasheet() -> None:
    low, high = FULL_SCALE_OHM
    assert low <= BITAXE.full_scale_ohm <= high
    assert not low <= EMBERONE_V3.full_scale_ohm <= high


@pytest.mark.parametrize("asked_v", [0.0, -1.0, 0.9885, 1.9284, 2.39, math.nan, math.inf, -math.inf])
def test_nothing_outside_the_reach_has_a_code(asked_v: float) -> None:
    with pytest.raises(LimitError):
        BITAXE.encode(Volts(asked_v))


@pytest.mark.parametrize("code", [-1, 256])
def test_what_is_no_byte_has_no_volts(code: int) -> None:
    with pytest.raises(LimitError):
        BITAXE.decode(code)


@pytest.mark.parametrize("output", Output)
async def test_a_voltage_is_one_write_and_the_read_that_proves_it(output: Output) -> None:
    bus = BusLog(registers=True)
    found = await Ds4432u(bus, BITAXE, ULTRA_V, output=output).set_volts(Volts(1.2))
    assert bus.log == [f"48 {output:02x} c6", f"48 {output:02x} > c6"]
    assert 1.2 - BITAXE.step_v < found <= 1.2


@pytest.mark.parametrize("asked_v", [0.999, 1.401, 1.4584, 0.95, 2.0, math.nan, math.inf])
async def test_nothing_outside_what_the_board_allows_is_written(asked_v: float) -> None:
    bus = BusLog(registers=True)
    with pytest.raises(LimitError, match=r"1\.000 to 1\.400 V"):
        await Ds4432u(bus, BITAXE, ULTRA_V).set_volts(Volts(asked_v))
    assert bus.log == []


@pytest.mark.parametrize("allowed_v", [(0.9, 1.4), (1.0, 2.0), (1.4, 1.0), (math.nan, 1.4), (1.0, math.inf)])
def test_a_board_cannot_allow_what_the_part_does_not_reach(allowed_v: tuple[float, float]) -> None:
    with pytest.raises(LimitError, match="allowed_v"):
        Ds4432u(BusLog(), BITAXE, allowed_v)


async def test_a_byte_that_does_not_hold_is_named() -> None:
    with pytest.raises(VerifyError, match="OUT0: wrote '0xc6', read back '0x00'"):
        await Ds4432u(BusLog({0xF8: "00"}), BITAXE, ULTRA_V).set_volts(Volts(1.2))


async def test_a_write_that_fails_is_not_sent_again() -> None:
    bus = BusLog()
    bus.write_errors[0xF8] = Nack(0x48, "I2C Write Error")
    with pytest.raises(Nack):
        await Ds4432u(bus, BITAXE, ULTRA_V).set_volts(Volts(1.2))
    assert bus.log == ["48 f8 c6"]


async def test_after_power_up_it_asks_for_more_than_the_board_allows_and_says_so() -> None:
    part = emulated.Ds4432u(drive=lambda *_: None)
    dac = Ds4432u(PartOnABus(ds4432u=part), BITAXE, ULTRA_V)
    assert await dac.read() == 0x00
    assert await dac.commanded_v() == pytest.approx(1.4584, abs=1e-4)
    await dac.set_volts(Volts(1.2))
    assert await dac.commanded_v() == pytest.approx(1.1994, abs=1e-4)
    part.power_up(2.0)
    assert await dac.commanded_v() > ULTRA_V[1]


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("deafen", {}),
        ("freeze", {}),
        ("ignore_writes", {"command": 0xF8}),
        ("stick", {"register": 0xF8, "data": "00"}),
        ("answer_old", {"command": 0xF8}),
    ],
)
async def test_a_part_that_does_not_take_a_voltage_or_does_not_show_it_is_told(
    fault: str, arguments: dict[str, object]
) -> None:
    bus = PartOnABus(ds4432u=emulated.Ds4432u(drive=lambda *_: None))
    dac = Ds4432u(bus, BITAXE, ULTRA_V)
    await dac.set_volts(Volts(1.1))
    getattr(bus.faults, fault)(part="ds4432u", **arguments)
    assert await dac.read() == (0x00 if fault == "stick" else 0xE1)
    with pytest.raises(VerifyError):
        await dac.set_volts(Volts(1.2))
    getattr(bus.faults, fault)(part="ds4432u", **arguments, off=True)
    assert await dac.set_volts(Volts(1.1)) == await dac.commanded_v()


async def test_a_part_that_does_not_answer_raises_what_the_bus_raises() -> None:
    bus = PartOnABus(ds4432u=emulated.Ds4432u(drive=lambda *_: None))
    dac = Ds4432u(bus, BITAXE, ULTRA_V)
    bus.faults.nak("ds4432u")
    for question in (dac.read(), dac.commanded_v(), dac.set_volts(Volts(1.2))):
        with pytest.raises(Nack):
            await question


async def test_another_access_reaches_the_same_output() -> None:
    bus = BusLog(registers=True)
    dac = Ds4432u(BusLog(), EMBERONE_V3, (3.0, 3.9), output=Output.OUT1).over(bus)
    await dac.set_volts(Volts(3.3))
    assert bus.written == ["48 f9 b5"]

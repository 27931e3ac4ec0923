"""FXL6408: no pin is driven before it has its level, and one that is not driven any more is told."""

from __future__ import annotations

import pytest

from drivers.errors import Nack, UnknownPart, UsageError, VerifyError
from drivers.peripherals.fxl6408 import Fxl6408, Q1370Pin
from drivers.traits import GpioPin
from emulator.parts import fxl6408 as emulated
from tests.fakes import BusLog, Key
from tests.unit.peripherals.part_on_a_bus import PartOnABus
from tests.vectors import params, rows

Q1370_OFF: dict[int, bool] = {
    Q1370Pin.ASIC_RESET: False,
    Q1370Pin.VREG_ENABLE: False,
    Q1370Pin.LDO_ENABLE: False,
    Q1370Pin.MUX_A0: False,
    Q1370Pin.MUX_A1: False,
}


class Board:
    """A NerdQ1370: the DIP switch of the CAN bus, and what each pin was told."""

    def __init__(self) -> None:
        self.switch_closed = False
        self.moves: list[tuple[int, bool | None]] = []
        self.part = emulated.Fxl6408(
            drive=lambda pin, level, at_s: self.moves.append((pin, level)),
            outside=lambda pin, at_s: False if pin == Q1370Pin.CAN_SLAVE and self.switch_closed else None,
        )
        self.bus = PartOnABus(fxl6408=self.part)

    async def opened(self) -> Fxl6408:
        return await Fxl6408.open(self.bus)

    def level(self, pin: int) -> bool:
        return self.part.level(pin, self.bus.now_s)


@pytest.mark.parametrize("row", params(rows("peripherals", "device_id")))
async def test_it_is_told_by_the_upper_three_bits_of_01(row: dict[str, object]) -> None:
    bus = BusLog({0x01: str(row["in"]).removeprefix("0x")})
    if row["out"] is None:
        with pytest.raises(UnknownPart, match="device id"):
            await Fxl6408.open(bus)
    else:
        assert (await Fxl6408.open(bus)).address == 0x43
    assert bus.written == []


@pytest.mark.parametrize("row", params(rows("peripherals", "q1370_pin")))
def test_the_pins_of_a_q1370_are_those_of_its_firmware(row: dict[str, object]) -> None:
    assert Q1370Pin[str(row["out"])] == row["in"]


async def test_set_up_writes_levels_first_and_directions_last_and_reads_each_back() -> None:
    bus = BusLog({0x01: "a2"}, registers=True)
    expander = await Fxl6408.open(bus)
    bus.log.clear()
    await expander.configure(Q1370_OFF | {Q1370Pin.ASIC_RESET: True}, frozenset({Q1370Pin.CAN_SLAVE}))
    assert bus.log == [
        "43 05 01",
        "43 05 > 01",
        "43 0d 20",
        "43 0d > 20",
        "43 0b e0",
        "43 0b > e0",
        "43 07 e0",
        "43 07 > e0",
        "43 03 1f",
        "43 03 > 1f",
    ]


async def test_no_pin_ever_has_a_level_that_nobody_asked_for() -> None:
    board = Board()
    expander = await board.opened()
    await expander.configure(Q1370_OFF | {Q1370Pin.ASIC_RESET: True}, frozenset({Q1370Pin.CAN_SLAVE}))
    assert sorted(board.moves) == [(0, True), (1, False), (2, False), (3, False), (4, False)]
    assert board.level(Q1370Pin.CAN_SLAVE)
    board.moves.clear()
    await expander.set(Q1370Pin.LDO_ENABLE, True)
    await expander.set(Q1370Pin.VREG_ENABLE, True)
    await expander.set(Q1370Pin.LDO_ENABLE, True)
    await expander.set(Q1370Pin.VREG_ENABLE, False)
    assert board.moves == [(2, True), (1, True), (1, False)]


async def test_a_pin_is_a_gpio_pin_whose_latch_is_read() -> None:
    board = Board()
    expander = await board.opened()
    await expander.configure(Q1370_OFF)
    reset: GpioPin = expander.pin(Q1370Pin.ASIC_RESET)
    assert not await reset.get()
    await reset.set(True)
    assert await reset.get()
    assert board.level(0)


async def test_an_input_is_read_and_pulled_as_it_was_told() -> None:
    board = Board()
    expander = await board.opened()
    await expander.configure(Q1370_OFF, frozenset({Q1370Pin.CAN_SLAVE}))
    assert await expander.inputs() >> Q1370Pin.CAN_SLAVE & 1
    board.switch_closed = True
    assert not await expander.inputs() >> Q1370Pin.CAN_SLAVE & 1
    assert not await expander.inputs() & 0xC0, "6 and 7 are pulled down"


async def test_a_part_that_was_reset_takes_a_level_and_moves_nothing_which_is_told() -> None:
    board = Board()
    expander = await board.opened()
    await expander.configure(Q1370_OFF)
    await expander.set(Q1370Pin.VREG_ENABLE, True)
    board.part.power_up(2.0)
    assert board.moves[-5:] == [(pin, None) for pin in range(5)], "it lets go of every pin"
    assert not board.level(Q1370Pin.VREG_ENABLE)
    with pytest.raises(VerifyError, match="pin 1: wrote 'an output', read back 'not driven'"):
        await expander.set(Q1370Pin.VREG_ENABLE, True)
    assert not await expander.is_driven(Q1370Pin.VREG_ENABLE)
    assert not board.level(Q1370Pin.VREG_ENABLE)


@pytest.mark.parametrize("missing", [{0x03: "00", 0x07: "00"}, {0x03: "ff", 0x07: "02"}])
async def test_a_pin_needs_a_direction_and_must_not_be_high_impedance(missing: dict[Key, str]) -> None:
    bus = BusLog(missing | {0x01: "a0"})
    bus.answer(0x05, ["00", "02"])
    with pytest.raises(VerifyError, match="pin 1"):
        await (await Fxl6408.open(bus)).set(1, True)


async def test_a_register_that_does_not_hold_is_named() -> None:
    bus = BusLog({0x01: "a0", 0x05: "00", 0x0D: "00", 0x0B: "ff"})
    with pytest.raises(VerifyError, match=r"pull enable \(0b\)"):
        await (await Fxl6408.open(bus)).configure({0: False})


@pytest.mark.parametrize("pin", [-1, 8])
async def test_there_are_eight_pins(pin: int) -> None:
    bus = BusLog({0x01: "a0"})
    expander = await Fxl6408.open(bus)
    bus.log.clear()
    for question in (
        expander.set(pin, True),
        expander.get(pin),
        expander.is_driven(pin),
        expander.configure({pin: True}),
        expander.configure({}, frozenset({pin})),
    ):
        with pytest.raises(UsageError, match="0 to 7"):
            await question
    with pytest.raises(UsageError):
        expander.pin(pin)
    assert bus.log == []


async def test_an_output_is_not_pulled() -> None:
    bus = BusLog({0x01: "a0"})
    with pytest.raises(UsageError, match="pulled_up"):
        await (await Fxl6408.open(bus)).configure({3: True}, frozenset({3}))
    assert bus.written == []


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("deafen", {}),
        ("freeze", {}),
        ("ignore_writes", {"command": 0x05}),
        ("answer_old", {"command": 0x05}),
        ("stick", {"register": 0x03, "data": "00"}),
        ("stick", {"register": 0x07, "data": "ff"}),
    ],
)
async def test_a_part_that_does_not_take_a_level_or_does_not_show_it_is_told(
    fault: str, arguments: dict[str, object]
) -> None:
    board = Board()
    expander = await board.opened()
    await expander.configure(Q1370_OFF)
    getattr(board.bus.faults, fault)(part="fxl6408", **arguments)
    with pytest.raises(VerifyError):
        await expander.set(Q1370Pin.VREG_ENABLE, True)
    getattr(board.bus.faults, fault)(part="fxl6408", **arguments, off=True)
    await expander.set(Q1370Pin.VREG_ENABLE, True)
    assert board.level(Q1370Pin.VREG_ENABLE)


async def test_a_part_that_does_not_answer_raises_what_the_bus_raises() -> None:
    board = Board()
    expander = await board.opened()
    board.bus.faults.nak("fxl6408")
    for question in (expander.set(1, True), expander.get(1), expander.inputs(), expander.configure({})):
        with pytest.raises(Nack):
            await question

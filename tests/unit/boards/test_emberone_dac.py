"""EmberOne00 v2 to v4: a rail that a DAC sets and a pin switches, and which of them a board is."""

from __future__ import annotations

import asyncio

import pytest

from controller.model import Cause, ClearFault, GuardState
from drivers.boards import BOARDS
from drivers.boards.bitaxe_safe_off import RAIL, RESET
from drivers.boards.board import Channel, CoreVoltage, LockDown, Protection, RailOn, VerifyRail
from drivers.errors import LimitError, Refused, UnknownPart, VerifyError
from drivers.units import Volts
from emulator.benches import BENCHES, BenchSettings
from tests.scenarios.gamma import NAME, stand
from tests.unit.boards.on_a_bench import OnBench, bitaxe
from tests.unit.boards.test_emberone import levels, live, pins_set

V2, V3, V4, V5 = "emberone00-v2", "emberone00-v3", "emberone00-v4", "emberone00"
DAC_BOARDS = (V2, V3, V4)
each = pytest.mark.parametrize("name", DAC_BOARDS)
LOWEST_RAIL_V = {V2: 3.6 - 127 * 3570 * 0.997 / 16 / 80_600, V3: 3.6 - 106 * 3570 * 0.997 / 16 / 39_000}
LOWEST_RAIL_V[V4] = LOWEST_RAIL_V[V3]
CHIPS = 12


def on_a_stand(name: str, settings: BenchSettings | None = None):  # type: ignore[no-untyped-def]
    return stand(settings, kind=BOARDS[name], build=BENCHES[name])  # type: ignore[arg-type]


def dac_writes(frames: list[str]) -> list[str]:
    """The bytes that the DAC was told, in order."""
    split = [frame.upper().split() for frame in frames]
    return [words[8] for words in split if words[4:8] == ["05", "20", "48", "F8"]]


def rail_moves(on: OnBench, seen: int) -> list[str]:
    return [f"{move.what} {move.detail}".strip() for move in on.bench.actuations[seen:] if move.what.startswith("rail")]


# --- a rail that a pin switches and a DAC sets ------------------------------------------------------------------------


@each
async def test_its_rail_is_off_until_a_rig_switches_it_on_and_wakes_at_its_resistors_volts(name: str) -> None:
    async with bitaxe(name) as on:
        identity = await on.board.first_contact()
        thermometer = "TMP451" if name == V4 else "TMP1075"
        assert identity.parts == {"regulator": "DS4432U and INA260", "thermometer": thermometer}
        assert not on.truth("rail_on")
        await on.board.bridge.gpio(1).set(True)  # what a program does that knows nothing of a DAC
        assert on.truth("rail_set_v") == pytest.approx(0.8 * (1 + 3570 / 1020))
        again = await on.board.first_contact()
        assert again.hashing_suspected


@each
async def test_it_comes_up_at_its_lowest_and_goes_where_it_was_asked_to_once_that_was_seen(name: str) -> None:
    async with bitaxe(name) as on:
        await on.board.first_contact()
        await on.board.safe_off()
        frames, seen = len(on.control_frames.frames), len(on.bench.actuations)
        await on.apply(LockDown(), CoreVoltage(Volts(0.275)))
        assert not on.truth("rail_on")
        await on.apply(RailOn(), VerifyRail(Volts(0.275)))
        lowest, stock = rail_moves(on, seen)
        assert lowest == f"rail on {LOWEST_RAIL_V[name]:.3f} V"
        assert stock == f"rail voltage {3.2993 if name == V2 else 3.2977:.3f} V"
        rest, asked = ("FF", "ED") if name == V2 else ("EA", "B5")
        assert dac_writes(on.control_frames.frames[frames:]) == [rest, asked, rest, asked]
        assert pins_set(on.control_frames.frames[frames:]) == ["01 01"]


@each
@pytest.mark.parametrize("end", ["low", "hard"])
async def test_it_comes_up_at_either_end_of_what_it_may_be_asked_for(name: str, end: str) -> None:
    """The byte of the lowest stands for a little less than that."""
    async with bitaxe(name) as on:
        await on.board.first_contact()
        await on.board.safe_off()
        e = on.board.kind.envelope
        core_v = Volts(e.core_v.low if end == "low" else e.core_v_hard)
        await on.apply(LockDown(), CoreVoltage(core_v), RailOn(), VerifyRail(core_v))
        rail_v = on.truth("rail_set_v")
        assert isinstance(rail_v, float)
        assert core_v - 0.0005 <= rail_v / CHIPS <= core_v


@each
async def test_power_goes_reset_first_then_the_pin_then_the_dac_and_the_adc_has_seen_it(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        frames = len(on.control_frames.frames)
        report = await on.board.safe_off()
        assert [action.name for action in report.actions] == [RESET, RAIL]
        assert report.confirmed
        assert pins_set(on.control_frames.frames[frames:]) == ["00 00", "01 00"]
        assert dac_writes(on.control_frames.frames[frames:]) == ["FF" if name == V2 else "EA"]
        assert levels(on) == {"ASIC_RESETN": False, "PWR_EN": False, "IO_PWR_EN": False}
        assert not on.truth("rail_on")
        assert "V" in report.actions[1].detail


@each
async def test_a_dac_that_is_gone_leaves_the_pin_and_a_pin_that_is_no_use_leaves_the_adc_to_tell(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        on.bench.faults.nak("ds4432u")
        report = await on.board.safe_off()
        assert not on.truth("rail_on")
        assert [action.name for action in report.actions if not action.confirmed] == [RAIL]
        on.bench.faults.heal("ds4432u")
        await on.power_up()
        on.bench.buck.set_enable_pin = lambda *_: None  # type: ignore[attr-defined]
        report = await on.board.safe_off()
        assert on.truth("rail_on")
        (action,) = (action for action in report.actions if not action.confirmed)
        assert action.name == RAIL
        assert "the rail still reads" in action.detail


def test_the_sentinel_asks_the_adc_as_far_as_a_mask_can_tell() -> None:
    for name in DAC_BOARDS:
        last = BOARDS[name].safe_off_recipe[-1]
        assert last.confirms == "rail off: ADC"
        assert last.request.hex(" ") == "06 00 00 00 07 50"
        assert (last.reply[-2:], last.mask[-2:]) == (b"\x00\x00", b"\xc0\xff")  # below 64 steps: 0.103 V


@each
async def test_core_volts_are_what_the_adc_sees_of_a_twelfth_of_the_rail(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        for error_v in (0.0, 0.12):
            on.bench.faults.regulation_error(error_v)
            await asyncio.sleep(0.1)
            rail_v = on.truth("rail_v")
            assert isinstance(rail_v, float)
            reading = await on.board.read()
            assert reading.channels[Channel.CORE_V] == pytest.approx(rail_v / CHIPS, abs=6.6 / 4096 / CHIPS)
        await on.board.safe_off()
        assert (await on.board.read()).channels[Channel.CORE_V] == 0.0


@each
async def test_volts_outside_are_refused_and_nothing_is_written(name: str) -> None:
    async with bitaxe(name) as on:
        await on.board.first_contact()
        await on.board.apply(LockDown())
        frames = len(on.control_frames.frames)
        for volts in (0.249, 0.2705 if name == V2 else 0.2495, 0.3255, 0.360, 1.2):
            with pytest.raises(LimitError, match="core_v"):
                await on.board.apply(CoreVoltage(Volts(volts)))
        assert dac_writes(on.control_frames.frames[frames:]) == []


# --- which of them it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("board", "taken_for", "told"),
    [
        (V4, V5, "board: 'an INA260, as on an EmberOne00 v2, v3 or v4' is not allowed; allowed: a TPS546"),
        (V2, V5, "board: 'a second TMP1075, as on an EmberOne00 v2 or v3' is not allowed; allowed: a TMP451"),
        (V5, V4, "board: 'a TPS546, as on an EmberOne00 v5 or v6' is not allowed; allowed: an INA260 with a DS4432U"),
        (V5, V3, "board: 'a TMP451, as on an EmberOne00 v4 or later' is not allowed; allowed: two TMP1075"),
        (V4, V3, "board: 'a TMP451, as on an EmberOne00 v4 or later' is not allowed; allowed: two TMP1075"),
        (V4, V2, "board: 'a TMP451, as on an EmberOne00 v4 or later'"),
        (V3, V4, "board: 'a second TMP1075, as on an EmberOne00 v2 or v3' is not allowed; allowed: a TMP451"),
        (V2, V4, "board: 'a second TMP1075, as on an EmberOne00 v2 or v3'"),
    ],
)
async def test_one_that_is_taken_for_another_is_told_by_its_parts_before_anything_is_energised(
    board: str, taken_for: str, told: str
) -> None:
    async with bitaxe(board, taken_for=taken_for) as on:
        identity = await on.board.first_contact()
        assert None in identity.parts.values() or any("EmberOne00" in (part or "") for part in identity.parts.values())
        seen = len(on.bench.actuations)
        with pytest.raises(UnknownPart, match=told):
            await on.power_up()
        assert [move for move in on.bench.actuations[seen:] if move.what.startswith("rail")] == []
        assert not on.truth("rail_on")


@pytest.mark.parametrize(("board", "taken_for", "comes_up_at_v"), [(V2, V3, 3.307), (V3, V2, 2.876)])
@pytest.mark.parametrize("core_v", [0.275, 0.325])
async def test_a_dac_with_another_resistor_is_told_by_its_first_volts_which_both_may_have(
    board: str, taken_for: str, comes_up_at_v: float, core_v: float
) -> None:
    """v2 and v3 are alike on the bus. Never the volts that were asked for: those would be wrong by 8 %."""
    async with bitaxe(board, taken_for=taken_for) as on:
        await on.board.first_contact()
        await on.board.safe_off()
        await on.apply(LockDown(), CoreVoltage(Volts(core_v)))
        seen = len(on.bench.actuations)
        with pytest.raises(VerifyError, match=r"at its lowest .*another resistor at the DAC"):
            await on.board.apply(RailOn())
        assert rail_moves(on, seen) == [f"rail on {comes_up_at_v:.3f} V"]
        assert (await on.board.safe_off()).confirmed


@each
async def test_a_regulator_that_does_not_come_up_is_refused_with_what_was_seen(name: str) -> None:
    async with bitaxe(name) as on:
        await on.board.first_contact()
        await on.apply(LockDown(), CoreVoltage(Volts(0.275)))
        on.bench.faults.trip_rail()
        with pytest.raises(VerifyError, match=r"0\.00 V at the ADC: no rail"):
            await on.board.apply(RailOn())


@pytest.mark.parametrize(("name", "part"), [(V4, "tmp451"), (V3, "tmp1075_b"), (V3, "ina260"), (V5, "tps546")])
async def test_a_part_that_is_silent_and_nothing_in_its_place_is_no_other_board(name: str, part: str) -> None:
    async with bitaxe(name) as on:
        on.bench.faults.nak(part)
        identity = await on.board.first_contact()
        assert None in identity.parts.values()
        assert not any("EmberOne00" in (found or "") for found in identity.parts.values())


# --- under a rig ------------------------------------------------------------------------------------------------------


@each
async def test_it_claims_no_limits_of_its_own_and_nothing_above_stock_without_an_unlock_that_says_hard(
    name: str,
) -> None:
    async with on_a_stand(name) as s:  # unlocked to the range
        with pytest.raises(Refused, match="core_v"):
            await s.power_up(core_v=0.2775)
        with pytest.raises(Refused, match="frequency_mhz"):
            await s.power_up(frequency_mhz=206.25)
        await s.power_up()
        assert s.rig.snapshot().boards[0].protections == {Protection.SOFTWARE_TRIPS, Protection.SENTINEL}


@each
async def test_a_dac_that_lost_its_byte_trips_and_the_latch_opens_again(name: str) -> None:
    """0.30 V where 0.275 V was asked for: 9 % too much."""
    async with on_a_stand(name) as s:
        await s.power_up()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        s.bench.regulator.dac.power_up(began_s)
        fault = await s.fault()
        assert fault.cause is Cause.CORE_VOLTAGE
        assert loop.time() - began_s < 1.0
        assert s.is_safe()
        await asyncio.sleep(60.0)
        await s.rig.request(NAME, ClearFault())
        assert s.rig.snapshot().boards[0].state is GuardState.SAFE_OFF


@each
async def test_a_rail_that_runs_off_trips_and_is_not_taken_for_a_broken_sensor(name: str) -> None:
    async with on_a_stand(name) as s:
        await s.power_up()
        s.bench.faults.regulation_error(1.0)  # 4.3 V: 0.36 V a chip, and above 1.2 times what it may have with 1.5 V
        fault = await s.fault()
        assert fault.cause is Cause.CORE_VOLTAGE
        assert s.is_safe()


@each
async def test_a_supply_that_sags_is_named(name: str) -> None:
    """The LM25119 has no lower end of its own: the trip is all that there is."""
    async with on_a_stand(name) as s:
        await s.power_up()
        s.bench.faults.source_v(11.0)
        assert (await s.fault()).cause is Cause.INPUT_LOW
        assert s.is_safe()


@each
async def test_a_usb_cable_that_is_out_takes_the_bridge_and_the_dac_with_it(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        assert on.bench.lose_usb()
        assert on.bench.regulator.dac.sourced_a(0) == 0.0
        assert not on.truth("rail_on")


async def test_without_a_sensor_in_a_die_every_level_is_5_c_lower() -> None:
    levels_of = {name: BOARDS[name].envelope for name in DAC_BOARDS}
    assert [e.chip_c_trip for e in levels_of.values()] == [70.0, 70.0, 75.0]
    assert [e.chip_c_emergency for e in levels_of.values()] == [80.0, 80.0, 85.0]


@pytest.mark.parametrize("name", [V2, V3])
async def test_two_thermometers_far_apart_leave_no_die(name: str) -> None:
    async with bitaxe(name) as on:
        await on.board.first_contact()
        first, _ = on.bench.thermometers  # type: ignore[attr-defined]
        first.tap = lambda c: c + 20.0
        reading = await on.board.read()
        assert reading.channels[Channel.CHIP_C] is None
        assert "more than 15 C apart" in reading.notes[Channel.CHIP_C]

"""The regulator's thermometer fails under way; then something else does. What the plant really does is what counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.model import (
    Cause,
    FanMode,
    FaultLatched,
    GuardState,
    Note,
    PointLimited,
    SetFan,
    SetOperatingPoint,
    StartWork,
)
from drivers.boards import BOARDS
from drivers.boards.board import Channel
from drivers.errors import Refused
from emulator.benches import BENCHES, BenchSettings
from emulator.faults import Faults
from tests.scenarios.gamma import NAME, Stand, stand

SETTINGS = BenchSettings(seed=1, dilution=2**31, ambient_c=25.0)
DERATED_MHZ = 362.5


def truth(s: Stand, name: str) -> float:
    return float(s.bench.truth(asyncio.get_running_loop().time())[name])


async def hashes(s: Stand, clock: float = 525.0, core_v: float = 1.150, for_s: float = 300.0) -> None:
    await s.power_up(clock, core_v)
    await s.rig.request(NAME, StartWork(work="synthetic", ticket_difficulty=256))
    await asyncio.sleep(for_s)


async def hottest(s: Stand, for_s: float) -> tuple[float, float]:
    """The true die and the true regulator until a fault, or for so long."""
    die = vr = 0.0
    for _ in range(round(for_s * 20)):
        await asyncio.sleep(0.05)
        die, vr = max(die, truth(s, "die_c")), max(vr, truth(s, "vr_c"))
        if s.find(FaultLatched) and s.is_safe():
            break
    return die, vr


async def test_a_regulator_that_reads_nonsense_for_20_s_costs_a_while_of_clock_and_no_trip() -> None:
    async with stand(SETTINGS) as s:
        await s.rig.request(NAME, SetFan(mode=FanMode.AUTO))
        await hashes(s)
        assert truth(s, "fan_duty") < 1.0
        s.bench.faults.misread("vr_c", 127.88)
        await asyncio.sleep(8.0)
        assert truth(s, "frequency_mhz") == DERATED_MHZ
        assert truth(s, "fan_duty") == 1.0
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LIVE
        assert board.limited is not None
        assert (board.limited.cause, board.limited.sensor) == (Cause.SENSOR_INVALID, "vr_c")
        assert board.point.requested.frequency_mhz == 525.0
        with pytest.raises(Refused):
            await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=550.0))
        await asyncio.sleep(12.0)
        s.bench.faults.misread("vr_c", off=True)
        await asyncio.sleep(20.0)
        assert truth(s, "frequency_mhz") == DERATED_MHZ
        await asyncio.sleep(27 * 30.0)
        assert truth(s, "frequency_mhz") == 525.0
        assert s.rig.snapshot().boards[0].limited is None
        assert s.find(FaultLatched) == []
        assert [limit.sensor for limit in s.find(PointLimited)][:1] == ["vr_c"]
        said = [note.text for note in s.find(Note)]
        assert any(text.startswith("vr_c is not known, full fan and 362.5 MHz at most: ") for text in said), said
        assert any(text.startswith("vr_c has been good for 10 s") for text in said), said
        work = board.work
        assert work is not None
        assert work.running


@pytest.mark.parametrize(("clock", "core_v"), [(525.0, 1.150), (575.0, 1.190)])
async def test_one_that_stays_away_trips_after_30_s_and_nothing_was_hot(clock: float, core_v: float) -> None:
    async with stand(SETTINGS) as s:
        await hashes(s, clock, core_v)
        began_s = asyncio.get_running_loop().time()
        die_c, vr_c = truth(s, "die_c"), truth(s, "vr_c")
        s.bench.faults.misread("vr_c", 127.88)
        die, vr = await hottest(s, 60.0)
        (fault,) = s.find(FaultLatched)
        assert fault.cause in (Cause.SENSOR_INVALID, Cause.SENSOR_STALE)
        assert fault.sensor == "vr_c"
        assert 30.0 <= fault.at_s - began_s <= 33.0
        assert die <= die_c + 1.0
        assert vr <= vr_c + 1.0
        assert s.is_safe()


S = {Cause.SENSOR_INVALID, Cause.SENSOR_STALE}
SECOND: tuple[tuple[str, Callable[[Faults], None], set[Cause], float], ...] = (
    ("the diode opens", lambda f: f.open_diode(), S, 2.5),
    ("the die reads 20", lambda f: f.misread("chip_c", 20.0), S, 31.0),
    ("the fan controller is silent", lambda f: f.nak("emc2101"), S, 3.0),
    ("the regulator is silent", lambda f: f.nak("tps546"), S, 3.0),
    ("the current reads 0", lambda f: f.misread("core_a", 0.0), S, 25.0),
    ("the fan stops", lambda f: f.stall_fan(), S | {Cause.FAN}, 7.0),
    ("the heatsink comes off", lambda f: f.loosen_heatsink(1000.0), {Cause.RUNAWAY, Cause.CHIP_TEMPERATURE}, 4.0),
    ("the rail rises", lambda f: f.regulation_error(0.12), {Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT}, 1.0),
    ("the room is at 55 C", lambda f: f.ambient_c(55.0), S, 31.0),
)


@pytest.mark.parametrize(("second", "causes", "within_s"), [row[1:] for row in SECOND], ids=[row[0] for row in SECOND])
async def test_whatever_fails_next_stops_it_in_time(
    second: Callable[[Faults], None], causes: set[Cause], within_s: float
) -> None:
    async with stand(SETTINGS) as s:
        await hashes(s)
        s.bench.faults.misread("vr_c", 127.88)
        await asyncio.sleep(5.0)
        assert s.find(FaultLatched) == []
        began_s = asyncio.get_running_loop().time()
        second(s.bench.faults)
        die, vr = await hottest(s, 60.0)
        (fault,) = s.find(FaultLatched)
        assert fault.cause in causes, fault.detail
        assert fault.at_s - began_s <= within_s
        assert die < 75.0
        assert vr < 95.0
        assert s.bench.truth(asyncio.get_running_loop().time())["reset_asserted"]


async def test_ten_watts_more_in_the_regulator_which_nothing_sees_do_not_get_it_to_its_throttle_level() -> None:
    async with stand(SETTINGS) as s:
        await hashes(s)
        s.bench.faults.misread("vr_c", 127.88)
        await asyncio.sleep(1.0)
        plant = s.bench.plant
        plant.settings = replace(plant.settings, regulator_w=plant.settings.regulator_w + 10.0)
        _, vr = await hottest(s, 60.0)
        assert s.find(FaultLatched)[0].sensor == "vr_c"
        assert 60.0 < vr < 95.0


async def test_a_die_that_cannot_be_read_is_never_lived_without() -> None:
    """The regulator stays at 43 C while the die of a board without its heatsink passes 75 C in 7 s."""
    for do, arguments in (("open_diode", {}), ("misread", {"channel": "chip_c", "value": 127.0})):
        async with stand(SETTINGS) as s:
            await hashes(s)
            began_s = asyncio.get_running_loop().time()
            s.bench.faults.do(do, arguments)
            fault = await s.fault()
            assert fault.sensor == "chip_c"
            assert fault.at_s - began_s <= 3.0
            assert s.find(PointLimited) == []


@pytest.mark.parametrize("name", [name for name in BOARDS if BOARDS[name].envelope.means.sees(Channel.VR_C)])
async def test_only_a_board_that_its_model_was_fitted_to_goes_on(name: str) -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31), kind=BOARDS[name], build=BENCHES[name]) as s:  # type: ignore[arg-type]
        await s.power_up()
        await asyncio.sleep(60.0)
        began_s = asyncio.get_running_loop().time()
        s.bench.faults.misread("vr_c", 127.88)
        fault = await s.fault()
        assert fault.sensor == "vr_c"
        assert (fault.at_s - began_s <= 3.0) is (name != "bitaxe-gamma")


async def test_a_doubtful_reading_that_is_hot_is_a_hot_regulator() -> None:
    async with stand(SETTINGS) as s:
        await hashes(s)
        began_s = asyncio.get_running_loop().time()
        s.bench.faults.misread("vr_c", 140.0)
        fault = await s.fault()
        assert (fault.cause, fault.sensor) == (Cause.SENSOR_INVALID, "vr_c")
        assert fault.at_s - began_s <= 1.2
        assert s.find(PointLimited) == []


async def test_a_thermometer_that_comes_back_with_a_wrong_value_is_doubted_and_trips() -> None:
    async with stand(SETTINGS) as s:
        await hashes(s)
        s.bench.faults.misread("vr_c", 127.88)
        await asyncio.sleep(3.0)
        s.bench.faults.misread("vr_c", 8.0)
        fault = await s.fault()
        assert (fault.cause, fault.sensor) == (Cause.SENSOR_INVALID, "vr_c")
        assert fault.detail.startswith("disagreement: ")
        assert s.is_safe()

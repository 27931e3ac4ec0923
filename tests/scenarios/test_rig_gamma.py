"""The rig and an emulated Gamma, from the socket's side of the door to the bytes on the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.journal import read_journal
from controller.model import (
    BoardAttached,
    BoardLost,
    Cause,
    ClearFault,
    CommandRefused,
    FaultCleared,
    FaultLatched,
    GuardState,
    Note,
    PowerDown,
    PowerUp,
    Quality,
    SafeOff,
    SafeOffDone,
    SetOperatingPoint,
    StartWork,
    StateChanged,
    StepApplied,
    StopWork,
    WorkStopped,
)
from controller.work.statistics import poisson_interval
from drivers.boards.board import Channel, Protection
from drivers.errors import HashbridgeError, Latched, Refused, UsageError
from emulator.benches import BenchSettings
from emulator.physics import PlantSettings
from tests.scenarios.gamma import NAME, Stand, stand

DILUTION = 1 << 29


async def work(s: Stand, command: StartWork, seconds: float) -> WorkStopped:
    await s.rig.request(NAME, command)
    await asyncio.sleep(seconds)
    await s.rig.request(NAME, StopWork())
    await asyncio.sleep(0)
    return s.find(WorkStopped)[-1]


# --- start, point, work -----------------------------------------------------------------------------------------------


async def test_entering_makes_the_board_safe_and_leaving_does_so_again() -> None:
    async with stand(BenchSettings(rail_on_at_power_up=True)) as s:
        attached = await s.wait_for(BoardAttached)
        assert attached.hashing_suspected
        assert s.is_safe()
        await s.power_up()
        assert not s.is_safe()
    assert s.is_safe()
    assert s.find(SafeOffDone)[-1].report.confirmed
    assert [event.seq for event in s.told] == list(range(1, len(s.told) + 1))


async def test_20_s_of_pattern_work_at_stock_find_590_answers_with_a_yield_of_995_per_mille() -> None:
    async with stand() as s:
        await s.power_up(525.0, 1.150)
        result = (await work(s, StartWork(work="pattern"), 20.0)).result
    assert result.answers_due is not None
    assert result.answers_due >= 590
    assert result.yield_ratio is not None
    assert result.yield_ratio >= 0.995
    assert result.yield_ci95 is not None
    assert result.yield_ci95[0] < result.yield_ratio <= result.yield_ci95[1]
    assert (result.duplicates, result.stale, result.link_errors) == (0, 0, 0)
    assert sum(result.due_by_core.values()) == result.answers_due
    assert sum(result.found_by_core.values()) == result.answers_found
    by_domain = [sum(n for core, n in result.due_by_core.items() if core % 4 == domain) for domain in range(4)]
    assert max(by_domain) - min(by_domain) <= 1


async def test_the_synthetic_rate_lies_inside_its_9999_per_myriad_interval() -> None:
    async with stand(BenchSettings(dilution=DILUTION)) as s:
        await s.power_up()
        result = (await work(s, StartWork(work="synthetic"), 20.0)).result
        truth = s.bench.plant.yields(asyncio.get_running_loop().time())
    assert result.ticket_difficulty == 1
    low, high = poisson_interval(result.verified, 0.9999)
    true_hs = result.expected_hs * sum(truth) / len(truth)
    assert low * 2**32 / result.elapsed_s < true_hs < high * 2**32 / result.elapsed_s
    assert result.hashrate_hs == pytest.approx(result.verified * 2**32 / 20.0)
    assert result.hashrate_ci95_hs is not None
    low_hs, high_hs = result.hashrate_ci95_hs
    assert low_hs < result.verified * 2**32 / 20.0 < high_hs


async def test_snapshots_tell_requested_granted_and_achieved_apart() -> None:
    async with stand() as s:
        await s.power_up(490.0, 1.150)
        point = (await s.snapshot()).boards[0].point
        assert point.requested.frequency_mhz == 490.0
        assert point.granted.frequency_mhz == pytest.approx(490.0, abs=1.0)
        assert point.achieved.frequency_mhz == pytest.approx(490.0, abs=1.0)
        assert point.achieved.core_v is not None
        assert 1.10 < point.achieved.core_v < 1.15
        board = (await s.snapshot()).boards[0]
        assert {reading.quality for reading in board.channels.values() if reading.value is not None} == {Quality.GOOD}
        assert {Protection.SOFTWARE_TRIPS, Protection.REGULATOR_LIMITS} <= board.protections


async def test_a_move_while_work_runs_costs_no_yield_because_jobs_on_the_way_are_not_due() -> None:
    async with stand() as s:
        await s.power_up(500.0, 1.150)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(2.0)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=525.0, core_v=1.170))
        await asyncio.sleep(2.0)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=500.0, core_v=1.150))
        await asyncio.sleep(2.0)
        await s.rig.request(NAME, StopWork())
        await asyncio.sleep(0)
        result = s.find(WorkStopped)[-1].result
    assert result.answers_due is not None
    assert result.answers_found is not None
    assert result.answers_due < result.jobs
    assert result.answers_found >= result.answers_due - 1
    assert result.duplicates == 0


async def test_an_orderly_power_down_ramps_the_clock_before_the_rail_goes() -> None:
    async with stand() as s:
        await s.power_up()
        await s.rig.request(NAME, PowerDown())
        await asyncio.sleep(0)
        clocks = [event.detail for event in s.find(StepApplied) if event.step == "Frequency"]
        assert clocks[-1] == "Frequency 50 MHz"
        assert s.is_safe()
        assert s.find(StateChanged)[-1].after is GuardState.SAFE_OFF


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frequency_mhz", "core_v"), [(700.0, None), (None, 1.3), (None, 0.99), (float("nan"), None), (100.0, None)]
)
async def test_what_the_guard_refuses_moves_nothing(frequency_mhz: float | None, core_v: float | None) -> None:
    async with stand() as s:
        before = s.moves()
        with pytest.raises(Refused):
            await s.power_up(frequency_mhz, core_v)
        assert s.moves() == before
        await asyncio.sleep(0)
        assert s.find(CommandRefused)[-1].rule == "envelope"
        assert not s.find(StepApplied)


async def test_unknown_boards_headers_and_difficulties_are_mistakes_of_the_caller(tmp_path: Path) -> None:
    async with stand() as s:
        with pytest.raises(UsageError):
            await s.rig.request("other", PowerUp())
        await s.power_up()
        for command in (
            StartWork(work="headers"),
            StartWork(work="headers", headers=str(tmp_path / "none")),
            StartWork(work="pattern", ticket_difficulty=16),
            StartWork(work="synthetic", ticket_difficulty=3),
        ):
            with pytest.raises(UsageError):
                await s.rig.request(NAME, command)
        await s.rig.request(NAME, StartWork(work="pattern"))
        with pytest.raises(Refused, match="runs already"):
            await s.rig.request(NAME, StartWork(work="pattern"))


# --- faults -----------------------------------------------------------------------------------------------------------


async def test_over_temperature_ends_with_reset_low_then_rail_off_then_fan_full_and_names_the_sensor() -> None:
    async with stand() as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        moved = len(s.moves())
        s.bench.faults.ambient_c(60.0)
        fault = await s.fault(within_s=300.0)
        assert fault.cause is Cause.CHIP_TEMPERATURE
        assert fault.sensor == "chip_c"
        assert fault.snapshot is not None
        assert s.is_safe()
        assert [what for what, _ in s.moves()[moved:]][:2] == ["reset asserted", "rail off"]
        assert s.find(SafeOffDone)[-1].report.confirmed
        with pytest.raises(Latched):
            await s.power_up()
        with pytest.raises(Refused):
            await s.rig.request(NAME, ClearFault())
        s.bench.faults.ambient_c(20.0)
        await asyncio.sleep(600.0)
        await s.rig.request(NAME, ClearFault())
        await asyncio.sleep(0)
        assert s.find(FaultCleared)[-1].cause is Cause.CHIP_TEMPERATURE
        await s.power_up()


async def test_a_silent_thermometer_cuts_the_rail_within_3_s() -> None:
    async with stand() as s:
        await s.power_up()
        began_s = asyncio.get_running_loop().time()
        s.bench.faults.nak("emc2101")
        fault = await s.fault()
        assert fault.cause is Cause.SENSOR_STALE
        assert fault.sensor == "chip_c"
        assert fault.at_s - began_s < 3.0
        truth = s.bench.truth(asyncio.get_running_loop().time())
        assert truth["reset_asserted"]
        assert not truth["rail_on"]


@pytest.mark.parametrize("fault", ["open_diode", "short_diode"])
async def test_a_broken_diode_is_an_invalid_sensor_and_not_a_hot_chip(fault: str) -> None:
    async with stand() as s:
        await s.power_up()
        s.bench.faults.do(fault)
        found = await s.fault()
        assert found.cause in (Cause.SENSOR_INVALID, Cause.SENSOR_STALE)
        assert found.sensor == "chip_c"
        assert s.is_safe()


async def test_a_supply_of_300_milliohm_is_named_as_the_cause() -> None:
    async with stand(BenchSettings(plant=PlantSettings(source_ohm=0.30))) as s:
        with pytest.raises(HashbridgeError):
            await s.power_up()
        found = await s.fault()
        assert found.cause is Cause.INPUT_LOW
        assert s.is_safe()


async def test_a_fan_that_stops_is_a_fan_fault_before_the_die_is_hot() -> None:
    async with stand() as s:
        await s.power_up()
        s.bench.faults.stall_fan()
        found = await s.fault()
        assert found.cause is Cause.FAN
        assert s.bench.plant.die_c < 78.0


async def test_the_latch_cancels_the_step_in_flight_and_refuses_those_behind_it() -> None:
    async with stand() as s:
        ramp = asyncio.create_task(s.power_up())
        await asyncio.sleep(6.0)
        waiting = asyncio.create_task(s.rig.request(NAME, SetOperatingPoint(core_v=1.160)))
        await asyncio.sleep(0)
        s.bench.faults.nak("emc2101")
        with pytest.raises(Latched):
            await ramp
        with pytest.raises(Refused, match="safe-off came first"):
            await waiting
        steps = len(s.find(StepApplied))
        await asyncio.sleep(5.0)
        assert len(s.find(StepApplied)) == steps


async def test_safe_off_in_the_middle_of_a_ramp_goes_first_and_the_ramp_is_over() -> None:
    async with stand() as s:
        ramp = asyncio.create_task(s.power_up())
        await asyncio.sleep(6.0)
        began_s = asyncio.get_running_loop().time()
        await s.rig.request(NAME, SafeOff(reason="test"))
        assert asyncio.get_running_loop().time() - began_s < 0.2
        assert s.is_safe()
        with pytest.raises(Refused):
            await ramp
        assert (await s.snapshot()).boards[0].state is GuardState.SAFE_OFF


async def test_a_board_is_safe_when_whoever_asked_for_power_is_cancelled() -> None:
    async with stand() as s:
        ramp = asyncio.create_task(s.power_up())
        await asyncio.sleep(6.0)
        ramp.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ramp
        assert s.is_safe()


async def test_leaving_is_safe_off_even_when_the_one_who_leaves_is_cancelled() -> None:
    kept: list[Stand] = []

    async def life() -> None:
        async with stand() as s:
            kept.append(s)
            await s.power_up()
            await asyncio.sleep(1e6)

    task = asyncio.create_task(life())
    await asyncio.sleep(30.0)
    assert not kept[0].is_safe()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kept[0].is_safe()


# --- ports, sentinel, sleep -------------------------------------------------------------------------------------------


async def test_a_lost_control_port_stops_the_hashing_through_the_data_port_within_a_second() -> None:
    async with stand() as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(1.0)
        began_s = asyncio.get_running_loop().time()
        s.bench.faults.unplug("control")
        s.rig.control_lost(NAME, "unplugged")
        await asyncio.sleep(1.0)
        truth = s.bench.truth(asyncio.get_running_loop().time())
        assert truth["activity"] == 0.0
        assert truth["frequency_mhz"] == pytest.approx(50.0)
        lost = s.find(BoardLost)[0]
        assert (lost.port, lost.at_s - began_s) == ("control", 0.0)
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.UNPROTECTED
        assert not board.protections & {Protection.SENTINEL, Protection.SOFTWARE_TRIPS}
        with pytest.raises((Refused, Latched)):
            await s.rig.request(NAME, SetOperatingPoint(core_v=1.160))
        s.rig.control_restored(NAME, None, s.new_control())
        await asyncio.sleep(2.0)
        assert s.is_safe()
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED


async def test_a_board_that_nobody_reaches_is_shown_so_at_once_though_no_sweep_follows() -> None:
    async with stand() as s:
        await s.power_up()
        shown = s.rig.snapshots()
        for _ in range(3):  # the ports hang up right behind one that was just published: the first may be old
            assert (await anext(shown)).boards[0].state is GuardState.LIVE
        s.bench.faults.unplug("data")
        s.bench.faults.unplug("control")
        s.rig.control_lost(NAME, "unplugged")
        async with asyncio.timeout(0.05):
            assert (await anext(shown)).boards[0].state is GuardState.UNPROTECTED


async def test_a_control_port_that_hangs_up_unannounced_is_noticed_by_the_sweep() -> None:
    async with stand() as s:
        await s.power_up()
        s.bench.faults.unplug("control")
        await asyncio.sleep(1.5)
        assert s.rig.snapshot().boards[0].state is GuardState.UNPROTECTED
        assert s.bench.truth(asyncio.get_running_loop().time())["activity"] == 0.0


async def test_a_board_that_is_back_with_a_broken_fan_is_not_said_to_be_out_of_reach() -> None:
    """Its rail was cut, and can be: `pull the supply` would be a lie. What could not be confirmed is named."""
    async with stand() as s:
        await s.power_up()
        s.bench.faults.unplug("control")
        await asyncio.sleep(1.5)
        s.bench.faults.garbage("emc2101")
        s.rig.control_restored(NAME, None, s.new_control())
        await asyncio.sleep(2.0)
        assert s.is_safe()
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED
        done = s.find(SafeOffDone)[-1].report
        assert [action.name for action in done.actions if not action.confirmed] == ["fan full"]
        with pytest.raises(Refused, match="no safe-off was confirmed yet"):
            await s.rig.request(NAME, ClearFault())


async def test_a_control_port_that_is_back_before_anybody_said_that_it_was_gone_is_not_gone() -> None:
    async with stand() as s:
        await s.power_up()
        s.bench.faults.unplug("control")
        await asyncio.sleep(0.3)
        s.rig.control_restored(NAME, None, s.new_control())
        await asyncio.sleep(3.0)
        assert s.is_safe()
        assert s.rig.snapshot().boards[0].state is not GuardState.UNPROTECTED
        await s.rig.request(NAME, SafeOff())
        await s.power_up()


async def test_a_dead_sentinel_is_answered_with_safe_off_through_its_port() -> None:
    async with stand() as s:
        await s.power_up()
        s.bench.faults.unplug("control")
        await asyncio.sleep(0.2)
        s.rig.sentinel_lost(NAME, s.new_control())
        fault = await s.fault()
        assert fault.cause is Cause.SENTINEL_LOST
        assert s.is_safe()
        assert Protection.SENTINEL not in s.rig.snapshot().boards[0].protections


async def test_what_is_asked_for_while_a_board_is_being_made_safe_is_judged_by_what_it_is_then() -> None:
    async with stand() as s:
        await s.power_up(500.0, 1.15)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(2.0)
        stopping = asyncio.create_task(s.rig.request(NAME, SafeOff(reason="now")))
        await asyncio.sleep(0.003)
        assert not stopping.done()
        moving = SetOperatingPoint(frequency_mhz=450.0, core_v=1.05, preset=True)
        with pytest.raises(Refused, match="only a live board can be moved, this one is safe_off"):
            await s.rig.request(NAME, moving)
        await stopping
        await asyncio.sleep(10.0)
        assert s.find(FaultLatched) == []
        assert s.rig.snapshot().boards[0].state is GuardState.SAFE_OFF
        assert s.is_safe()


async def test_a_lost_data_port_ends_in_safe_off() -> None:
    async with stand() as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(0.5)
        s.bench.faults.unplug("data")
        fault = await s.fault()
        assert fault.cause is Cause.DATA_PORT_LOST
        assert s.find(BoardLost)[0].port == "data"
        assert s.is_safe()


async def test_a_cable_that_is_put_back_stops_the_hashing_through_the_data_port_if_no_other_answers() -> None:
    async with stand() as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(1.0)
        s.bench.faults.unplug("data")
        s.bench.faults.unplug("control")
        await asyncio.sleep(3.0)
        truth = s.bench.truth(asyncio.get_running_loop().time())
        assert truth["rail_on"]
        assert truth["activity"] > 0.0, "nobody can reach it"
        s.new_data()
        await asyncio.sleep(1.0)
        truth = s.bench.truth(asyncio.get_running_loop().time())
        assert truth["activity"] == 0.0
        assert truth["frequency_mhz"] == pytest.approx(50.0)
        texts = [note.text for note in s.find(Note)]
        assert texts[-2:] == ["the data port is back", "hashing stopped through the data port: confirmed"]
        s.rig.control_restored(NAME, None, s.new_control())
        await asyncio.sleep(3.0)
        assert s.is_safe()


async def test_after_a_lost_data_port_came_back_the_board_can_be_powered_up_again() -> None:
    async with stand() as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(0.5)
        s.bench.faults.unplug("data")
        assert (await s.fault()).cause is Cause.DATA_PORT_LOST
        moves = len(s.moves())
        s.new_data()
        await asyncio.sleep(60.0)
        assert s.is_safe()
        assert len(s.moves()) == moves, "a port that comes back moves nothing on a safe board"
        await s.rig.request(NAME, ClearFault())
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(5.0)
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LIVE
        assert board.chains[0].verified > 0


async def test_a_data_port_that_comes_and_goes_is_opened_as_often_as_it_comes() -> None:
    async with stand() as s:
        await s.power_up()
        s.bench.faults.unplug("data")
        await s.fault()
        s.new_data()
        s.bench.faults.unplug("data")  # gone again before anybody opened it
        await asyncio.sleep(5.0)
        for _ in range(2):
            s.new_data()
            await asyncio.sleep(1.0)
            assert not [task for task in asyncio.all_tasks() if task.get_name() == f"{NAME} data port"]
            await s.rig.request(NAME, ClearFault())
            await s.power_up()
            s.bench.faults.unplug("data")
            await asyncio.sleep(60.0)
            assert len([task for task in asyncio.all_tasks() if task.get_name() == f"{NAME} data port"]) == 1
            assert s.is_safe()


async def test_a_machine_that_slept_makes_its_boards_safe() -> None:
    async with stand() as s:
        await s.power_up()
        s.clock.sleeps_s = 90.0
        fault = await s.fault()
        assert fault.cause is Cause.SUSPENDED
        assert "90.0 s" in fault.detail
        assert s.is_safe()


async def test_an_owner_that_is_gone_is_a_cause_of_its_own() -> None:
    async with stand() as s:
        await s.power_up()
        s.rig.trip(NAME, Cause.OWNER_LOST, "the owner has died")
        assert (await s.fault()).cause is Cause.OWNER_LOST
        assert s.is_safe()


async def test_a_beat_follows_every_sweep_and_none_follows_a_sweep_that_is_stuck() -> None:
    async with stand() as s:
        await asyncio.sleep(10.0)
        gaps = [b - a for a, b in zip(s.beats, s.beats[1:], strict=False)]
        assert 49 <= len(s.beats) <= 54
        assert max(gaps) < 0.25
        s.bench.faults.wedge()
        beats = len(s.beats)
        await asyncio.sleep(0.5)
        assert len(s.beats) <= beats + 1


# --- telling ----------------------------------------------------------------------------------------------------------


async def test_a_journal_gives_back_every_event_and_snapshot_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    seen = []
    async with stand(journal=path) as s:

        async def look() -> None:
            async for snapshot in s.rig.snapshots():
                seen.append(snapshot)

        looking = asyncio.create_task(look())
        await s.power_up()
        await work(s, StartWork(work="pattern"), 1.0)
    await looking
    recording = read_journal(path)
    assert recording.events == s.told
    assert not recording.truncated
    assert [snapshot for snapshot in recording.snapshots if snapshot in seen] == seen
    assert len(seen) > 60


async def test_every_subscriber_is_told_everything_from_the_first_event_on() -> None:
    async with stand() as s:
        await s.power_up()
        late = [event async for event in _until(s, StateChanged, GuardState.LIVE)]
    assert late == s.told[: len(late)]
    assert late[0].seq == 1


async def _until(s: Stand, kind: type[StateChanged], state: GuardState):  # type: ignore[no-untyped-def]
    async for event in s.rig.events():
        yield event
        if isinstance(event, kind) and event.after is state:
            return


async def test_readings_carry_the_time_of_their_sample_and_sweeps_keep_their_pace() -> None:
    async with stand() as s:
        await s.power_up()
        await asyncio.sleep(20.0)
        assert max(s.rig.lateness_s(NAME)) < 0.01
        board = s.rig.snapshot().boards[0]
        assert board.at_s - board.channels[Channel.CHIP_C].at_s <= 0.21


async def test_work_ends_with_the_safe_off_that_cuts_its_orderly_end_short() -> None:
    """Otherwise the next power-up waits for answers to jobs of before it, and trips: the chip is silent."""
    async with stand() as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(2.0)
        leaving = asyncio.create_task(s.rig.request(NAME, PowerDown()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await s.rig.request(NAME, SafeOff(reason="in the same moment"))
        with pytest.raises(Refused, match="a safe-off"):
            await leaving
        work_now = (await s.snapshot()).boards[0].work
        assert work_now is not None
        assert not work_now.running
        assert len(s.find(WorkStopped)) == 1
        await s.power_up()
        await asyncio.sleep(30.0)
        assert not s.find(FaultLatched)

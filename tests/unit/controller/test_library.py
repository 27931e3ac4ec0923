"""The library over an emulated board in virtual time: every verb does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from controller.library import AsyncRig, Progress
from controller.model import (
    ActionRecord,
    BoardInfo,
    BoardSnapshot,
    Cause,
    Channel,
    Command,
    CommandAccepted,
    Event,
    GuardState,
    OperatingPoint,
    PointKept,
    PointReverted,
    PowerUp,
    Quality,
    Reading,
    Remark,
    RigPort,
    SafeOffDone,
    SafeOffRecord,
    Snapshot,
    WorkStopped,
)
from controller.work.sources import shipped_headers
from drivers.errors import DeviceError, Latched, NoReply, Refused, Unplugged, UsageError
from emulator.benches import BenchSettings
from tests.scenarios.gamma import NAME, Stand, stand

STOCK = OperatingPoint(frequency_mhz=525.0, core_v=1.150)
DILUTED = BenchSettings(dilution=1 << 29)
Verb = Callable[[AsyncRig], Awaitable[object]]


def now_s() -> float:
    return asyncio.get_running_loop().time()


def rig_of(s: Stand) -> AsyncRig:
    return AsyncRig(s.rig)


# --- moving -----------------------------------------------------------------------------------------------------------


async def test_power_up_gives_the_point_as_it_is_read_back_after_the_last_step() -> None:
    async with stand() as s:
        seen: list[Progress] = []
        status = await rig_of(s).power_up(500.0, 1.10, note="first light", on_progress=seen.append)
        assert status.requested == OperatingPoint(frequency_mhz=500.0, core_v=1.10)
        assert status.achieved.frequency_mhz == pytest.approx(500.0, abs=1.0)
        assert status.achieved.core_v == pytest.approx(1.075, abs=0.01)
        assert {each.phase for each in seen} == {"power_up"}
        assert {each.of_s for each in seen} == {None}
        assert [each.elapsed_s for each in seen] == sorted(each.elapsed_s for each in seen)
        assert seen[0].snapshot.state is GuardState.STARTING
        assert len(seen) > 20
        command = PowerUp(frequency_mhz=500.0, core_v=1.10, note="first light")
        assert s.find(CommandAccepted)[-1].command == command


async def test_without_a_wish_the_board_goes_to_its_stock_point() -> None:
    async with stand() as s:
        assert (await rig_of(s).power_up()).requested == STOCK


async def test_a_move_is_read_back_and_what_was_not_named_stays() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        status = await rig.set_point(core_v=1.180)
        assert status.requested == OperatingPoint(frequency_mhz=525.0, core_v=1.180)
        assert status.achieved.core_v == pytest.approx(1.155, abs=0.005)


async def test_a_large_move_needs_a_preset() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        with pytest.raises(Refused, match="100 MHz in one command"):
            await rig.set_point(425.0)
        assert (await rig.set_point(425.0, preset=True)).requested.frequency_mhz == 425.0


async def test_a_change_on_trial_stays_when_it_is_kept_and_goes_back_when_it_is_not() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        await rig.set_point(550.0, keep_within_s=10.0)
        await rig.keep()
        await rig.set_point(575.0, keep_within_s=10.0)
        await s.wait_for(PointReverted)
        assert (await rig.read()).point.requested.frequency_mhz == 550.0
        with pytest.raises(Refused, match="no change is on trial"):
            await rig.keep()
        assert [event.why for event in s.find(PointKept)] == ["kept"]


async def test_a_change_on_trial_goes_back_at_once_when_asked() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        await rig.set_point(550.0, keep_within_s=60.0)
        assert (await rig.revert("too warm")).requested == STOCK
        assert s.find(PointReverted)[0].why == "too warm"


async def test_keep_means_the_change_that_was_made_here_and_no_later_one() -> None:
    async with stand() as s:
        rig, other = rig_of(s), rig_of(s)
        await rig.power_up()
        await rig.set_point(550.0, keep_within_s=60.0)
        await other.set_point(575.0, keep_within_s=60.0)
        with pytest.raises(Refused, match="another change is on trial"):
            await rig.keep()
        with pytest.raises(Refused, match="another change is on trial"):
            await rig.revert()
        await other.keep()


async def test_checking_a_point_asks_the_guard_and_leaves_no_trace() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.check_point()
        await rig.power_up()
        told = len(s.told)
        await rig.check_point(550.0)
        with pytest.raises(Refused, match="mV in one command"):
            await rig.check_point(core_v=1.250)
        await rig.check_point(core_v=1.250, preset=True)
        assert len(s.told) == told
        assert (await rig.read()).point.requested == STOCK


async def test_power_down_and_safe_off_give_the_report_of_their_own_safe_off() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        seen: list[Progress] = []
        report = await rig.power_down(on_progress=seen.append)
        assert report.confirmed
        assert {each.phase for each in seen} == {"power_down"}
        assert s.is_safe()
        await asyncio.sleep(1.0)
        asked_s = now_s()
        again = await rig.safe_off("to be sure")
        assert again.at_s >= asked_s > report.at_s
        assert s.find(SafeOffDone)[-1].reason == "to be sure"
        assert s.find(SafeOffDone)[-1].report == again


async def test_a_latch_is_named_by_every_verb_until_a_person_clears_it() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        s.rig.trip(NAME, Cause.OWNER_LOST, "a test wants it so")
        await s.fault()
        for verb in (rig.power_up(), rig.set_point(550.0), rig.check_point(), rig.start_work("pattern"), rig.hold(5.0)):
            with pytest.raises(Latched, match="owner_lost: a test wants it so"):
                await verb
        await asyncio.sleep(2.0)  # until the reset line has been read again
        await rig.clear_fault()
        assert (await rig.read()).state is GuardState.SAFE_OFF
        with pytest.raises(Refused, match="nothing is latched"):
            await rig.clear_fault()


async def test_a_power_up_that_is_cancelled_is_made_safe() -> None:
    async with stand() as s:
        rig = rig_of(s)
        task = asyncio.create_task(rig.power_up())
        await asyncio.sleep(6.0)
        assert not s.is_safe()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert s.is_safe()
        await rig.power_up()


async def test_a_callback_that_raises_ends_its_verb_with_that_and_the_board_stays_guarded() -> None:
    def stop(progress: Progress) -> None:
        if progress.elapsed_s > 4.0:
            raise ZeroDivisionError("mine")

    async with stand() as s:
        rig = rig_of(s)
        with pytest.raises(ZeroDivisionError, match="mine"):
            await rig.power_up(on_progress=stop)
        assert s.is_safe()
        await rig.power_up()
        with pytest.raises(ZeroDivisionError):
            await rig.hold(60.0, on_progress=stop)
        with pytest.raises(ZeroDivisionError):
            await rig.work("pattern", 60.0, on_progress=stop)
        after = await rig.read()
        assert after.state is GuardState.LIVE
        assert after.work is not None
        assert not after.work.running


# --- work -------------------------------------------------------------------------------------------------------------


async def test_work_is_started_watched_and_stopped_and_gives_what_was_counted() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        seen: list[Progress] = []
        result = await rig.work("pattern", 6.0, on_progress=seen.append)
        assert result.answers_due is not None
        assert result.answers_due > 100
        assert not result.running
        assert s.find(WorkStopped)[-1].result == result
        assert {(each.phase, each.of_s) for each in seen} == {("pattern", 6.0)}
        assert 25 <= len(seen) <= 31


async def test_work_may_be_started_and_stopped_by_hand() -> None:
    async with stand(DILUTED) as s:
        rig = rig_of(s)
        with pytest.raises(Refused, match="no work has run"):
            await rig.stop_work()
        await rig.power_up()
        await rig.start_work("synthetic", ticket_difficulty=2048, seed=7)
        with pytest.raises(Refused, match="runs already"):
            await rig.start_work("pattern")
        await asyncio.sleep(10.0)
        result = await rig.stop_work()
        assert result.hashrate_hs is not None
        assert result.ticket_difficulty == 2048
        assert await rig.stop_work() == result


async def test_own_headers_are_worked_on(tmp_path: Path) -> None:
    path = tmp_path / "headers.bin"
    path.write_bytes(shipped_headers()[: 80 * 500])
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        assert (await rig.work("headers", 2.0, headers=path)).kind == "headers"


async def test_work_that_is_cancelled_is_stopped() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        task = asyncio.create_task(rig.work("pattern", 60.0))
        await asyncio.sleep(3.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(s.find(WorkStopped)) == 1
        await rig.work("pattern", 1.0)


async def test_a_fault_during_work_or_hold_ends_it_with_cause_and_detail() -> None:
    verbs: tuple[Verb, ...] = (lambda rig: rig.work("pattern", 60.0), lambda rig: rig.hold(60.0))
    for verb in verbs:
        async with stand() as s:
            rig = rig_of(s)
            await rig.power_up()
            began_s = now_s()
            s.bench.faults.nak("emc2101")
            with pytest.raises(Latched, match="sensor_stale: ") as caught:
                await verb(rig)
            assert now_s() - began_s < 6.0
            assert caught.value.cause == Cause.SENSOR_STALE
            await s.fault()
            assert s.is_safe()


async def test_a_lost_control_port_ends_a_hold_although_no_snapshot_tells_of_it() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        asyncio.get_running_loop().call_later(3.0, s.rig.control_lost, NAME, "pulled out")
        with pytest.raises(Latched, match="control_port_lost: pulled out"):
            await rig.hold(60.0)
        with pytest.raises(NoReply, match="within 5"):
            await rig.read()


# --- looking ----------------------------------------------------------------------------------------------------------


async def test_a_hold_lasts_as_long_as_it_was_asked_and_says_what_it_saw() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        began_s = now_s()
        held = await rig.hold(10.0)
        assert now_s() - began_s == pytest.approx(10.0, abs=1e-6)
        assert held.elapsed_s == pytest.approx(10.0)
        assert held.reason is None
        assert 48 <= held.snapshots <= 51
        assert held.last.at_s > began_s + 9.7


async def test_a_hold_ends_with_the_reason_that_its_condition_gives() -> None:
    async def too_warm(snapshot: BoardSnapshot) -> str | None:
        chip_c = snapshot.channels[Channel.CHIP_C].value
        return f"{chip_c:.1f} C" if chip_c is not None and chip_c > 50.0 else None

    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        held = await rig.hold(3600.0, until=too_warm)
        assert held.reason == f"{held.last.channels[Channel.CHIP_C].value:.1f} C"
        assert held.elapsed_s < 3600.0
        assert "stopped because" in held._repr_html_()


async def test_a_hold_shorter_than_a_snapshot_waits_for_one() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.power_up()
        assert (await rig.hold(0.001)).snapshots == 1


async def test_a_hold_of_a_board_that_somebody_switches_off_is_refused() -> None:
    async with stand() as s:
        rig = rig_of(s)
        with pytest.raises(Refused, match="safe_off"):
            await rig.hold(5.0)
        await rig.power_up()
        hold = asyncio.create_task(rig.hold(60.0))
        await asyncio.sleep(2.0)
        await rig_of(s).power_down()
        with pytest.raises(Refused, match="safe_off"):
            await hold


async def test_a_reading_is_taken_after_the_call() -> None:
    async with stand() as s:
        rig = rig_of(s)
        for _ in range(3):
            asked_s = now_s()
            assert (await rig.read()).at_s > asked_s
            assert now_s() - asked_s < 0.5


async def test_watching_gives_snapshots_for_as_long_as_asked_and_may_be_left() -> None:
    async with stand() as s:
        rig = rig_of(s)
        began_s = now_s()
        times = [snapshot.at_s async for snapshot in rig.watch(5.0)]
        assert 23 <= len(times) <= 26
        assert began_s < times[0]
        assert times[-1] <= began_s + 5.0
        watching = rig.watch()
        async for _ in watching:
            break
        await watching.aclose()


async def test_events_are_all_since_the_rig_began_and_a_remark_is_among_them() -> None:
    async with stand() as s:
        rig = rig_of(s)
        await rig.remark("new paste on the heatsink")
        seen: list[Event] = []
        async for event in rig.events():
            seen.append(event)
            if isinstance(event, Remark):
                break
        assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1] == s.find(Remark)[0]
        assert s.find(Remark)[0].text == "new paste on the heatsink"


async def test_a_rig_that_ends_is_unplugged_for_whoever_looks() -> None:
    async with stand() as s:
        rig = rig_of(s)
        watching = asyncio.create_task(_exhaust(rig))
        await asyncio.sleep(1.0)
    with pytest.raises(Unplugged, match="the rig has ended"):
        await watching
    with pytest.raises(Unplugged):
        await rig.read()
    assert [event async for event in rig.events()] == s.told


async def _exhaust(rig: AsyncRig) -> None:
    async for _ in rig.watch():
        pass


# --- which board, what it is ------------------------------------------------------------------------------------------


class Two:
    """A `RigPort` with two boards, of which it says nothing."""

    def __init__(self, info: BoardInfo) -> None:
        self.info = (info, info.model_copy(update={"name": "b"}))
        self.asked: list[tuple[str, Command]] = []

    async def request(self, board: str, command: Command) -> None:
        self.asked.append((board, command))

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        return
        yield

    async def events(self) -> AsyncIterator[Event]:
        return
        yield


async def test_one_of_several_boards_has_to_be_named() -> None:
    async with stand() as s:
        (info,) = s.rig.info
    two = Two(info)
    for name, says in ((None, "board is missing; needed"), ("c", "board: 'c' is not allowed; allowed")):
        with pytest.raises(UsageError, match=f"{says}: one of gamma, b"):
            AsyncRig(two, name)
    rig = AsyncRig(two, "b")
    assert (rig.info.name, rig.boards) == ("b", ("gamma", "b"))
    await rig.on("gamma").remark("to the other one")
    assert [board for board, _ in two.asked] == ["gamma"]
    with pytest.raises(UsageError, match="one of gamma, b"):
        rig.on("c")


async def test_leaving_a_rig_that_was_not_made_here_touches_nothing() -> None:
    async with stand() as s:
        async with rig_of(s) as rig:
            await rig.power_up()
        assert (await rig.read()).state is GuardState.LIVE
        assert rig.safe_off_report is None


class Ending:
    """What ends with a rig: here, nothing; it only tells how it went."""

    def __init__(self, report: SafeOffRecord | None, *, owned: bool = True) -> None:
        self.report, self.owned = report, owned
        self.ended: list[str] = []

    async def end(self, board: str) -> SafeOffRecord | None:
        await asyncio.sleep(1.0)
        self.ended.append(board)
        return self.report


def report(*, confirmed: bool) -> SafeOffRecord:
    action = ActionRecord(name="rail off", sent=True, confirmed=confirmed)
    return SafeOffRecord(at_s=0.0, confirmed=confirmed, by="rig", actions=(action,))


async def test_leaving_an_own_rig_ends_it_once_even_for_one_who_is_cancelled_and_keeps_its_report() -> None:
    async with stand() as s:
        ending = Ending(report(confirmed=True))
        rig = AsyncRig(s.rig, _life=ending)
        leaving = asyncio.create_task(rig.aclose())
        await asyncio.sleep(0.5)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert leaving.cancelled()
        assert ending.ended == [NAME]
        assert rig.safe_off_report == ending.report
        await rig.aclose()
        assert ending.ended == [NAME]
        async with AsyncRig(s.rig, _life=ending) as other:
            assert other.safe_off_report is None
        assert other.safe_off_report == ending.report


@pytest.mark.parametrize(("found", "says"), [(report(confirmed=False), "rail off"), (None, "no report")])
async def test_a_safe_off_on_leaving_that_is_not_confirmed_cannot_be_missed(
    found: SafeOffRecord | None, says: str
) -> None:
    async with stand() as s:
        with pytest.raises(DeviceError, match=rf"could NOT be confirmed \({says}\)"):
            await AsyncRig(s.rig, _life=Ending(found)).__aexit__(None, None, None)
        with pytest.raises(ZeroDivisionError) as caught:
            async with AsyncRig(s.rig, _life=Ending(found)):
                raise ZeroDivisionError
        assert "could NOT be confirmed" in caught.value.__notes__[0]
        async with AsyncRig(s.rig, _life=Ending(None, owned=False)):
            pass


class Recorded:
    """A `RigPort` with the shape of a `Playback`: its times are its own, and a seek ends what was begun."""

    playing, speed, duration_s, position_s = True, 1.0, 10.0, 0.0

    def __init__(self, rig: RigPort, snapshot: Snapshot) -> None:
        self.info, self._snapshot, self.generation = rig.info, snapshot, 0

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        for _ in range(2):
            await asyncio.sleep(0.2)
            yield self._snapshot

    async def events(self) -> AsyncIterator[Event]:
        return
        yield

    async def request(self, board: str, command: Command) -> None:
        raise Refused("observe", "a recording")

    def play(self) -> None: ...

    def pause(self) -> None: ...

    def seek(self, position_s: float) -> None:
        self.generation += 1

    def past(self, span_s: float, at_most: int) -> Sequence[Snapshot]:
        return ()


async def test_a_recording_is_looked_at_by_its_own_time_and_across_a_seek() -> None:
    async with stand() as s:
        old = await s.snapshot()
        await asyncio.sleep(60.0)
        port = Recorded(s.rig, old)
        rig = AsyncRig(port)
        assert (await rig.read()).at_s == old.boards[0].at_s
        with pytest.raises(Refused, match="a recording"):
            await rig.power_up()
        asyncio.get_running_loop().call_later(0.3, port.seek, 0.0)
        with pytest.raises(Unplugged):
            assert len([each async for each in rig.watch()]) == 0
        assert port.generation == 1


async def test_a_rig_shows_itself_in_a_line_and_in_a_table_with_a_dash_for_what_nobody_knows() -> None:
    async with stand() as s:
        rig = rig_of(s)
        assert repr(rig) == "<AsyncRig gamma: not read yet>"
        assert "—" in rig._repr_html_()
        await rig.read()
        assert repr(rig).startswith("<AsyncRig gamma: safe_off, requested — at —, achieved ")
        await rig.power_up()
        assert repr(rig).startswith("<AsyncRig gamma: live, requested 525.00 MHz at 1.150 V, achieved 525.")
        table = rig._repr_html_()
        for word in ("chip_c", "s old", "good", "requested", "granted", "achieved", "<td", "—"):
            assert word in table


async def test_what_a_board_says_of_itself_is_no_html_and_moves_no_cursor() -> None:
    async with stand() as s:
        rig = rig_of(s)
        snapshot = await rig.read()
        bad = Reading(value=None, at_s=0.0, quality=Quality.INVALID, evidence="<script>\x1b[2J")
        rig._seen(snapshot.model_copy(update={"channels": {Channel.CHIP_C: bad}}))
        table = rig._repr_html_()
        assert "&lt;script&gt;␛[2J" in table
        assert "<script" not in table
        assert "\x1b" not in table

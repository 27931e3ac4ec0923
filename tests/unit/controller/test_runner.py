"""The rig over a board that misbehaves in ways an emulated one does not: stuck, broken, never confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.clock import LoopClock
from controller.model import (
    ActionRecord,
    Cause,
    ClearFault,
    CommandRefused,
    Event,
    FaultLatched,
    GuardState,
    Note,
    PowerUp,
    SafeOffDone,
    SafeOffRecord,
    StepApplied,
    StopWork,
)
from controller.rig import Rig
from controller.warden import RigBoard
from drivers.asics import ASICS
from drivers.asics.chain import Counters
from drivers.boards.board import (
    ActionOutcome,
    Attached,
    Board,
    BoardIdentity,
    BoardReading,
    Channel,
    Frequency,
    PlausibilityLimits,
    Protection,
    RailOn,
    SafeOffReport,
    Step,
)
from drivers.errors import Nack, Refused, UsageError, VerifyError
from tests.unit.controller.guarding import ENVELOPE, OFF


class FakeBoard:
    """Obeys; `before` may raise or wait in front of any step, `reading` in front of any sweep."""

    lease = None

    def __init__(self) -> None:
        self.kind = SimpleNamespace(
            envelope=ENVELOPE,
            plausibility=PlausibilityLimits(),
            name="bitaxe-gamma",
            title="Bitaxe Gamma",
            chip="BM1370",
            chips=1,
            unswitchable=(),
        )
        chain = SimpleNamespace(
            kind=ASICS["BM1370"], chips=[], expected_chips=1, counters=Counters(), frequency_mhz=None
        )
        chain.expected_hs, chain.ticket_difficulty, chain.on_lost, chain.hash_count = 0.0, 256, None, None
        self.chains = (chain,)
        self.applied: list[Step] = []
        self.safe_offs = 0
        self.stops = 0
        self.confirms = True
        self.before: Callable[[Step], Any] | None = None
        self.reading: Callable[[], Any] | None = None
        self.closed = False

    async def first_contact(self) -> BoardIdentity:
        return BoardIdentity("fake", "fake 1", {}, False)

    async def apply(self, step: Step) -> None:
        if self.before is not None:
            await self.before(step)
        self.applied.append(step)

    async def read(self) -> BoardReading:
        if self.reading is not None:
            await self.reading()
        return BoardReading(asyncio.get_running_loop().time(), dict(OFF))

    async def safe_off(self) -> SafeOffReport:
        self.safe_offs += 1
        at_s = asyncio.get_running_loop().time()
        return SafeOffReport(at_s, (ActionOutcome("rail off", True, self.confirms),))

    async def stop_hashing(self) -> bool:
        self.stops += 1
        return True

    def protections(self) -> frozenset[Protection]:
        return frozenset()

    def replace_control(self, control: object) -> None:
        raise AssertionError("not in these tests")

    async def replace_data(self, data: object) -> None:
        raise AssertionError("not in these tests")

    async def aclose(self) -> None:
        self.closed = True


def rig_of(
    board: FakeBoard,
    *,
    observe: bool = False,
    beat: Callable[[], None] | None = None,
    clock: LoopClock | None = None,
) -> Rig:
    attached = Attached("fake", cast(Any, None), cast(Any, None))
    return Rig([RigBoard(cast(Board, board), attached, beat)], clock=clock or LoopClock(), observe=observe)


async def told(rig: Rig) -> list[Event]:
    """Everything, once the rig has closed."""
    return [event async for event in rig.events()]


def state(rig: Rig) -> GuardState:
    return rig.snapshot().boards[0].state


async def test_a_device_that_fails_a_step_latches_the_board_and_makes_it_safe() -> None:
    board = FakeBoard()

    async def fail(step: Step) -> None:
        if isinstance(step, RailOn):
            raise Nack(0x24, "gone")

    board.before = fail
    rig = rig_of(board)
    async with rig:
        with pytest.raises(Nack):
            await rig.request("fake", PowerUp())
        assert state(rig) is GuardState.LATCHED
        assert board.safe_offs == 2
    fault = next(event for event in await told(rig) if isinstance(event, FaultLatched))
    assert fault.cause is Cause.ACTUATION
    assert "RailOn" in fault.detail


async def test_a_step_that_was_not_verified_is_not_announced_as_applied() -> None:
    board = FakeBoard()

    async def fail(step: Step) -> None:
        raise VerifyError("fan", 1.0, 0.0)

    board.before = fail
    rig = rig_of(board)
    async with rig:
        with pytest.raises(VerifyError):
            await rig.request("fake", PowerUp())
    assert not [event for event in await told(rig) if isinstance(event, StepApplied)]


async def test_a_safe_off_of_which_nothing_is_confirmed_is_repeated_and_leaves_the_board_unprotected() -> None:
    board = FakeBoard()
    board.confirms = False
    rig = rig_of(board)
    async with rig:
        assert state(rig) is GuardState.UNPROTECTED, "nothing of it was confirmed"
        await asyncio.sleep(9.0)
        assert 4 <= board.safe_offs <= 6
        with pytest.raises(Refused):
            await rig.request("fake", ClearFault())
        board.confirms = True
        await asyncio.sleep(3.0)
        before = board.safe_offs
        await asyncio.sleep(10.0)
        assert board.safe_offs == before
        await rig.request("fake", ClearFault())
        assert state(rig) is GuardState.SAFE_OFF
    assert board.closed


async def test_a_sweep_that_is_stuck_gives_no_beat_and_ends_as_a_bus_fault() -> None:
    board, beats = FakeBoard(), list[float]()
    rig = rig_of(board, beat=lambda: beats.append(asyncio.get_running_loop().time()))
    async with rig:
        await asyncio.sleep(1.0)
        count = len(beats)
        board.reading = lambda: asyncio.sleep(1e6)
        await asyncio.sleep(1.4)
        assert len(beats) <= count + 1
        await asyncio.sleep(1.0)
        board.reading = None
        assert state(rig) is GuardState.LATCHED
    fault = next(event for event in await told(rig) if isinstance(event, FaultLatched))
    assert fault.cause is Cause.SENSOR_BUS


async def test_a_bug_in_a_sweep_is_latched_at_the_boundary_of_the_task_and_the_watch_goes_on() -> None:
    board = FakeBoard()

    async def broken() -> None:
        raise ZeroDivisionError("a bug")

    rig = rig_of(board)
    async with rig:
        board.reading = broken
        await asyncio.sleep(0.5)
        board.reading = None
        assert state(rig) is GuardState.LATCHED
        await asyncio.sleep(2.0)
        await rig.request("fake", ClearFault())
        assert state(rig) is GuardState.SAFE_OFF
    fault = next(event for event in await told(rig) if isinstance(event, FaultLatched))
    assert fault.cause is Cause.INTERNAL
    assert fault.detail == "ZeroDivisionError: a bug"


async def test_an_observing_rig_moves_nothing_on_entering_or_leaving() -> None:
    board = FakeBoard()
    rig = rig_of(board, observe=True)
    async with rig:
        await asyncio.sleep(1.0)
        with pytest.raises(Refused, match="only looks"):
            await rig.request("fake", PowerUp())
        await rig.request("fake", StopWork())
        assert state(rig) is GuardState.UNKNOWN
    assert (board.safe_offs, board.applied) == (0, [])
    assert any(isinstance(event, CommandRefused) for event in await told(rig))


async def test_a_fence_is_the_last_word_on_the_control_port() -> None:
    board = FakeBoard()
    rig = rig_of(board, beat=lambda: None)
    async with rig:
        done = board.safe_offs
        record = SafeOffRecord(at_s=1.0, confirmed=True, by="sentinel", actions=())
        rig.fenced("fake", "no beat for 1.0 s", record)
        await asyncio.sleep(1.0)
        assert state(rig) is GuardState.LATCHED
        with pytest.raises(Refused):
            await rig.request("fake", PowerUp())
    assert board.safe_offs == done
    events = await told(rig)
    assert [event.report.by for event in events if isinstance(event, SafeOffDone)][-1] == "sentinel"
    assert next(event for event in events if isinstance(event, FaultLatched)).cause is Cause.SENTINEL_LOST


async def test_a_fence_after_a_sleep_of_the_machine_is_a_suspend_and_no_lost_sentinel() -> None:
    clock = LoopClock()
    rig = rig_of(FakeBoard(), beat=lambda: None, clock=clock)
    async with rig:
        clock.sleeps_s = 6.0
        rig.fenced("fake", "suspended: the machine slept for 6.0 s", None)
    fault = next(event for event in await told(rig) if isinstance(event, FaultLatched))
    assert (fault.cause, fault.detail) == (Cause.SUSPENDED, "suspended: the machine slept for 6.0 s")


async def test_what_the_sentinel_reports_late_is_what_counts() -> None:
    board = FakeBoard()
    rig = rig_of(board, beat=lambda: None)
    async with rig:
        rig.fenced("fake", "no beat for 1.0 s", None)
        await asyncio.sleep(1.0)
        assert state(rig) is GuardState.UNPROTECTED
        rig.fenced("fake", "no beat for 1.0 s", SafeOffRecord(at_s=1.0, confirmed=True, by="sentinel", actions=()))
        await asyncio.sleep(0.1)
        assert state(rig) is GuardState.LATCHED
        assert board.stops == 1, "through the data port, as long as nobody had confirmed anything"
    events = await told(rig)
    done = [event.report.confirmed for event in events if isinstance(event, SafeOffDone)][1:]
    assert done == [False, True]
    assert len([event for event in events if isinstance(event, FaultLatched)]) == 1


async def test_a_rig_that_ends_after_a_fence_stops_the_chips_first() -> None:
    class Slow(FakeBoard):
        async def stop_hashing(self) -> bool:
            await asyncio.sleep(0.2)
            return await super().stop_hashing()

    board = Slow()
    rig = rig_of(board, beat=lambda: None)
    async with rig:
        rig.fenced("fake", "no beat for 1.0 s", None)
    assert board.stops == 1
    assert board.closed


async def test_a_fence_that_confirmed_a_part_leaves_nothing_to_the_data_port() -> None:
    """A fan controller that is dead keeps no board from being in reset and without its rail."""
    board = FakeBoard()
    rig = rig_of(board, beat=lambda: None)
    async with rig:
        actions = (ActionRecord(name="rail off", sent=True, confirmed=True),)
        rig.fenced(
            "fake", "no beat for 1.0 s", SafeOffRecord(at_s=1.0, confirmed=False, by="sentinel", actions=actions)
        )
        await asyncio.sleep(1.0)
        assert state(rig) is GuardState.LATCHED
        assert board.stops == 0


class CutShort(FakeBoard):
    """Its port dies while it is being made safe: nothing more is sent."""

    cut = False

    async def safe_off(self) -> SafeOffReport:
        if not self.cut:
            return await super().safe_off()
        self.safe_offs += 1
        await asyncio.sleep(0.05)
        at_s = asyncio.get_running_loop().time()
        return SafeOffReport(
            at_s, (ActionOutcome("reset asserted", True, True), ActionOutcome("rail off", False, False))
        )


@pytest.mark.parametrize("after_s", [0.02, 0.3])
async def test_a_safe_off_from_under_which_the_sentinel_takes_the_port_is_the_sentinels(after_s: float) -> None:
    """As after a sleep of the machine, when both begin: the board is safe, and that is what is told."""
    board = CutShort()
    rig = rig_of(board, beat=lambda: None)
    async with rig:
        board.cut = True
        rig.trip("fake", Cause.SUSPENDED, "the machine slept for 6.0 s, nobody watched")
        await asyncio.sleep(after_s)
        rig.fenced("fake", "suspended", SafeOffRecord(at_s=1.0, confirmed=True, by="sentinel", actions=()))
        await asyncio.sleep(1.0)
        assert state(rig) is GuardState.LATCHED
    events = await told(rig)
    done = [event.report for event in events if isinstance(event, SafeOffDone)][1:]
    assert {(report.by, report.confirmed) for report in done} == {("sentinel", True)}
    assert [event.cause for event in events if isinstance(event, FaultLatched)] == [Cause.SUSPENDED]
    assert not any("not confirmed" in event.text for event in events if isinstance(event, Note))


@pytest.mark.parametrize("beat", [None, lambda: None])
async def test_a_safe_off_that_nobody_else_has_made_is_told_as_not_confirmed(beat: Callable[[], None] | None) -> None:
    board = CutShort()
    rig = rig_of(board, beat=beat)
    async with rig:
        board.cut = True
        rig.trip("fake", Cause.OWNER_LOST, "x")
        await asyncio.sleep(0.5)
        board.cut = False
    done = [event for event in await told(rig) if isinstance(event, SafeOffDone)][1]
    assert (done.report.by, done.report.confirmed) == ("rig", False)
    assert any("not confirmed: rail off" in event.text for event in await told(rig) if isinstance(event, Note))


async def test_a_second_fault_while_latched_is_a_note_and_one_more_safe_off() -> None:
    board = FakeBoard()
    rig = rig_of(board)
    async with rig:
        rig.trip("fake", Cause.OWNER_LOST, "first")
        await asyncio.sleep(0.1)
        rig.trip("fake", Cause.SUSPENDED, "second")
        await asyncio.sleep(0.1)
        assert board.safe_offs == 3
    events = await told(rig)
    assert [event.cause for event in events if isinstance(event, FaultLatched)] == [Cause.OWNER_LOST]
    assert "second" in next(event.text for event in events if isinstance(event, Note))


async def test_a_fan_that_does_not_turn_ends_a_power_up_before_the_rail() -> None:
    board = FakeBoard()
    slow = dict(OFF)
    rig = rig_of(board)

    async def read() -> BoardReading:
        return BoardReading(asyncio.get_running_loop().time(), {**slow, Channel.FAN_RPM: 1000.0})

    async with rig:
        board.read = read  # type: ignore[method-assign]
        await asyncio.sleep(0.5)
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(Refused, match="rpm"):
            await rig.request("fake", PowerUp())
        assert 2.9 < asyncio.get_running_loop().time() - began_s < 3.5
        assert state(rig) is GuardState.SAFE_OFF
    assert not any(isinstance(step, RailOn | Frequency) for step in board.applied)


async def test_two_boards_of_one_name_are_a_mistake() -> None:
    attached = Attached("fake", cast(Any, None), cast(Any, None))
    board = cast(Board, FakeBoard())
    with pytest.raises(UsageError):
        Rig([RigBoard(board, attached), RigBoard(board, attached)])

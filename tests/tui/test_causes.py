"""Cause chains: what belongs to a marked event, and what does not."""

from __future__ import annotations

from controller.model import (
    BoardLost,
    FaultLatched,
    GuardState,
    PointReverted,
    Remark,
    RevertPoint,
    SafeOff,
    SafeOffDone,
    SetOperatingPoint,
    StartWork,
    StateChanged,
    StepApplied,
    WorkStarted,
    WorkStopped,
)
from controller.tui import causes
from controller.tui.store import LogRow
from tests.tui.recorded import Run
from tests.tui.telling import MORE, STOCK, Teller, work


def rows(*tellers: Teller) -> list[LogRow]:
    """The logs of several rigs, one after the other."""
    return [LogRow(rig, event) for rig, tell in enumerate(tellers) for event in tell.told]


def test_everything_that_a_command_led_to_belongs_to_it_from_wherever_it_is_looked_at() -> None:
    tell = Teller()
    tell.accepted(SetOperatingPoint(core_v=1.18), MORE)
    tell(StepApplied, step="core_voltage", detail="1.160 V")
    tell.pending(MORE, STOCK)
    tell.accepted(StartWork(work="pattern"))
    tell(WorkStarted, work="pattern", ticket_difficulty=1)
    log = rows(tell)
    assert [causes.chain(log, index) for index in range(5)] == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3, 4], [3, 4]]


def test_a_way_back_belongs_to_the_change_that_was_on_trial() -> None:
    tell = Teller()
    tell.accepted(SetOperatingPoint(core_v=1.18), MORE)
    tell.pending(MORE, STOCK)
    tell(Remark, text="between")
    tell.accepted(RevertPoint(), STOCK)
    tell(PointReverted, left=MORE, point=STOCK, why="not kept within 10 s")
    assert causes.chain(rows(tell), 4) == [0, 1, 3, 4]


def test_a_fault_belongs_to_the_port_that_was_lost_right_before_it_and_to_no_older_one() -> None:
    tell = Teller()
    tell(BoardLost, at_s=10.0, port="control", detail="gone")
    tell.fault(at_s=11.9)
    tell.safe_off(at_s=12.0)
    assert causes.chain(rows(tell), 2) == [0, 1, 2]
    late = Teller()
    late(BoardLost, at_s=10.0, port="control", detail="gone")
    late.fault(at_s=12.1)
    assert causes.chain(rows(late), 1) == [1]


def test_what_another_board_told_meanwhile_is_none_of_it() -> None:
    tell = Teller()
    tell.accepted(SafeOff())
    tell.safe_off(board="other")
    tell.fault(board="other")
    tell.safe_off()
    assert causes.chain(rows(tell), 0) == [0, 3]
    assert causes.chain(rows(tell), 2) == [2]


def test_a_chain_does_not_reach_into_another_rig() -> None:
    first, second = Teller(), Teller()
    first.accepted(SafeOff())
    second.state(GuardState.UNKNOWN, GuardState.SAFE_OFF)
    log = rows(first, second)
    assert causes.chain(log, 0) == [0]
    assert causes.chain(log, 1) == [1]


def test_an_event_without_a_beginning_stands_by_itself() -> None:
    tell = Teller()
    tell(StepApplied, step="core_voltage", detail="1.160 V")
    assert causes.chain(rows(tell), 0) == [0]


def test_a_long_chain_is_cut_and_still_holds_its_beginning() -> None:
    tell = Teller()
    tell.accepted(SetOperatingPoint(core_v=1.18), MORE)
    for _ in range(causes.AT_MOST + 50):
        tell(StepApplied, step="core_voltage", detail="1.160 V")
    assert causes.chain(rows(tell), 7) == list(range(causes.AT_MOST))


def test_the_fault_of_the_recorded_run_led_to_latch_end_of_work_and_safe_off(run: Run) -> None:
    log = [LogRow(0, event) for event in run.items.events]
    fault = next(index for index, row in enumerate(log) if isinstance(row.event, FaultLatched))
    kinds = [type(log[index].event) for index in causes.chain(log, fault)]
    assert kinds[:4] == [FaultLatched, StateChanged, WorkStopped, SafeOffDone]


def test_ended_work_belongs_to_the_stop_that_ended_it() -> None:
    tell = Teller()
    tell.accepted(SafeOff())
    tell(WorkStopped, result=work(running=False))
    assert causes.chain(rows(tell), 1) == [0, 1]

"""A run, told to a rig: in the right order, to the end, whatever happens on the way."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from controller.cli.exits import Exit
from controller.cli.result import Outcome
from controller.cli.run import verdict
from controller.cli.session import Plan, RigGone, Session
from controller.cli.talk import Talk
from controller.model import CapChip, Cause, FanMode, SetFan, StartWork
from drivers.errors import Refused, VerifyError
from tests.unit.cli.fakes import BOARD, CONFIRMED, FakeRig, work_snapshot


def _plan(**changes: Any) -> Plan:
    return Plan(
        board=BOARD,
        emulated=True,
        dilution=1,
        seed=1,
        work=StartWork(work="pattern", seed=1),
        work_kind="pattern",
        frequency_mhz=525.0,
        core_v=1.15,
        **{"seconds": 5.0, **changes},
    )


def _session(rig: FakeRig, **changes: Any) -> tuple[Session, io.StringIO]:
    said = io.StringIO()
    return Session(rig, _plan(**changes), Talk(stream=said)), said


def _verdict(outcome: Outcome, *, interrupted: bool = False) -> tuple[Exit, str]:
    said = io.StringIO()
    return verdict(outcome, interrupted=interrupted, talk=Talk(stream=said)), said.getvalue()


async def test_a_run_powers_up_works_for_its_time_and_powers_down() -> None:
    rig = FakeRig()
    session, _ = _session(rig)
    outcome = await session.run()
    assert [command.kind for command in rig.asked] == ["power_up", "start_work", "stop_work", "power_down"]
    assert rig.now_s == pytest.approx(5.4, abs=0.2)  # four commands of 0.1 s and five seconds of work
    assert outcome.work is not None
    assert outcome.work.verified == 561
    assert outcome.snapshot is not None
    assert outcome.snapshot.work is not None  # taken while the work ran
    assert _verdict(outcome) == (Exit.OK, "")


async def test_how_the_fan_is_led_is_said_before_the_board_is_powered_up() -> None:
    rig = FakeRig()
    wish = SetFan(mode=FanMode.AUTO, target_chip_c=58.0)
    session, _ = _session(rig, fan=wish)
    await session.run()
    assert rig.asked[0] == wish
    assert [command.kind for command in rig.asked[1:]] == ["power_up", "start_work", "stop_work", "power_down"]


async def test_chips_are_capped_before_the_board_is_powered_up() -> None:
    rig = FakeRig()
    caps = (CapChip(chip=3, frequency_mhz=450.0), CapChip(chip=1, frequency_mhz=400.0))
    session, _ = _session(rig, caps=caps)
    await session.run()
    assert tuple(rig.asked[:2]) == caps
    assert rig.asked[2].kind == "power_up"


async def test_a_self_test_comes_first_and_its_counts_stay_apart() -> None:
    rig = FakeRig()
    session, said = _session(rig, self_test_s=2.0)
    outcome = await session.run()
    assert [command.kind for command in rig.asked] == [
        "power_up", "start_work", "stop_work", "start_work", "stop_work", "power_down",
    ]  # fmt: skip
    assert outcome.self_test is not None
    assert "self-test passed: 61 of 61" in said.getvalue()
    assert _verdict(outcome)[0] is Exit.OK


async def test_a_failed_self_test_fails_the_run() -> None:
    async def stop(rig: FakeRig) -> None:
        rig.hooks.pop("stop_work")
        rig.work = work_snapshot(answers_found=40, yield_ratio=40 / 61, yield_ci95=(0.52, 0.77))
        await rig.request(BOARD, rig.asked.pop())

    session, said = _session(FakeRig(stop_work=stop), self_test_s=2.0)
    outcome = await session.run()
    assert "self-test FAILED: 40 of 61" in said.getvalue()
    assert _verdict(outcome)[0] is Exit.FAILED


async def test_a_refusal_before_anything_was_energised_escapes_as_it_is() -> None:
    async def refuse(rig: FakeRig) -> None:
        raise Refused("envelope", "1.400 V is above 1.250 V")

    rig = FakeRig(power_up=refuse)
    session, _ = _session(rig)
    with pytest.raises(Refused, match=r"above 1\.250 V"):
        await session.run()
    assert [command.kind for command in rig.asked] == ["power_up"]


async def test_a_failure_after_energising_makes_safe_and_is_told() -> None:
    async def fail(rig: FakeRig) -> None:
        raise VerifyError("VOUT_COMMAND", 1.15, 1.0)

    rig = FakeRig(start_work=fail)
    session, _ = _session(rig)
    outcome = await session.run()
    assert rig.asked[-1].kind == "safe_off"
    code, said = _verdict(outcome)
    assert code is Exit.FAILED
    assert "VOUT_COMMAND: wrote 1.15, read back 1.0" in said


@pytest.mark.parametrize("after_s", [0.05, 0.15, 2.0, 5.35])
async def test_an_interruption_makes_safe_at_once_wherever_it_comes(after_s: float) -> None:
    rig = FakeRig()
    session, _ = _session(rig)
    asyncio.get_running_loop().call_later(after_s, session.interrupt)
    outcome = await session.run()
    assert rig.asked[-1].kind == "safe_off"
    assert rig.now_s < after_s + 0.5
    assert outcome.safe_off_confirmed
    assert _verdict(outcome, interrupted=True)[0] is Exit.INTERRUPTED


async def test_a_trip_ends_the_run_and_names_its_cause() -> None:
    rig = FakeRig()
    session, said = _session(rig)
    asyncio.get_running_loop().call_later(2.0, rig.trip)
    outcome = await session.run()
    assert [trip.cause for trip in outcome.trips] == [Cause.CHIP_TEMPERATURE]
    assert "TRIP chip_temperature (chip_c): 76.0 C for 1.0 s" in said.getvalue()
    assert _verdict(outcome)[0] is Exit.TRIPPED


@pytest.mark.parametrize(
    ("cause", "code"), [(Cause.CHIP_TEMPERATURE, Exit.FAILED), (Cause.CONTROL_PORT_LOST, Exit.LINK)]
)
async def test_a_trip_without_a_confirmed_safe_state_never_counts_as_reached(cause: Cause, code: Exit) -> None:
    rig = FakeRig()
    rig.safe_off_confirmed = False
    session, _ = _session(rig)
    asyncio.get_running_loop().call_later(2.0, lambda: rig.trip(cause))
    found, said = _verdict(await session.run())
    assert found is code
    assert "could NOT be confirmed" in said


async def test_a_run_whose_safe_off_was_not_confirmed_fails_though_its_work_was_good() -> None:
    rig = FakeRig()
    rig.safe_off_confirmed = False
    session, _ = _session(rig)
    code, said = _verdict(await session.run())
    assert code is Exit.FAILED
    assert "could NOT be confirmed by read-back" in said


async def test_an_earlier_safe_off_does_not_pass_for_the_last_one() -> None:
    async def silent(rig: FakeRig) -> None:
        return

    rig = FakeRig(power_down=silent)
    rig.report_safe_off("first contact")
    session, _ = _session(rig)
    assert not (await session.run()).safe_off_confirmed


async def test_a_late_report_counts_only_when_it_was_made_after_the_run_had_ended() -> None:
    async def silent(rig: FakeRig) -> None:
        return

    session, _ = _session(FakeRig(power_down=silent))
    outcome = await session.run()
    early = CONFIRMED.model_copy(update={"at_s": 0.5})
    late = CONFIRMED.model_copy(update={"at_s": 5.35})
    assert not session.accept(outcome, None).safe_off_confirmed
    assert not session.accept(outcome, early).safe_off_confirmed
    assert session.accept(outcome, late).safe_off_confirmed


async def test_a_rig_that_goes_away_before_the_point_is_reached_is_a_lost_link() -> None:
    async def never(rig: FakeRig) -> None:
        await asyncio.Event().wait()

    rig = FakeRig(power_up=never)
    session, _ = _session(rig)
    asyncio.get_running_loop().call_later(1.0, rig.hang_up)
    with pytest.raises(RigGone, match="sentinel makes the board safe"):
        await session.run()


async def test_nonces_that_nobody_verified_fail_the_run() -> None:
    async def stop(rig: FakeRig) -> None:
        rig.hooks.pop("stop_work")
        rig.work = work_snapshot(verified=560)
        await rig.request(BOARD, rig.asked.pop())

    session, _ = _session(FakeRig(stop_work=stop))
    code, said = _verdict(await session.run())
    assert code is Exit.FAILED
    assert "1 nonces were counted without having been verified" in said


async def test_progress_is_a_plain_line_now_and_then_where_there_is_no_terminal() -> None:
    session, said = _session(FakeRig(), seconds=20.0)
    await session.run()
    lines = [line for line in said.getvalue().splitlines() if "MHz" in line]
    assert 5 <= len(lines) <= 13
    assert "\r" not in said.getvalue()
    assert "61/61 answers" in lines[3]

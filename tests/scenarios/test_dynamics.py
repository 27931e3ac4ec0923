"""What no single reading shows: a die that runs away, a chip that computes wrong, a trial that went wrong."""

from __future__ import annotations

import asyncio

import pytest

from controller.model import Cause, FaultLatched, PointReverted, SetOperatingPoint, StartWork, StopWork
from drivers.boards.board import Channel
from tests.scenarios.gamma import NAME, stand
from tests.unit.controller.guarding import Scene, working


async def test_a_heatsink_that_comes_off_is_called_a_runaway_before_the_die_is_hot() -> None:
    async with stand() as s:
        await s.power_up()
        await asyncio.sleep(120.0)
        before_s = asyncio.get_running_loop().time()
        s.bench.faults.loosen_heatsink(5.0)
        fault = await s.fault()
        assert fault.cause is Cause.RUNAWAY
        assert fault.sensor == "chip_c"
        assert fault.detail.endswith("nothing was changed")
        assert fault.at_s - before_s < 4.0
        assert s.is_safe()


async def test_nothing_that_a_person_does_is_called_a_runaway() -> None:
    async with stand() as s:
        for _ in range(3):
            await s.power_up()
            await s.rig.request(NAME, StartWork(work="pattern"))
            await asyncio.sleep(5.0)
            for clock, core_v in ((625.0, 1.250), (400.0, 1.000), (600.0, 1.200), (525.0, 1.150)):
                await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=clock, core_v=core_v, preset=True))
                await asyncio.sleep(6.0)
            await s.rig.request(NAME, StopWork())
            await asyncio.sleep(3.0)
            await s.rig.safe_off("again")
            await asyncio.sleep(60.0)
        assert s.find(FaultLatched) == []


def rising(scene: Scene, c_per_s: float, current_share_per_s: float, seconds: float) -> Cause | None:
    for at in range(round(seconds / 0.2)):
        fault = scene.look(
            chip_c=45.0 + c_per_s * 0.2 * (at + 1), core_a=11.0 * (1 + current_share_per_s * 0.2 * (at + 1))
        )
        if fault is not None:
            return Cause(fault.cause)
    return None


def quiet(scene: Scene) -> Scene:
    for _ in range(30):
        assert scene.look(chip_c=45.0, core_a=11.0) is None
    return scene


@pytest.mark.parametrize(
    ("c_per_s", "current_share_per_s", "cause"),
    [(3.5, 0.03, Cause.RUNAWAY), (2.5, 0.03, None), (3.5, 0.01, None), (-4.0, 0.05, None)],
)
def test_heat_and_current_have_to_rise_together_and_fast(
    c_per_s: float, current_share_per_s: float, cause: Cause | None
) -> None:
    assert rising(quiet(Scene().live()), c_per_s, current_share_per_s, 5.0) is cause


def test_it_is_the_mean_of_two_seconds_that_counts_not_a_jump() -> None:
    scene = quiet(Scene().live())
    assert rising(scene, 4.0, 0.04, 1.4) is None
    assert scene.look(chip_c=50.9, core_a=11.7) is None
    assert scene.look(chip_c=51.2, core_a=11.7) is not None


def test_a_rise_that_follows_a_change_is_not_a_runaway() -> None:
    scene = quiet(Scene().live())
    scene.guard.commanded.core_v_changed_s = scene.at_s
    assert rising(scene, 4.0, 0.04, 3.0) is None


def test_the_start_of_work_is_not_a_runaway() -> None:
    scene = quiet(Scene().live())
    scene.work = working(0)
    assert rising(scene, 4.0, 0.04, 3.0) is None


def erring(scene: Scene, per_look: tuple[int, int], looks: int) -> Cause | None:
    """So many verified and wrong nonces at each look."""
    verified = wrong = 0
    for _ in range(looks):
        verified, wrong = verified + per_look[0], wrong + per_look[1]
        base = working(verified + wrong)
        scene.work = base.model_copy(update={"verified": verified, "hw_errors": wrong})
        fault = scene.look()
        if fault is not None:
            return Cause(fault.cause)
    return None


@pytest.mark.parametrize(
    ("per_look", "cause"), [((44, 6), Cause.ERROR_RATE), ((46, 4), None), ((50, 0), None), ((1, 1), Cause.ERROR_RATE)]
)
def test_a_tenth_of_wrong_nonces_for_30_s_at_stock_is_a_fault(per_look: tuple[int, int], cause: Cause | None) -> None:
    assert erring(Scene().live(), per_look, 300) is cause


def test_it_takes_30_s_and_enough_nonces() -> None:
    assert erring(Scene().live(), (0, 50), 149) is None
    assert erring(Scene().live(), (1, 1), 90) is None


@pytest.mark.parametrize(("frequency_mhz", "core_v"), [(550.0, 1.150), (525.0, 1.140)])
def test_a_point_harder_than_stock_may_err_as_much_as_it_likes(frequency_mhz: float, core_v: float) -> None:
    assert erring(Scene().live(frequency_mhz, core_v), (25, 25), 300) is None


async def test_a_trial_under_which_the_chip_computes_wrong_goes_back() -> None:
    async with stand() as s:
        await s.power_up(525.0, 1.050)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(5.0)
        await s.rig.request(NAME, SetOperatingPoint(core_v=1.000, keep_within_s=600.0))
        reverted = await s.wait_for(PointReverted)
        assert reverted.point.core_v == 1.050
        assert reverted.why.endswith(", more than 2 %")
        assert s.find(FaultLatched) == []


async def test_a_trial_that_is_as_good_as_it_was_stays_on_trial() -> None:
    async with stand() as s:
        await s.power_up(525.0, 1.150)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await s.rig.request(NAME, SetOperatingPoint(core_v=1.160, keep_within_s=600.0))
        await asyncio.sleep(60.0)
        assert s.find(PointReverted) == []
        board = (await s.snapshot()).boards[0]
        assert board.pending is not None
        assert board.channels[Channel.CHIP_C].value is not None

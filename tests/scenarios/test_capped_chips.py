"""A chip that is to run slower than its board, under a rig: asserted on the clocks that emulated chips really have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from controller.library import AsyncRig
from controller.model import (
    CapChip,
    Cause,
    Channel,
    ChipCapped,
    ClearFault,
    CommandRefused,
    GuardState,
    KeepPoint,
    LimitLifted,
    LimitSession,
    OperatorLimits,
    PointLimited,
    PowerDown,
    PowerUp,
    Reach,
    RevertPoint,
    SafeOff,
    SessionLimits,
    SetOperatingPoint,
    Snapshot,
    StartWork,
    StepApplied,
    StopWork,
    WorkStopped,
    good_value,
)
from drivers.boards import BOARDS
from drivers.errors import Latched, Refused, UsageError
from emulator.benches import BENCHES, BenchSettings
from tests.scenarios.gamma import NAME, UNLOCKED, Stand, stand

GT, HEX, EMBER = "bitaxe-gt", "bitaxe-hex", "emberone00"
HOT_C = 52.0
"""Around a GT at its stock point: the die passes its throttle level, and not that of its trip."""


@asynccontextmanager
async def on(board: str, operator: OperatorLimits = UNLOCKED, dilution: int = 1) -> AsyncIterator[Stand]:
    settings = BenchSettings(dilution=dilution)
    async with stand(settings, kind=BOARDS[board], build=BENCHES[board], operator=operator) as s:  # type: ignore[arg-type]
        s.bench.advance(asyncio.get_running_loop().time())
        yield s


async def cap(s: Stand, chip: int, mhz: float | None, *, preset: bool = False, dry_run: bool = False) -> None:
    await s.rig.request(NAME, CapChip(chip=chip, frequency_mhz=mhz, preset=preset, dry_run=dry_run))


async def go(s: Stand, mhz: float | None = None, core_v: float | None = None, trial_s: float | None = None) -> None:
    await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=mhz, core_v=core_v, preset=True, keep_within_s=trial_s))


def clocks(s: Stand) -> list[float]:
    """By chip, MHz: what the PLL of each makes of the word that it holds."""
    s.bench.advance(asyncio.get_running_loop().time())
    return [round(chip.frequency_mhz, 2) for chip in s.bench.chips]


def near(s: Stand, board_mhz: float, **own: float) -> bool:
    wanted = [own.get(f"chip{at}", board_mhz) for at in range(len(s.bench.chips))]
    return clocks(s) == pytest.approx(wanted, abs=1.0)


async def until(holds: Callable[[], bool], within_s: float, every_s: float = 0.5) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110  the plant tells nobody when it gets there
            await asyncio.sleep(every_s)


def die_c(s: Stand) -> float:
    return good_value(s.rig.snapshot().boards[0].channels[Channel.CHIP_C]) or 0.0


class Watched:
    """The clocks of all chips, looked at so often that no step is missed."""

    def __init__(self, s: Stand, every_s: float = 0.02) -> None:
        self.seen: list[list[float]] = []
        self._stand, self._every_s = s, every_s
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            found = clocks(self._stand)
            if not self.seen or found != self.seen[-1]:
                self.seen.append(found)
            await asyncio.sleep(self._every_s)

    def end(self) -> list[list[float]]:
        self._task.cancel()
        return self.seen

    def of(self, chip: int) -> list[float]:
        return [each[chip] for each in self.seen]


@pytest.mark.parametrize(
    ("board", "chip", "board_mhz", "cap_mhz"),
    [(GT, 1, 525.0, 480.0), (HEX, 3, 485.0, 437.5), (EMBER, 11, 300.0, 256.25)],
)
async def test_a_chip_of_a_live_board_slows_down_by_slew_steps_alone_and_comes_back_so(
    board: str, chip: int, board_mhz: float, cap_mhz: float
) -> None:
    async with on(board) as s:
        await s.power_up(board_mhz)
        others = [each for at, each in enumerate(clocks(s)) if at != chip]
        watched = Watched(s)
        await cap(s, chip, cap_mhz)
        assert near(s, board_mhz, **{f"chip{chip}": cap_mhz})
        await asyncio.sleep(20.0)
        shown = (await s.snapshot()).boards[0]
        assert (shown.state, dict(shown.caps_mhz)) == (GuardState.LIVE, {chip: cap_mhz})
        assert good_value(shown.channels[Channel.FREQUENCY_MHZ]) == pytest.approx(board_mhz, abs=1.0)
        assert shown.point.requested.frequency_mhz == shown.point.granted.frequency_mhz == board_mhz
        each = shown.chains[0].chips[chip]
        assert each.frequency_mhz == each.read_mhz == pytest.approx(cap_mhz, abs=1.0)
        assert shown.chains[0].expected_hs == pytest.approx(
            sum(clocks(s)) * 1e6 * s.board.chains[0].kind.small_cores, rel=1e-3
        )
        down = len(watched.seen)
        await cap(s, chip, None)
        assert near(s, board_mhz)
        assert [e.cap_mhz for e in s.find(ChipCapped)] == [cap_mhz, None]
        seen = watched.end()
        assert all(others == [mhz for at, mhz in enumerate(found) if at != chip] for found in seen)
        mine = watched.of(chip)
        assert all(abs(b - a) <= 6.3 + 1.0 for a, b in pairwise(mine))
        assert mine[:down] == sorted(mine[:down], reverse=True)
        assert mine[down - 1 :] == sorted(mine[down - 1 :])
        assert len(mine) >= 2 * (board_mhz - cap_mhz) // 6.25
        assert (await s.snapshot()).boards[0].caps_mhz == {}
        assert s.bench.plant.burnt is None


@pytest.mark.parametrize(("board", "chip", "board_mhz", "cap_mhz"), [(GT, 0, 525.0, 450.0), (HEX, 5, 500.0, 440.0)])
async def test_a_cap_from_before_the_power_up_holds_from_its_first_step_and_over_the_next_ones(
    board: str, chip: int, board_mhz: float, cap_mhz: float
) -> None:
    async with on(board) as s:
        await cap(s, chip, cap_mhz)
        assert (await s.snapshot()).boards[0].caps_mhz == {chip: cap_mhz}
        for _ in range(2):
            watched = Watched(s)
            await s.power_up(board_mhz)
            watched.end()
            assert near(s, board_mhz, **{f"chip{chip}": cap_mhz})
            assert max(watched.of(chip)) <= cap_mhz + 1.0
            await s.rig.request(NAME, PowerDown())
            assert s.is_safe()
            await asyncio.sleep(200.0)  # cool enough for the next one
        await cap(s, chip, None)
        await s.power_up(board_mhz)
        assert near(s, board_mhz)
        told = [(event.cap_mhz, event.frequency_mhz) for event in s.find(ChipCapped)]
        assert told == [(cap_mhz, None), (None, None)]


async def test_raising_the_board_passes_no_cap_and_lowering_it_raises_no_chip() -> None:
    async with on(HEX) as s:
        await s.power_up(450.0)
        await cap(s, 2, 475.0)  # not below the board's clock: nothing moves yet
        assert near(s, 450.0)
        watched = Watched(s)
        await go(s, 500.0)
        assert near(s, 500.0, chip2=475.0)
        await go(s, 481.25)
        assert near(s, 481.25, chip2=475.0)
        await go(s, 425.0)
        assert near(s, 425.0)
        await go(s, 493.75)
        assert near(s, 493.75, chip2=475.0)
        watched.end()
        assert max(watched.of(2)) <= 475.5
        assert all(abs(b - a) <= 7.3 for chip in range(6) for a, b in pairwise(watched.of(chip)))
        assert (await s.snapshot()).boards[0].state is GuardState.LIVE


async def test_a_throttle_takes_the_board_down_to_the_slow_chip_and_back_no_further_than_its_cap() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        await cap(s, 1, 500.0)
        watched = Watched(s, 0.05)
        s.bench.faults.ambient_c(HOT_C)
        await s.wait_for(PointLimited, 600.0)
        await until(lambda: clocks(s)[0] <= 480.0, 60.0)
        s.bench.faults.ambient_c(10.0)
        with pytest.raises(Refused, match=r"throttle: .* nothing is raised until the board is back"):
            await cap(s, 1, None)
        await cap(s, 1, 490.0)  # less may be asked for; the board is below it, so that nothing moves
        assert (await s.snapshot()).boards[0].caps_mhz == {1: 490.0}
        await until(lambda: clocks(s)[0] >= 524.0, 2000.0)
        watched.end()
        assert near(s, 525.0, chip1=490.0)
        assert all(slow <= min(fast, 500.5) for fast, slow in watched.seen)
        steps = watched.of(1)
        lowest_at = steps.index(min(steps))
        assert min(steps) < 481.0
        assert all(b <= a for a, b in pairwise(steps[: lowest_at + 1]))
        assert max(steps[lowest_at:]) <= 490.5
        assert (await s.snapshot()).boards[0].state is GuardState.LIVE


async def test_a_trial_of_the_board_goes_back_and_the_cap_stays() -> None:
    async with on(HEX) as s:
        await s.power_up(485.0)
        await cap(s, 0, 475.0)
        for trial in (525.0, 450.0):
            await go(s, trial, trial_s=5.0)
            assert near(s, trial, chip0=min(trial, 475.0))
            await asyncio.sleep(12.0)
            assert near(s, 485.0, chip0=475.0)
        await go(s, 450.0, trial_s=60.0)
        await cap(s, 0, 470.0)  # a cap is no part of the point that is on trial
        await s.rig.request(NAME, RevertPoint())
        assert near(s, 485.0, chip0=470.0)
        with pytest.raises(Refused):
            await s.rig.request(NAME, KeepPoint())


async def test_a_latched_board_keeps_its_caps_and_its_next_power_up_has_them() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        await cap(s, 0, 475.0)
        s.bench.faults.stall_fan()
        fault = await s.fault()
        assert fault.cause is Cause.FAN
        for chip, mhz in ((0, 450.0), (0, None)):
            with pytest.raises(Latched, match="fan"):
                await cap(s, chip, mhz)
        s.bench.faults.stall_fan(off=True)
        await asyncio.sleep(120.0)
        await s.rig.request(NAME, ClearFault())
        assert (await s.snapshot()).boards[0].caps_mhz == {0: 475.0}
        await s.power_up(525.0)
        assert near(s, 525.0, chip0=475.0)


@pytest.mark.parametrize(
    ("board", "chip", "mhz", "error", "why"),
    [
        (GT, 2, 450.0, UsageError, "chip: 2 is not allowed; allowed: 0 to 1"),
        (HEX, 6, 450.0, UsageError, "chip: 6 is not allowed; allowed: 0 to 5"),
        (GT, 1, 399.0, Refused, "envelope: frequency_mhz 399 MHz is outside 400 to 625 MHz"),
        (HEX, 1, 576.0, Refused, "envelope: frequency_mhz 576 MHz is outside 400 to 575 MHz"),
        (GT, 1, float("nan"), Refused, "envelope: frequency_mhz nan MHz is outside 400 to 625 MHz"),
        (GT, 1, 450.0, Refused, "change: 75 MHz in one command; at most 50 MHz without a preset"),
        (EMBER, 4, 240.0, Refused, "stack: chip 4 at 240 MHz, the others at 300 MHz: of 0.275 V for each of 12 in "),
    ],
)
async def test_what_is_refused_moves_no_chip_and_is_not_remembered(
    board: str, chip: int, mhz: float, error: type[Exception], why: str
) -> None:
    async with on(board) as s:
        await s.power_up({EMBER: 300.0}.get(board, 525.0))
        before = clocks(s)
        for dry_run in (True, False):
            with pytest.raises(error) as refused:
                await cap(s, chip, mhz, dry_run=dry_run, preset="change" not in why)
            assert str(refused.value).startswith(why)
        assert clocks(s) == before
        assert (await s.snapshot()).boards[0].caps_mhz == {}
        assert len(s.find(CommandRefused)) == 1
        assert s.find(ChipCapped) == []


async def test_one_chip_at_least_runs_at_the_clock_of_the_board() -> None:
    async with stand() as s:
        with pytest.raises(Refused, match=r"cap: the only chip runs at the board's clock: lower that"):
            await cap(s, 0, 450.0)
    async with on(GT) as s:
        await cap(s, 0, 500.0)
        with pytest.raises(Refused, match=r"cap: chip 1, the last one without a cap, runs at the board's clock"):
            await cap(s, 1, 500.0)
        await cap(s, 0, 450.0)  # the same chip again
        await cap(s, 0, None)
        await cap(s, 1, 500.0)
        assert (await s.snapshot()).boards[0].caps_mhz == {1: 500.0}


async def test_asking_alone_moves_nothing_and_a_step_too_far_takes_a_preset() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        await cap(s, 1, 500.0, dry_run=True)
        assert near(s, 525.0)
        assert (await s.snapshot()).boards[0].caps_mhz == {}
        await cap(s, 1, 425.0, preset=True)
        assert near(s, 525.0, chip1=425.0)
        for mhz in (None, 500.0):
            with pytest.raises(Refused, match=r"change: \d+ MHz in one command; at most 50 MHz"):
                await cap(s, 1, mhz)
        await cap(s, 1, 475.0)
        await cap(s, 1, None)
        assert near(s, 525.0)


async def test_above_stock_a_chip_is_raised_only_where_its_board_would_be() -> None:
    async with on(GT) as s:
        await s.power_up(550.0)
        await cap(s, 1, 520.0)
        s.bench.faults.ambient_c(44.0)
        await until(lambda: die_c(s) >= 65.5, 900.0)
        with pytest.raises(Refused, match=r"interlock: chip_c is 6\d\.\d+ C; above stock needs less than 65 C"):
            await cap(s, 1, None)
        assert near(s, 550.0, chip1=520.0)
        assert (await s.snapshot()).boards[0].caps_mhz == {1: 520.0}
        await cap(s, 1, 500.0)  # slower is always granted


async def test_what_the_session_may_not_ask_of_the_board_it_may_not_ask_of_a_chip() -> None:
    async with on(HEX) as s:
        await cap(s, 3, 450.0)
        with pytest.raises(Refused, match=r"envelope: chip 3: frequency_mhz 450 MHz is outside 460 to 575 MHz"):
            await s.rig.request(NAME, LimitSession(limits=SessionLimits(frequency_mhz_min=460.0)))
        await s.rig.request(NAME, LimitSession(limits=SessionLimits(frequency_mhz_max=425.0)))
        with pytest.raises(Refused, match=r"envelope: frequency_mhz 430 MHz is outside 400 to 425 MHz"):
            await cap(s, 3, 430.0)
        await s.power_up(425.0)
        assert near(s, 425.0)
    async with on(HEX, OperatorLimits(unlock=Reach.STOCK)) as s:
        with pytest.raises(Refused, match=r"outside 400 to 485 MHz, which is stock"):
            await cap(s, 3, 490.0)


async def test_slow_chips_in_series_bound_what_the_board_may_be_asked() -> None:
    """V = I / (c f): the slow one of twelve takes more of the rail than its twelfth."""
    async with on(EMBER) as s:
        await cap(s, 7, 250.0)
        with pytest.raises(Refused, match=r"stack: chip 7 at 250 MHz, the others at 325 MHz: .* would take 0\.349 V"):
            await s.power_up(325.0)
        await s.power_up(300.0)
        assert near(s, 300.0, chip7=250.0)
        for mhz, core_v in ((306.25, None), (None, 0.28), (306.25, 0.26)):
            with pytest.raises(Refused, match=r"stack: chip 7 at 250 MHz"):
                await go(s, mhz, core_v)
        await go(s, 250.0, 0.285)
        assert near(s, 250.0)
        with pytest.raises(Refused, match=r"stack: chip 7 at 200 MHz"):
            await cap(s, 7, 200.0)
        with pytest.raises(Refused, match=r"stack: chip 7 at 250 MHz"):
            await go(s, 300.0, trial_s=5.0)


async def test_the_way_back_of_a_trial_stays_open_for_chips_in_series() -> None:
    async with on(EMBER) as s:
        await s.power_up(300.0)
        await go(s, 250.0, trial_s=30.0)
        with pytest.raises(Refused, match=r"stack: chip 2 at 225 MHz, the others at 300 MHz"):
            await cap(s, 2, 225.0)
        await cap(s, 2, 256.25)
        with pytest.raises(Refused, match=r"stack: chip 2 at 256.25 MHz, the others at 300 MHz: of 0.285 V"):
            await go(s, core_v=0.285, trial_s=30.0)  # where it is that would do, and not where it goes back to
        await asyncio.sleep(40.0)
        assert near(s, 300.0, chip2=256.25)
        await go(s, 250.0)
        await go(s, core_v=0.285)


async def test_a_throttle_cuts_a_chip_short_that_is_being_raised_and_it_goes_back_to_its_cap() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        await cap(s, 1, 425.0, preset=True)
        raising = asyncio.create_task(cap(s, 1, None, preset=True))
        await until(lambda: clocks(s)[1] >= 450.0, 5.0, 0.02)
        s.bench.faults.source_v(11.2)
        await asyncio.sleep(0.9)
        s.bench.faults.source_v(12.3)
        with pytest.raises(Refused, match=r"throttle: input_v: .* below the warning level"):
            await raising
        await s.wait_for(PointLimited, 10.0)
        assert (await s.snapshot()).boards[0].caps_mhz == {1: 425.0}
        assert near(s, 518.75, chip1=425.0)
        await until(lambda: clocks(s)[0] >= 524.0, 200.0)
        assert near(s, 525.0, chip1=425.0)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(5.0)
        await s.rig.request(NAME, StopWork())
        result = s.find(WorkStopped)[-1].result
        assert result.yield_ratio is not None
        assert result.yield_ratio > 0.98  # every window fits its chip again


async def test_a_chip_that_is_slowed_down_gets_there_before_its_board_gives_way_and_that_comes_back() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        slowing = asyncio.create_task(cap(s, 1, 425.0, preset=True))
        s.bench.faults.source_v(11.2)
        await asyncio.sleep(0.9)
        s.bench.faults.source_v(12.3)
        await slowing
        await s.wait_for(PointLimited, 10.0)
        assert near(s, 518.75, chip1=425.0)
        await until(lambda: clocks(s)[0] >= 524.0, 100.0)
        await s.wait_for(LimitLifted, 5.0)
        assert near(s, 525.0, chip1=425.0)


async def test_who_goes_away_leaves_no_chip_between_two_of_its_caps() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        asking = asyncio.create_task(cap(s, 0, 450.0, preset=True))
        await asyncio.sleep(0.5)
        for _ in range(3):
            asking.cancel()
            await asyncio.sleep(0.05)
        assert not asking.done()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert near(s, 525.0, chip0=450.0)
        assert (await s.snapshot()).boards[0].caps_mhz == {0: 450.0}


async def test_a_safe_off_ends_a_cap_whose_asker_is_gone() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        asking = asyncio.create_task(cap(s, 0, 425.0, preset=True))
        await asyncio.sleep(0.4)
        asking.cancel()
        await asyncio.sleep(0.1)
        asking.cancel()
        asked_s = asyncio.get_running_loop().time()
        await s.rig.request(NAME, SafeOff())
        assert asyncio.get_running_loop().time() - asked_s < 0.5
        assert s.is_safe()
        await asyncio.sleep(5.0)
        assert (await s.snapshot()).boards[0].state is GuardState.SAFE_OFF, "nothing goes on behind it"
        assert asking.cancelled()


async def test_a_safe_off_ends_a_cap_on_its_way_at_once() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        await cap(s, 0, 425.0, preset=True)
        raising = asyncio.create_task(cap(s, 0, None, preset=True))
        await asyncio.sleep(0.5)
        asked_s = asyncio.get_running_loop().time()
        await s.rig.request(NAME, SafeOff())
        assert s.is_safe()
        assert asyncio.get_running_loop().time() - asked_s < 0.5
        with pytest.raises(Refused, match="a safe-off ended this command"):
            await raising
        assert (await s.snapshot()).boards[0].caps_mhz == {0: 425.0}  # what it had not reached is not wanted


@pytest.mark.parametrize("astray", ["the board's clock", "the cap of another"])
async def test_a_chip_whose_own_word_is_not_what_it_was_told_is_the_trip_of_today(astray: str) -> None:
    """Also one that reads what the board reads: it has a cap."""
    async with on(HEX) as s:
        await s.power_up(485.0)
        await cap(s, 2, 450.0)
        fast, slow = s.bench.chips[1], s.bench.chips[2]
        words = fast._words[0x08], slow._words[0x08]
        chip, word, reads = (slow, words[0], 485) if astray == "the board's clock" else (fast, words[1], 450)
        await asyncio.sleep(5.0)
        chip._write(0x08, word, asyncio.get_running_loop().time())
        fault = await s.fault(within_s=30.0)
        assert (fault.cause, fault.sensor) == (Cause.ACTUATION, "frequency_mhz")
        assert f"reads {reads}" in fault.detail
        if astray == "the board's clock":
            assert fault.detail == "chip 2: commanded 450, reads 485, 2 times (tolerance 1)"
        assert s.is_safe()


@pytest.mark.parametrize(("work", "dilution"), [("pattern", 1), ("synthetic", 1 << 28)])
async def test_a_chip_that_was_slowed_down_is_not_called_weak_or_slow(work: str, dilution: int) -> None:
    async with on(HEX, dilution=dilution) as s:
        await cap(s, 1, 400.0)
        await s.power_up(500.0)
        await s.rig.request(NAME, StartWork.model_validate({"work": work}))
        await asyncio.sleep(8.0)
        await cap(s, 4, 450.0)
        await asyncio.sleep(8.0)
        await cap(s, 4, None)
        await asyncio.sleep(8.0)
        await s.rig.request(NAME, StopWork())
        result = s.find(WorkStopped)[-1].result
        assert result.remarks == ()
        assert result.hw_errors <= 0.01 * result.verified
        ratios = [each.clock_ratio for each in result.chips]
        assert ratios[1] == pytest.approx(min(ratios))
        assert ratios[1] < ratios[4] < ratios[0]
        assert (await s.snapshot()).boards[0].state is GuardState.LIVE


async def test_a_weak_chip_hashes_right_again_once_it_is_slowed_down() -> None:
    async def remarks(s: Stand) -> tuple[str, ...]:
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(15.0)
        await s.rig.request(NAME, StopWork())
        return s.find(WorkStopped)[-1].result.remarks

    async with on(GT) as s:
        await s.power_up(525.0)
        s.bench.faults.weaken_chip(1, by_mv=90.0)
        (weak,) = await remarks(s)
        assert weak.startswith("chip 1 is weak")
        await cap(s, 1, 400.0, preset=True)
        assert await remarks(s) == ()
        assert near(s, 525.0, chip1=400.0)


async def test_silent_chips_are_initialised_again_with_their_caps() -> None:
    async with on(GT, dilution=1 << 28) as s:
        await s.power_up(525.0)
        await cap(s, 1, 475.0)
        await s.rig.request(NAME, StartWork(work="synthetic"))
        await asyncio.sleep(5.0)
        watched = Watched(s)
        s.bench.faults.silence_chip("nonces")
        await s.wait_for_note("the chips are initialised again")
        s.bench.faults.silence_chip("nonces", off=True)
        await s.wait_for_note("the work goes on")
        watched.end()
        assert near(s, 525.0, chip1=475.0)
        assert min(watched.of(1)) <= 50.0
        assert max(watched.of(1)) <= 475.5


async def test_with_the_control_port_gone_the_data_port_stops_every_chip() -> None:
    async with on(GT) as s:
        await s.power_up(525.0)
        await cap(s, 0, 475.0)
        s.ports[0].hang_up()
        await s.wait_for_note("hashing stopped through the data port: confirmed")
        assert clocks(s) == [50.0, 50.0]
        with pytest.raises((Latched, Refused)):
            await cap(s, 0, None)


async def test_every_step_of_a_chip_is_in_the_history_with_the_chip_and_its_clock() -> None:
    async with on(GT) as s:
        await s.power_up(500.0)
        told = len(s.find(StepApplied))
        await cap(s, 1, 490.0)
        await asyncio.sleep(0)
        assert [event.detail for event in s.find(StepApplied)[told:]] == [
            "Frequency 500 MHz, chip 1 493.75 MHz",
            "Frequency 500 MHz, chip 1 490 MHz",
            "SweepWindow 500 MHz, chip 1 490 MHz",
        ]
        await s.rig.request(NAME, PowerDown())
        assert s.find(StepApplied)[-1].detail == "SweepWindow 0 MHz"
        await asyncio.sleep(100.0)
        await s.rig.request(NAME, PowerUp(frequency_mhz=500.0, dry_run=True))


async def test_a_script_caps_a_chip_and_what_holds_crosses_a_socket_and_comes_back_equal() -> None:
    async with on(HEX) as s:
        rig = AsyncRig(s.rig)
        assert await rig.cap_chip(3, 450.0, note="the weak one") == {3: 450.0}
        await rig.power_up(485.0)
        assert near(s, 485.0, chip3=450.0)
        with pytest.raises(Refused, match="change: "):
            await rig.check_cap(5, 425.0)
        assert await rig.cap_chip(5, 425.0, preset=True) == {3: 450.0, 5: 425.0}
        assert near(s, 485.0, chip3=450.0, chip5=425.0)
        seen = await s.snapshot()
        back = Snapshot.model_validate_json(seen.model_dump_json(by_alias=True))
        assert back == seen
        assert back.boards[0].caps_mhz == {3: 450.0, 5: 425.0}
        told = s.find(ChipCapped)
        assert told[0].note == "the weak one"
        assert all(ChipCapped.model_validate_json(event.model_dump_json()) == event for event in told)
        assert await rig.cap_chip(3, None) == {5: 425.0}

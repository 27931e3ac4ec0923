"""The sweep: which nonce is tried when."""

import pytest

from emulator.hashing import COUNTERS
from emulator.silicon.sweep import Sweep
from tests.unit.emulator.silicon.chip_host import FULL_WINDOW_525, STOCK_WINDOW, WINDOW_S

BATCHES_PER_EPOCH = 8192


def sweep_at(mhz: float = 525.0, ticks: int = FULL_WINDOW_525, start: int = 1000) -> Sweep:
    sweep = Sweep(8)
    sweep.retime(0.0, mhz, ticks)
    sweep.load(10.0, start)
    return sweep


def test_a_full_window_at_525_mhz_lasts_32_ms_and_leaves_0_034_percent_out() -> None:
    sweep = sweep_at()
    assert sweep.window_s == pytest.approx(0.03195, abs=1e-5)
    assert 1.0 - sweep.span / COUNTERS == pytest.approx(0.00034, abs=1e-5)


def test_each_core_tries_two_nonces_a_clock_from_the_starting_counter() -> None:
    sweep = sweep_at()
    assert sweep.next_pass(0, 1000, 10.0) == 10.0
    assert sweep.next_pass(0, 1000 + 1_050_000, 10.0) == pytest.approx(10.001)
    assert sweep.next_pass(0, 999, 10.0) is None
    wrapped = (1000 + 33_000_000) % COUNTERS
    assert sweep.next_pass(0, wrapped, 10.0) == pytest.approx(10.0 + 33_000_000 / 1.05e9)


def test_eight_versions_share_a_batch() -> None:
    sweep = sweep_at()
    first = sweep.next_pass(7, 2000, 10.0)
    second = sweep.next_pass(8, 2000, 10.0)
    assert first is not None
    assert second == pytest.approx(first + WINDOW_S)
    assert sweep.position(10.0 + 2.5 * WINDOW_S)[0] == 2


def test_after_65536_versions_everything_comes_again() -> None:
    sweep = sweep_at(ticks=STOCK_WINDOW)
    epoch_s = BATCHES_PER_EPOCH * STOCK_WINDOW / 25e6
    assert epoch_s == pytest.approx(2.576, abs=0.001)
    first = sweep.next_pass(40_000, 2000, 10.0)
    assert first is not None
    again = sweep.next_pass(40_000, 2000, first, again=True)
    assert again == pytest.approx(first + epoch_s)


def test_a_change_of_clock_continues_where_the_cores_are() -> None:
    sweep = sweep_at()
    sweep.retime(10.01, 262.5, 2 * FULL_WINDOW_525)
    assert sweep.position(10.01) == pytest.approx((0, 0.01, 10.5e6))
    due = sweep.next_pass(0, 1000 + 21_000_000, 10.01)
    assert due == pytest.approx(10.01 + 10.5e6 / 525e6)
    assert sweep.next_pass(0, 1000 + 21_000_000, due or 0.0, again=True) == pytest.approx(
        10.0 + BATCHES_PER_EPOCH * 2 * WINDOW_S + 21e6 / 525e6
    )


def test_a_window_too_long_for_the_clock_tries_the_first_nonces_twice() -> None:
    sweep = sweep_at(mhz=600.0)
    first = sweep.next_pass(0, 1005, 10.0)
    assert first is not None
    again = sweep.next_pass(0, 1005, first, again=True)
    assert again == pytest.approx(first + COUNTERS / 1.2e9)
    assert first + COUNTERS / 1.2e9 < 10.0 + WINDOW_S


@pytest.mark.parametrize(("mhz", "ticks"), [(0.0, FULL_WINDOW_525), (525.0, 0)])
def test_without_clock_or_window_the_cores_stand_still(mhz: float, ticks: int) -> None:
    sweep = sweep_at()
    sweep.retime(10.005, mhz, ticks)
    assert sweep.position(99.0) == sweep.position(10.005)
    assert sweep.next_pass(0, 20_000_000, 10.005) is None
    sweep.retime(20.0, 525.0, FULL_WINDOW_525)
    assert sweep.position(20.0)[2] == pytest.approx(5.25e6)

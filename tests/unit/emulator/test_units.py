"""The specimen of a BM1368 against the public grid that it is fitted to (dr0ther/Bitaxebench)."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest

from emulator.chips import bm1362, bm1368
from emulator.physics import domain_yields, units_of
from tests.vectors import rows

THE_UNIT_OF_THE_GRID = replace(bm1368.UNIT, v99_mv=1150.0)


def test_its_yields_follow_the_grid_where_the_unit_of_the_grid_is_taken() -> None:
    """The rates repeat, but their absolute level is not to be trusted: each is held against the best at its clock."""
    grid = [row for row in rows("physics_points") if row["chip"] == "BM1368" and "Bitaxebench" in row["source"]]
    assert len(grid) > 40
    best = {row["freq_mhz"]: 0.0 for row in grid}
    for row in grid:
        best[row["freq_mhz"]] = max(best[row["freq_mhz"]], row["hashrate_ghs"])
    off = []
    for row in grid:
        yields = domain_yields(row["vcore_set_mv"], row["freq_mhz"], row["chip_temp_c"], THE_UNIT_OF_THE_GRID)
        off.append(abs(sum(yields) / 4.0 - row["hashrate_ghs"] / best[row["freq_mhz"]]))
    assert statistics.median(off) < 0.01
    assert math.sqrt(statistics.fmean(each * each for each in off)) < 0.065


def test_chips_on_a_quarter_of_the_volts_differ_by_a_quarter_of_the_millivolts() -> None:
    units = units_of(replace(bm1362.UNIT, chips=600, spread=True))
    assert statistics.stdev(unit.v99_mv for unit in units) == pytest.approx(20.0 * 300.0 / 1062.0, rel=0.1)
    assert statistics.fmean(unit.v99_mv for unit in units) == pytest.approx(300.0, abs=1.0)


def test_the_usual_unit_is_right_at_stock_on_a_cold_die_as_on_a_warm_one() -> None:
    for die_c in (28.0, 46.0):
        assert sum(domain_yields(1166.0, 490.0, die_c, bm1368.UNIT)) / 4.0 > 0.99

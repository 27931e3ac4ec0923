"""The plant: the points it was fitted to, and the ways in which it fails."""

import json

import pytest

from emulator.physics import GRID_S, Plant, PlantSettings, domain_yields, units_of

SETTINGS = PlantSettings()


def hashing(plant: Plant, set_v: float, mhz: float, at_s: float = 0.0, fan: float = 1.0) -> Plant:
    plant.set_fan_duty(fan, at_s)
    plant.set_rail(set_v, True, at_s)
    plant.set_load(mhz, 1.0, at_s)
    return plant


def mean_yield(set_mv: float, mhz: float, die_c: float) -> float:
    return sum(domain_yields(set_mv, mhz, die_c, SETTINGS)) / 4


def test_the_stock_point_draws_17_w_and_settles_at_62_c() -> None:
    plant = hashing(Plant(PlantSettings(ambient_c=27.8)), 1.150, 525.0)
    plant.advance(1200.0)
    assert plant.reported_power_w == pytest.approx(17.0, abs=0.5)
    assert plant.die_c == pytest.approx(62.0, abs=2.0)
    assert plant.rpm == pytest.approx(5230.0, abs=30.0)
    assert plant.reported_power_w == pytest.approx(plant.core_v(1200.0) * plant.core_a + 5.0)
    assert plant.vr_c == pytest.approx(39.5 + 1.26 * plant.chip_w, abs=2.0)


def test_cooler_air_saves_half_a_watt_at_600_mhz() -> None:
    plant = hashing(Plant(PlantSettings(ambient_c=27.0, start_c=60.0)), 1.100, 600.0)
    plant.advance(1500.0)
    warm_w, warm_c = plant.reported_power_w, plant.die_c
    assert warm_c == pytest.approx(62.3, abs=1.0)
    assert warm_w == pytest.approx(17.5, abs=0.5)
    plant.set_ambient_c(24.0, 1500.0)
    plant.advance(3000.0)
    assert 0.3 <= warm_w - plant.reported_power_w <= 0.6
    assert 3.9 <= warm_c - plant.die_c <= 4.7


def test_input_volts_follow_the_source_impedance() -> None:
    plant = hashing(Plant(PlantSettings(ambient_c=27.8)), 1.150, 525.0)
    input_v = plant.input_v(600.0)
    assert input_v == pytest.approx(5.38 - 0.09 * plant.input_w / input_v, abs=1e-9)
    assert 5.0 < input_v < 5.15


def test_a_weak_supply_falls_under_vin_off_during_the_ramp() -> None:
    plant = hashing(Plant(PlantSettings(source_ohm=0.30, ambient_c=27.8)), 1.150, 400.0)
    plant.advance(300.0)
    assert plant.input_v(300.0) > 4.5
    at_s, mhz = 300.0, 400.0
    while plant.input_v(at_s) > 4.5 and mhz < 525.0:
        at_s, mhz = at_s + 0.1, mhz + 6.25
        plant.set_load(mhz, 1.0, at_s)
    assert 400.0 < mhz < 525.0
    assert not plant.collapsed(at_s)


def test_a_source_that_cannot_deliver_collapses() -> None:
    plant = hashing(Plant(PlantSettings(source_ohm=0.80)), 1.150, 525.0)
    assert plant.collapsed(1.0)
    assert plant.input_v(1.0) == pytest.approx(5.38 / 2)


def test_whoever_watches_the_input_sees_it_sag_and_may_cut_the_rail() -> None:
    plant = Plant(PlantSettings(source_ohm=0.60))
    cut_s: list[float] = []

    def cut(input_v: float, at_s: float) -> None:
        if input_v < 4.5 and plant.rail_on:
            cut_s.append(at_s)
            plant.set_rail(0.0, False, at_s)

    plant.input_watchers.append(cut)
    hashing(plant, 1.150, 525.0, at_s=2.0)
    plant.advance(3.0)
    assert cut_s == [2.0]
    assert plant.core_v(3.0) == 0.0
    assert plant.input_v(3.0) > 5.0


def test_without_a_fan_the_die_passes_75_c_and_runs_away() -> None:
    plant = hashing(Plant(PlantSettings(ambient_c=27.8)), 1.150, 525.0)
    plant.advance(1200.0)
    before_a = plant.core_a
    plant.set_fan_duty(0.0, 1200.0)
    plant.advance(1320.0)
    assert plant.die_c > 75.0
    assert plant.core_a > 1.1 * before_a
    at_s = 1320.0
    while plant.burnt is None and at_s < 2400.0:
        before_c, at_s = plant.die_c, at_s + 10.0
        plant.advance(at_s)
        assert plant.burnt or plant.die_c > before_c
    assert plant.burnt is not None
    assert plant.chip_supply(at_s).burnt


def test_the_die_takes_about_100_s_to_warm_up() -> None:
    plant = Plant()
    plant.set_fan_duty(1.0, 0.0)
    plant.advance(600.0)
    cold_c = plant.die_c
    hashing(plant, 1.150, 525.0, at_s=600.0)
    plant.advance(690.0)
    after_90_s = plant.die_c
    plant.advance(2400.0)
    assert 0.5 < (after_90_s - cold_c) / (plant.die_c - cold_c) < 0.75


def test_the_trace_does_not_depend_on_when_it_is_looked_at() -> None:
    often, seldom = Plant(), Plant()
    for plant in (often, seldom):
        hashing(plant, 1.150, 525.0, at_s=0.513)
    for step in range(1, 2001):
        often.advance(step * 0.0173)
        often.input_v(step * 0.0173)
    seldom.advance(2000 * 0.0173)
    assert (often.die_c, often.sink_c, often.vr_c, often.rpm) == (seldom.die_c, seldom.sink_c, seldom.vr_c, seldom.rpm)


def test_energy_counts_for_the_part_of_a_grid_step_in_which_it_flowed() -> None:
    plant = Plant()
    plant.set_rail(1.150, True, 0.0)
    plant.set_load(525.0, 1.0, GRID_S / 2)
    whole_w, idle_w = plant.chip_w, 0.2 * (1.125 / 1.150) ** 2
    plant.advance(GRID_S)
    assert plant.die_c - 25.0 == pytest.approx(GRID_S * (whole_w + idle_w) / 2 / 2.0, rel=1e-6)


@pytest.mark.parametrize(
    ("point", "deficit"),
    [
        ("P001", 0.0),
        ("P002", 1.1),
        ("P003", 1.3),
        ("P004", 3.9),
        ("P005", 4.8),
        ("P006", 0.7),
        ("P007", 0.1),
        ("P008", 30.0),
    ],
)
def test_yield_agrees_with_the_measured_points_at_their_own_die_temperature(point: str, deficit: float) -> None:
    volts_mhz_die = {
        "P001": (1150, 525, 62.2), "P002": (1100, 525, 59.3), "P003": (1060, 525, 56.8), "P004": (1060, 600, 63.5),
        "P005": (1060, 625, 66.2), "P006": (1100, 625, 68.1), "P007": (1100, 600, 62.7), "P008": (1000, 525, 54.6),
    }  # fmt: skip
    assert mean_yield(*volts_mhz_die[point]) == pytest.approx(1.0 - deficit / 100.0, abs=0.01)


def test_a_warmer_die_computes_better_on_the_cliff() -> None:
    assert mean_yield(1000, 525, 60.0) == pytest.approx(0.779, abs=0.001)
    assert mean_yield(1000, 525, 60.0) > mean_yield(1000, 525, 54.6) > mean_yield(1000, 525, 50.0)


def test_a_held_die_keeps_its_temperature_and_the_chip_sees_the_set_point() -> None:
    plant = hashing(Plant(PlantSettings(hold_die_c=54.6)), 1.000, 525.0)
    plant.advance(300.0)
    assert plant.die_c == 54.6
    assert sum(plant.yields(300.0)) / 4 == pytest.approx(0.70, abs=0.06)
    assert plant.yields(300.0) == pytest.approx(domain_yields(1000, 525, 54.6, SETTINGS))


def test_the_chip_gets_25_mv_less_than_the_set_point() -> None:
    plant = hashing(Plant(), 1.150, 525.0)
    assert plant.core_v(1.0) == pytest.approx(1.125)


def test_a_rising_rail_ramps_in_a_straight_line() -> None:
    plant = Plant()
    plant.set_rail(1.150, True, 1.0, 0.003)
    assert plant.core_v(1.0) == 0.0
    assert plant.core_v(1.0015) == pytest.approx(0.575 - 0.025)
    assert plant.core_v(1.003) == pytest.approx(1.125)
    plant.advance(60.0)
    assert plant.core_v(60.0) == pytest.approx(1.125)
    plant.set_rail(1.150, False, 60.0)
    assert plant.core_v(60.0) == 0.0


def test_a_ramp_that_nobody_watches_ends_all_the_same() -> None:
    plant = Plant()
    plant.set_load(525.0, 1.0, 0.9)
    plant.set_rail(1.150, True, 1.0, 0.003)
    plant.advance(61.0)
    assert plant.die_c > 35.0


def test_off_is_cold_and_idle_is_small() -> None:
    plant = Plant()
    plant.set_rail(1.150, True, 0.0)
    assert 0.0 < plant.chip_w < 0.5
    plant.set_load(50.0, 0.0, 0.1)
    assert 0.5 < plant.chip_w < 1.5
    plant.set_rail(1.150, False, 0.2)
    assert plant.chip_w == plant.core_a == 0.0
    assert plant.reported_power_w == 5.0


def test_a_fan_at_rest_needs_more_than_one_that_turns() -> None:
    plant = Plant()
    plant.set_fan_duty(0.15, 0.0)
    plant.advance(10.0)
    assert plant.rpm == 0.0
    plant.set_fan_duty(1.0, 10.0)
    plant.advance(20.0)
    plant.set_fan_duty(0.15, 20.0)
    plant.advance(40.0)
    assert plant.rpm == pytest.approx(5230 * (0.29 + 0.71 * 0.15))
    plant.set_fan_stalled(True, 40.0)
    plant.advance(60.0)
    assert plant.rpm == 0.0


def test_a_loose_heatsink_heats_the_die_and_not_the_sink() -> None:
    plant = hashing(Plant(PlantSettings(ambient_c=27.8)), 1.150, 525.0)
    plant.advance(1200.0)
    die_c, sink_c = plant.die_c, plant.sink_c
    plant.set_heatsink(5.0, 1200.0)
    plant.advance(1220.0)
    assert plant.die_c > die_c + 20.0
    assert abs(plant.sink_c - sink_c) < 5.0


def test_each_die_of_several_gets_to_where_its_own_paste_lets_it_and_no_faster_than_its_watts_heat_it() -> None:
    plant = hashing(Plant(PlantSettings(chips=6, spread=True, seed=3)), 1.150, 525.0)
    for chip in range(6):
        plant.set_load(100.0, 1.0, 0.0, chip)
    plant.advance(1200.0)
    pulls = [unit.power_w_per_v2_mhz for unit in plant.units]
    own_w = [plant.chip_w * pull / sum(pulls) for pull in pulls]
    for chip, unit in enumerate(plant.units):
        assert plant.die_of_c(chip) == pytest.approx(plant.sink_c + own_w[chip] * unit.die_to_sink_k_per_w, abs=0.1)
    before_c = [plant.die_of_c(chip) for chip in range(6)]
    plant.set_heatsink(1000.0, 1200.0)
    plant.advance(1201.0)
    for chip, was_c in enumerate(before_c):
        assert 0.0 < plant.die_of_c(chip) - was_c <= own_w[chip] / 2.0 * 1.05  # of 2 J/K


def test_each_of_several_chips_draws_and_heats_by_its_own_clock() -> None:
    def at(*clocks_mhz: float) -> Plant:
        plant = hashing(Plant(PlantSettings(chips=len(clocks_mhz))), 1.150, clocks_mhz[0])
        for chip, mhz in enumerate(clocks_mhz):
            plant.set_load(mhz, 1.0, 0.0, chip=chip)
        plant.core_v(0.5)
        return plant

    apart, alike = at(400.0, 500.0), at(450.0, 450.0)
    assert apart.chip_w == pytest.approx(alike.chip_w, rel=0.01)
    assert at(500.0, 500.0).chip_w > apart.chip_w * 1.08
    apart.core_v(30.0)
    assert apart.die_of_c(1) - apart.die_of_c(0) > 0.5
    assert apart.fastest_mhz == 500.0


def test_too_high_a_rail_destroys_the_chip() -> None:
    plant = hashing(Plant(), 1.150, 525.0)
    plant.set_rail(1.6, True, 5.0)
    assert plant.chip_supply(5.0).burnt
    plant.set_rail(1.150, True, 6.0)
    assert plant.chip_supply(6.0).burnt


def test_units_differ_only_when_asked_to_and_by_their_seed() -> None:
    assert units_of(PlantSettings(seed=1)) == units_of(PlantSettings(seed=2))
    units = [units_of(PlantSettings(seed=seed, spread=True))[0] for seed in range(300)]
    assert units_of(PlantSettings(seed=7, spread=True))[0] == units[7]
    ks = [unit.power_w_per_v2_mhz for unit in units]
    mean = sum(ks) / len(ks)
    spread = (sum((k - mean) ** 2 for k in ks) / len(ks)) ** 0.5 / mean
    assert mean == pytest.approx(0.0175, rel=0.02)
    assert spread == pytest.approx(0.08, rel=0.2)


def test_same_settings_same_trace() -> None:
    def trace() -> str:
        plant = hashing(Plant(PlantSettings(seed=3, spread=True)), 1.150, 525.0)
        return json.dumps([(plant.input_v(t), plant.die_c, plant.vr_c, plant.chip_w) for t in range(0, 300, 7)])

    assert trace() == trace()

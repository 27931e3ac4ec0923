"""When the guard stops a board: each limit, its time, and the name it gives the cause."""

from __future__ import annotations

import pytest

from controller.model import BoardSnapshot, Cause, FaultRecord, GuardState, PowerUp, Quality
from drivers.boards import BOARDS
from drivers.boards.board import Channel, CoreVoltage, FanDuty, Frequency, SweepWindow
from drivers.units import Megahertz, Ratio, Volts
from tests.unit.controller.guarding import Scene


def until_fault(scene: Scene, limit_s: float = 30.0, period_s: float = 0.2) -> tuple[Cause, str | None, str, float]:
    """Looks on until the guard trips. Returns cause, sensor, detail and the seconds it took."""
    began_s = scene.at_s
    while scene.at_s - began_s < limit_s:
        fault = scene.look(period_s)
        if fault is not None:
            return fault.cause, fault.sensor, fault.detail, round(scene.at_s - began_s, 3)
    raise AssertionError(f"no fault within {limit_s} s")


@pytest.mark.parametrize(
    ("channel", "value", "cause", "after_s"),
    [
        (Channel.CHIP_C, 75.1, Cause.CHIP_TEMPERATURE, 1.2),
        (Channel.CHIP_C, 85.1, Cause.CHIP_TEMPERATURE, 0.2),
        (Channel.VR_C, 105.1, Cause.VR_TEMPERATURE, 1.2),
        (Channel.VR_C, 120.1, Cause.VR_TEMPERATURE, 0.2),
        (Channel.POWER_W, 29.5, Cause.POWER, 2.2),
        (Channel.POWER_W, 40.1, Cause.POWER, 0.4),
        (Channel.CORE_A, 28.1, Cause.CURRENT, 0.8),
        (Channel.INPUT_V, 4.59, Cause.INPUT_LOW, 0.4),
        (Channel.INPUT_V, 5.51, Cause.INPUT_HIGH, 0.4),
        (Channel.CORE_V, 1.401, Cause.CORE_VOLTAGE, 0.2),
        (Channel.CORE_V, 1.250, Cause.CORE_VOLTAGE, 0.4),
        (Channel.CORE_V, 1.030, Cause.CORE_VOLTAGE, 0.8),
    ],
)
def test_each_limit_trips_after_its_time_and_names_its_sensor(
    channel: Channel, value: float, cause: Cause, after_s: float
) -> None:
    scene = Scene().live()
    for _ in range(10):
        assert scene.look() is None
    scene.values[channel] = value
    found, sensor, detail, took_s = until_fault(scene)
    assert (found, sensor, took_s) == (cause, channel.value, after_s)
    assert f"{value:.3f}" in detail


@pytest.mark.parametrize(
    ("channel", "value"),
    [(Channel.CHIP_C, 75.0), (Channel.VR_C, 105.0), (Channel.POWER_W, 29.4), (Channel.CORE_A, 28.0)],
)
def test_a_limit_itself_is_allowed_for_ever(channel: Channel, value: float) -> None:
    scene = Scene().live()
    scene.values[channel] = value
    for _ in range(100):
        assert scene.look() is None


def test_a_short_excursion_does_not_trip_and_does_not_add_to_the_next_one() -> None:
    scene = Scene().live()
    for _ in range(5):
        assert scene.look(chip_c=76.0) is None
        for _ in range(3):
            assert scene.look(chip_c=76.0) is None
        assert scene.look(chip_c=74.0) is None


def test_a_stale_or_doubtful_sample_does_not_feed_a_trip() -> None:
    scene = Scene().live()
    assert scene.look(chip_c=76.0) is None
    scene.taken_at_s[Channel.CHIP_C] = scene.at_s
    for _ in range(8):
        assert scene.look() is None
    del scene.taken_at_s[Channel.CHIP_C]
    scene.quality[Channel.CHIP_C] = Quality.SUSPECT
    for _ in range(20):
        assert scene.look(chip_c=90.0) is None


# --- what a chip says of its own heat ---------------------------------------------------------------------------------


def says_itself(scene: Scene, die_c: float | None, at_s: float | None = None) -> FaultRecord | None:
    """A look in which the chip's own thermometer was read at `at_s`, now unless given."""
    scene.at_s += 15.0
    now = scene.now()
    chain = now.chains[0]
    chip = chain.chips[0].model_copy(update={"die_c": die_c, "die_at_s": scene.at_s if at_s is None else at_s})
    chains = (chain.model_copy(update={"chips": (chip,)}),)
    return scene.guard.watch(now.model_copy(update={"chains": chains}))


def test_a_chip_that_calls_itself_too_hot_twice_in_a_row_trips() -> None:
    scene = Scene().live()
    for die_c in (85.1, 84.9, 85.1, None, 85.0):
        assert says_itself(scene, die_c) is None
    assert says_itself(scene, 85.1) is None
    fault = says_itself(scene, 92.0)
    assert fault is not None
    assert (fault.cause, fault.sensor) == (Cause.CHIP_TEMPERATURE, None)
    assert fault.detail == "chip 0 reads 92.0 C itself, 2 times in a row: above 85 C"


def test_one_reading_of_a_chip_that_is_seen_twice_is_one() -> None:
    scene = Scene().live()
    read_s = scene.at_s + 15.0
    for _ in range(3):
        assert says_itself(scene, 90.0, read_s) is None


def test_a_new_start_forgets_what_a_chip_said_before() -> None:
    scene = Scene().live()
    assert says_itself(scene, 90.0) is None
    scene.guard.went_safe(scene.at_s)
    scene.live()
    assert says_itself(scene, 90.0) is None
    assert says_itself(scene, 90.0) is not None


# --- regulator status -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "cause", "text"),
    [
        (0x8821, Cause.REGULATOR_FAULT, "VOUT_OV_FAULT"),
        (0x4850, Cause.REGULATOR_FAULT, "IOUT_OC_FAULT"),
        (0x0844, Cause.VR_TEMPERATURE, "over-temperature"),
        (0x0848, Cause.INPUT_LOW, "VIN_UV_FAULT"),
        (0x8841, Cause.REGULATOR_FAULT, "off by its own limit of the output"),
        (0x0840, Cause.REGULATOR_OFF, "no cause given"),
    ],
)
def test_a_fault_bit_or_an_output_that_is_off_trips_at_once(word: int, cause: Cause, text: str) -> None:
    scene = Scene().live()
    scene.look(input_v=5.1)
    fault = scene.look(input_v=5.3, status_word=float(word))
    assert (fault.cause, fault.sensor) == (cause, "status_word")
    assert text in fault.detail


@pytest.mark.parametrize(("word", "cause"), [(0x0848, Cause.INPUT_LOW), (0x0840, Cause.SENSOR_INVALID)])
def test_an_input_that_reads_nothing_before_the_rail_is_on_is_no_broken_sensor_where_the_regulator_bears_it_out(
    word: int, cause: Cause
) -> None:
    """Gamma, SEED=5 ONLY=8021."""
    scene = Scene().safe()
    scene.guard.judge(PowerUp(), scene.now())
    scene.guard.started()
    scene.quality[Channel.INPUT_V] = Quality.INVALID
    scene.taken_at_s[Channel.INPUT_V] = scene.at_s
    fault = scene.look(status_word=float(word))
    assert (fault.cause, fault.sensor) == (cause, "input_v")


def test_off_with_no_fault_bit_is_blamed_on_the_supply_when_the_input_sagged_within_the_last_second() -> None:
    scene = Scene().live()
    assert scene.look(input_v=4.70) is None
    fault = scene.look(input_v=5.3, status_word=float(0x0840))
    assert fault.cause is Cause.INPUT_LOW
    later = Scene().live()
    assert later.look(input_v=4.70) is None
    for _ in range(6):
        assert later.look(input_v=5.3) is None
    assert later.look(input_v=5.4, status_word=float(0x0840)).cause is Cause.REGULATOR_OFF


def test_an_input_that_does_not_recover_when_the_load_is_gone_is_what_gave_way() -> None:
    scene = Scene().live()
    assert scene.look(input_v=5.1) is None
    fault = scene.look(input_v=5.12, status_word=float(0x0840))
    assert fault.cause is Cause.INPUT_LOW
    assert "5.100 V with the load and 5.120 V without it" in fault.detail
    said = Scene().live()
    assert said.look(input_v=5.1) is None
    assert said.look(input_v=5.12, status_word=float(0x8841)).cause is Cause.REGULATOR_FAULT
    sagged = Scene().live()
    assert sagged.look(input_v=4.70) is None
    assert sagged.look(input_v=5.12, status_word=float(0x8841)).cause is Cause.INPUT_LOW
    healthy = Scene().live()
    assert healthy.look(input_v=5.1) is None
    assert healthy.look(input_v=5.25, status_word=float(0x0840)).cause is Cause.REGULATOR_OFF


def test_of_a_light_load_an_input_that_does_not_recover_says_nothing() -> None:
    """A regulator that goes off while its chip is still in reset has nothing to give back."""
    for watts, cause in ((6.9, Cause.REGULATOR_OFF), (7.0, Cause.INPUT_LOW)):
        scene = Scene().live()
        assert scene.look(input_v=5.188, core_w=watts) is None
        assert scene.look(input_v=5.203, core_w=0.0, status_word=float(0x0840)).cause is cause
    scene = Scene().live()
    assert scene.look(input_v=5.188) is None
    assert scene.look(input_v=5.19, core_w=2.0) is None, "what it was under the load before is no measure any more"
    assert scene.look(input_v=5.203, core_w=0.0, status_word=float(0x0840)).cause is Cause.REGULATOR_OFF


def test_on_12_v_an_input_that_rises_by_a_little_has_not_given_way() -> None:
    """0.02 ohm and 20 W make 30 mV: an input_low could come back by itself, a regulator_off must not."""
    for watts, after_v, cause in (
        (20.0, 12.281, Cause.REGULATOR_OFF),
        (20.0, 12.10, Cause.INPUT_LOW),
        (19.9, 12.10, Cause.REGULATOR_OFF),
    ):
        scene = Scene(BOARDS["emberone00"].envelope)
        scene.guard.state, scene.guard.commanded.rail_on = GuardState.LIVE, True
        scene.values[Channel.CORE_W] = watts
        assert scene.guard._trips.watch(shown(scene, 12.250, 0x0000), scene.guard.commanded) is None
        fault = scene.guard._trips.watch(shown(scene, after_v, 0x0840), scene.guard.commanded)
        assert fault is not None
        assert fault.cause is cause


def shown(scene: Scene, input_v: float, status: int) -> BoardSnapshot:
    scene.at_s += 0.2
    scene.values |= {Channel.INPUT_V: input_v, Channel.STATUS_WORD: float(status), Channel.CORE_V: None}
    return scene.now()


def test_off_while_the_input_is_above_its_level_is_blamed_on_the_input() -> None:
    scene = Scene().live()
    assert scene.look(input_v=5.2) is None
    fault = scene.look(input_v=7.0, status_word=float(0x2841))
    assert fault.cause is Cause.INPUT_HIGH
    assert "input 7.00 V, above 5.5 V" in fault.detail
    believed = Scene().live()
    assert believed.look(input_v=5.2) is None
    believed.quality[Channel.INPUT_V] = Quality.SUSPECT
    assert believed.look(input_v=7.0, status_word=float(0x2841)).cause is Cause.REGULATOR_OFF


def test_a_temperature_warning_bit_alone_is_left_to_the_temperature_rules() -> None:
    scene = Scene().live()
    for _ in range(20):
        assert scene.look(status_word=float(0x0004)) is None


def test_off_is_normal_while_the_rail_is_commanded_off() -> None:
    scene = Scene().safe()
    for _ in range(20):
        assert scene.look(status_word=float(0x0840)) is None


# --- sensors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "after_s"),
    [
        (Channel.CHIP_C, 2.0),
        (Channel.VR_C, 2.0),
        (Channel.INPUT_V, 2.0),
        (Channel.CORE_A, 2.0),
        (Channel.FAN_RPM, 5.0),
    ],
)
def test_a_silent_sensor_trips_when_its_last_value_is_too_old(channel: Channel, after_s: float) -> None:
    scene = Scene().live()
    scene.taken_at_s[channel] = scene.at_s
    scene.quality[channel] = Quality.SUSPECT
    cause, sensor, _, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.SENSOR_STALE, channel.value, after_s)


def test_a_sensor_that_talks_nonsense_trips_as_soon_as_it_is_invalid() -> None:
    scene = Scene().live()
    scene.taken_at_s[Channel.CHIP_C] = scene.at_s
    scene.quality[Channel.CHIP_C] = Quality.INVALID
    cause, sensor, _, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.SENSOR_INVALID, "chip_c", 0.2)


def test_a_silent_bus_is_called_a_bus_fault_and_never_over_temperature() -> None:
    scene = Scene().live()
    scene.values[Channel.CHIP_C] = 74.9
    scene.look()
    for channel in list(scene.values):
        scene.taken_at_s[channel] = scene.at_s
        scene.quality[channel] = Quality.SUSPECT
    cause, sensor, _, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.SENSOR_BUS, None, 2.0)


def test_a_sensor_that_the_board_does_not_measure_at_all_is_a_fault() -> None:
    scene = Scene().live()
    del scene.values[Channel.VR_C]
    fault = scene.look()
    assert (fault.cause, fault.sensor) == (Cause.SENSOR_STALE, "vr_c")


def test_a_power_that_is_fresh_and_not_to_be_accepted_is_a_fault_of_the_power_and_of_no_sensor() -> None:
    scene = Scene().live()
    scene.values[Channel.CORE_W] = 19.0
    scene.quality[Channel.CORE_W] = Quality.INVALID
    fault = scene.look()
    assert (fault.cause, fault.sensor) == (Cause.POWER, "core_w")


def test_a_power_that_is_unknown_because_its_sensors_are_is_no_fault_of_its_own() -> None:
    scene = Scene().live()
    scene.values[Channel.CORE_W] = 12.0
    scene.quality[Channel.CORE_W] = Quality.INVALID
    scene.taken_at_s[Channel.CORE_W] = scene.at_s - 2.0
    assert scene.look() is None


# --- fan --------------------------------------------------------------------------------------------------------------


def test_a_fan_that_stops_under_load_trips_after_3_s() -> None:
    scene = Scene().live()
    scene.values[Channel.FAN_RPM] = 300.0
    cause, sensor, detail, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.FAN, "fan_rpm", 3.2)
    assert "300 rpm is below 1560 rpm" in detail


def test_a_slow_fan_is_excused_only_by_a_power_that_is_known_to_be_small() -> None:
    scene = Scene().live()
    for _ in range(30):
        assert scene.look(fan_rpm=300.0, power_w=9.0) is None
    scene.quality[Channel.POWER_W] = Quality.INVALID
    assert until_fault(scene)[0] is Cause.FAN


# --- actuation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "value"),
    [(Channel.FREQUENCY_MHZ, 518.75), (Channel.RESET_RELEASED, 0.0), (Channel.FAN_RATIO, 0.5)],
)
def test_an_actuator_that_reads_back_something_else_twice_is_a_fault(channel: Channel, value: float) -> None:
    scene = Scene().live()
    scene.values[channel] = value
    cause, sensor, _, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.ACTUATION, channel.value, 0.4)


def coarse(wish: Megahertz) -> Megahertz:
    """A clock that has no 520 MHz."""
    return Megahertz(512.5) if wish == 520.0 else wish


def test_a_clock_is_held_to_what_it_can_give_for_what_it_was_told() -> None:
    """A way down may end on a step of the slew that the clock gives only coarsely."""
    scene = Scene(realise=coarse).live()
    scene.take(Frequency(Megahertz(520.0)))
    assert scene.look(1.0, frequency_mhz=512.5) is None
    for _ in range(5):
        assert scene.look(frequency_mhz=512.5) is None
    scene.values[Channel.FREQUENCY_MHZ] = 520.0
    cause, sensor, detail, _ = until_fault(scene)
    assert (cause, sensor) == (Cause.ACTUATION, "frequency_mhz")
    assert "commanded 512.5, reads 520" in detail


def test_a_voltage_write_that_does_not_arrive_within_a_second_is_a_fault() -> None:
    scene = Scene().live()
    scene.look(2.0)
    scene.take(CoreVoltage(Volts(1.060)))
    scene.take(CoreVoltage(Volts(1.000)))
    cause, sensor, _, _ = until_fault(scene)
    assert cause in (Cause.ACTUATION, Cause.CORE_VOLTAGE)
    assert sensor == "core_v"


def test_read_backs_are_not_held_against_a_step_that_is_under_way() -> None:
    scene = Scene().live()
    scene.take(SweepWindow(Megahertz(531.25)))
    scene.guard.permit(Frequency(Megahertz(531.25)), scene.now())
    for _ in range(5):
        assert scene.look(frequency_mhz=531.25) is None
    scene.guard.applied(Frequency(Megahertz(531.25)), scene.at_s)
    for _ in range(5):
        assert scene.look() is None


def test_a_fan_that_follows_its_own_table_is_not_held_to_a_duty() -> None:
    scene = Scene().live()
    scene.take(FanDuty(Ratio(0.6)))
    for _ in range(5):
        assert scene.look(fan_ratio=0.6, fan_rpm=3700.0) is None


# --- off --------------------------------------------------------------------------------------------------------------


def test_a_rail_that_is_up_although_it_is_commanded_off_is_a_fault() -> None:
    scene = Scene().safe()
    scene.values[Channel.CORE_V] = 1.1
    cause, sensor, _, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.ACTUATION, "core_v", 2.2)


def test_a_reset_that_reads_released_on_a_safe_board_is_a_fault() -> None:
    scene = Scene().safe()
    scene.values[Channel.RESET_RELEASED] = 1.0
    cause, sensor, _, _ = until_fault(scene)
    assert (cause, sensor) == (Cause.ACTUATION, "reset_released")


OFF_WORD, OVER_WORD = float(0x0840), float(0x8860)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x8860, "VOUT_OV_FAULT"),
        (0x0850, "IOUT_OC_FAULT"),
        (0x8840, "VOUT"),  # its output stays too low: SEED=10 ONLY=5451
    ],
)
def test_a_regulator_whose_own_limit_cuts_its_starts_short_while_it_is_off_is_a_fault(word: int, text: str) -> None:
    """Gamma, SEED=9 ONLY=7130: it had lost its supply, came back with another voltage, and read 0 V in every sweep."""
    scene = Scene().safe()
    for _ in range(5):
        assert scene.look(status_word=OFF_WORD) is None
    scene.values[Channel.STATUS_WORD] = float(word)
    cause, sensor, detail, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.ACTUATION, "status_word", 2.2)
    assert text in detail


def test_what_the_regulator_said_before_it_was_off_or_says_for_a_moment_is_no_start() -> None:
    scene = Scene().safe()
    for _ in range(30):
        assert scene.look(status_word=OVER_WORD) is None  # it is why the board is off
    for _ in range(10):
        assert scene.look(status_word=OFF_WORD) is None
    for _ in range(9):
        assert scene.look(status_word=OVER_WORD) is None
    assert scene.look(status_word=OFF_WORD) is None
    for _ in range(9):
        assert scene.look(status_word=OVER_WORD) is None
    scene.guard.went_safe(scene.at_s)
    for _ in range(30):
        assert scene.look(status_word=OVER_WORD) is None


def test_a_word_from_before_the_board_was_off_says_nothing_of_after() -> None:
    scene = Scene().safe()
    scene.guard.went_safe(scene.at_s)
    scene.values[Channel.STATUS_WORD] = OFF_WORD
    scene.taken_at_s[Channel.STATUS_WORD] = scene.at_s + 0.05
    assert scene.look() is None
    del scene.taken_at_s[Channel.STATUS_WORD]
    for _ in range(30):
        assert scene.look(status_word=OVER_WORD) is None


def test_a_status_word_that_contradicts_itself_while_the_regulator_answers_is_a_fault() -> None:
    scene = Scene().safe()
    assert scene.look() is None
    scene.quality[Channel.STATUS_WORD] = Quality.INVALID
    scene.taken_at_s[Channel.STATUS_WORD] = scene.at_s
    cause, sensor, detail, took_s = until_fault(scene)
    assert (cause, sensor, took_s) == (Cause.ACTUATION, "status_word", 2.0)
    assert detail.startswith("no status word for 2.0 s although the regulator answers")


@pytest.mark.parametrize("how", ["doubtful", "silent"])
def test_a_regulator_that_tells_nothing_at_all_while_it_is_off_has_lost_its_supply(how: str) -> None:
    scene = Scene().safe()
    assert scene.look() is None
    for channel in (Channel.STATUS_WORD, Channel.CORE_V):
        scene.taken_at_s[channel] = scene.at_s
        if how == "doubtful" or channel is Channel.STATUS_WORD:
            scene.quality[channel] = Quality.SUSPECT
    for _ in range(50):
        assert scene.look() is None


def test_watching_alone_does_not_latch() -> None:
    scene = Scene().live()
    scene.values[Channel.CHIP_C] = 90.0
    assert scene.look() is not None
    assert scene.guard.state is GuardState.LIVE
    assert scene.guard.fault is None


@pytest.mark.parametrize(("watts", "after_s"), [(41.0, 0.2), (29.6, 2.0)])
def test_measured_input_power_trips_as_reported_power_does(watts: float, after_s: float) -> None:
    scene = Scene().live()
    held_s, fault = -0.2, None
    while fault is None and held_s < 5.0:
        fault = scene.look(input_w=watts)
        held_s += 0.2
    assert fault is not None
    assert (fault.cause, fault.sensor) == (Cause.POWER, "input_w")
    assert held_s == pytest.approx(after_s, abs=0.01)

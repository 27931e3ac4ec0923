"""The fan controller as an I2C target: diode, tachometer, true duty, and the table that needs no host."""

from __future__ import annotations

import statistics

import pytest

from emulator.parts.emc2101 import Emc2101, Surroundings


class Bench:
    def __init__(self) -> None:
        self.chip_c, self.board_c, self.rpm = 60.0, 40.0, 0.0
        self.now_s = 10.0
        self.duties: list[float] = []
        self.part = Emc2101(
            look=self.look, drive=lambda duty, at_s: self.duties.append(duty), seed=1, right_diode=(0x24, 0x00)
        )

    def look(self, at_s: float) -> Surroundings:
        return Surroundings(self.chip_c, self.board_c, self.rpm)

    def write(self, *writes: str) -> None:
        for one in writes:
            assert self.part.write(bytes.fromhex(one), self.now_s)

    def read(self, register: int) -> int:
        answer = self.part.write_read(bytes((register,)), 1, self.now_s)
        assert answer is not None
        return answer[0]

    def external_c(self) -> float:
        high, low = self.read(0x01), self.read(0x10)
        word = (high << 8 | low) >> 5
        return (word - 2048 * (word > 1023)) * 0.125

    def mean_c(self) -> float:
        readings = []
        for _ in range(100):
            self.wait(0.1)
            readings.append(self.external_c())
        return statistics.mean(readings)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now_s += 0.05
            self.part.tick(self.now_s, self.look(self.now_s))

    @property
    def duty(self) -> float:
        return self.part.duty


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_reset_values_are_those_of_the_part(bench: Bench) -> None:
    expected = {
        0x03: 0x00,
        0x04: 0x08,
        0x05: 0x46,
        0x07: 0x46,
        0x16: 0xA4,
        0x17: 0x12,
        0x18: 0x08,
        0x19: 0x55,
        0x21: 0x0A,
        0x48: 0xFF,
        0x49: 0xFF,
        0x4A: 0x20,
        0x4B: 0x3F,
        0x4C: 0x00,
        0x4D: 0x17,
        0x4E: 0x01,
        0x4F: 0x04,
        0xFD: 0x16,
        0xFE: 0x5D,
    }
    assert {register: bench.read(register) for register in expected} == expected
    assert bench.duty == 0.0


def test_registers_have_their_second_addresses(bench: Bench) -> None:
    bench.write("09 04")
    assert bench.read(0x03) == 0x04
    assert bench.read(0x09) == 0x04


@pytest.mark.parametrize(("setting", "duty"), [(0x0F, 15 / 46), (0x17, 0.5), (0x1F, 31 / 46), (0x2E, 1.0), (0x3F, 1.0)])
def test_full_scale_is_twice_the_pwm_frequency_register(bench: Bench, setting: int, duty: float) -> None:
    bench.write("4B 00", f"4C {setting:02X}")
    assert bench.duty == pytest.approx(duty)
    assert bench.read(0x4C) == setting
    bench.write("4D 1F")
    assert bench.duty == pytest.approx(min(1.0, setting / 62))


def test_a_fan_that_stood_still_is_kicked_and_then_let_go(bench: Bench) -> None:
    bench.write("03 04", "4C 0F")
    assert bench.duty == 1.0
    bench.wait(1.0)
    assert bench.duty == 1.0, "it does not turn yet"
    bench.rpm = 800.0
    bench.wait(0.1)
    assert bench.duty == pytest.approx(15 / 46)
    bench.write("4C 00", "4B 1F", "4C 0F")
    bench.wait(3.0)
    assert bench.duty == 1.0
    bench.wait(0.3)
    assert bench.duty == pytest.approx(15 / 46)


def test_the_tachometer_needs_its_pin_and_latches_its_high_byte(bench: Bench) -> None:
    bench.rpm = 3600.0
    assert bench.read(0x46) | bench.read(0x47) << 8 == 0xFFFF
    bench.write("03 04")
    low, bench.rpm = bench.read(0x46), 1800.0
    assert low | bench.read(0x47) << 8 == pytest.approx(1500, rel=0.01)
    bench.rpm = 0.0
    assert bench.read(0x46) | bench.read(0x47) << 8 == 0xFFFF


def test_the_diode_of_the_chip_reads_true_only_with_its_own_ideality_and_beta(bench: Bench) -> None:
    bench.write("17 24", "18 00")
    assert bench.mean_c() == pytest.approx(60.0, abs=0.06)
    bench.write("17 12")
    assert bench.mean_c() == pytest.approx(67.8, abs=0.3)
    bench.write("17 24", "18 08")
    assert bench.mean_c() == pytest.approx(61.5, abs=0.06)


def test_readings_change_only_with_a_conversion_and_come_in_eighths(bench: Bench) -> None:
    bench.write("17 24", "18 00", "04 00")  # one conversion in 16 s
    first = bench.external_c()
    bench.now_s += 1.0
    assert bench.external_c() == first
    bench.now_s += 16.0
    assert bench.external_c() != first
    bench.write("04 08")
    readings = []
    for _ in range(400):
        bench.now_s += 0.0625
        readings.append(bench.external_c())
    assert all(reading * 8 == round(reading * 8) for reading in readings)
    assert statistics.stdev(readings) == pytest.approx(0.155, abs=0.03)


def test_an_open_diode_reads_127_and_sets_its_bit_a_short_reads_more_and_sets_none(bench: Bench) -> None:
    bench.part.diode = "open"
    bench.wait(0.1)
    assert (bench.read(0x01), bench.read(0x10)) == (0x7F, 0x00)
    assert bench.read(0x02) & 0x04
    bench.part.diode = "short"
    bench.wait(0.1)
    assert (bench.read(0x01), bench.read(0x10)) == (0x7F, 0xE0)
    bench.read(0x02)
    bench.wait(0.1)
    assert not bench.read(0x02) & 0x04


def test_status_is_cleared_by_reading_and_set_again_while_it_holds(bench: Bench) -> None:
    bench.chip_c = 90.0
    bench.write("17 24", "18 00")
    bench.wait(0.1)
    assert bench.read(0x02) & 0x12 == 0x12  # above the high limit of 70 and the critical 85
    bench.chip_c = 50.0
    bench.wait(0.1)
    bench.read(0x02)
    bench.wait(0.1)
    assert bench.read(0x02) == 0x00


def test_the_diode_babbles_for_half_a_second_after_reset_is_released(bench: Bench) -> None:
    bench.write("17 24", "18 00")
    bench.part.disturb(bench.now_s)
    readings = []
    for _ in range(8):
        bench.now_s += 0.0625
        readings.append(bench.external_c())
    assert statistics.stdev(readings[:7]) > 5.0
    bench.wait(0.1)
    assert bench.external_c() == pytest.approx(60.0, abs=1.0)


TABLE = ("4F 03", "50 00", "51 12", "52 32", "53 1C", "54 3C", "55 24", "56 41", "57 2E", "58 7F", "59 3F")


def test_the_table_is_writable_only_while_it_does_not_drive(bench: Bench) -> None:
    bench.write("4A 00", "52 32", "4C 20")
    assert bench.read(0x52) == 0x7F
    bench.write("4A 20", *TABLE, "4C 20")
    assert bench.read(0x52) == 0x32
    assert bench.read(0x53) == 0x1C
    assert bench.read(0x4C) == 0x20


def test_the_table_moves_the_fan_with_the_chip_and_without_a_host(bench: Bench) -> None:
    bench.write("17 24", "18 00", "4B 00", *TABLE, "4A 00")
    bench.chip_c = 40.0
    bench.wait(1.0)
    assert bench.duty == pytest.approx(0x12 / 46)
    assert bench.read(0x4C) == 0x12, "shows what the table drives"
    bench.chip_c = 61.0
    bench.wait(1.0)
    assert bench.duty == pytest.approx(0x24 / 46)
    bench.chip_c = 58.5
    bench.wait(1.0)
    assert bench.duty == pytest.approx(0x24 / 46), "within the hysteresis"
    bench.chip_c = 56.0
    bench.wait(1.0)
    assert bench.duty == pytest.approx(0x1C / 46)
    bench.part.diode = "open"
    bench.wait(0.1)
    assert bench.duty == 1.0, "127 C is above every entry"


def test_going_back_to_the_direct_setting_takes_the_value_that_was_there(bench: Bench) -> None:
    bench.write("4B 00", "4C 2E", *TABLE, "4A 00")
    bench.wait(0.2)
    bench.write("4A 20")
    assert bench.duty == 1.0
    assert bench.read(0x4C) == 0x2E


def test_above_its_critical_limit_the_fan_is_full_whatever_drives_it(bench: Bench) -> None:
    bench.write("17 24", "18 00", "4B 00", "4C 0F")
    bench.chip_c = 87.0
    bench.wait(0.1)
    assert bench.duty == 1.0
    bench.chip_c = 78.0
    bench.wait(0.5)
    assert bench.duty == 1.0, "within the hysteresis of 10 C"
    bench.chip_c = 73.0
    bench.wait(0.5)
    assert bench.duty == pytest.approx(15 / 46)


def test_the_critical_limit_can_be_written_once_and_only_when_permitted(bench: Bench) -> None:
    bench.write("19 46")
    assert bench.read(0x19) == 0x55
    bench.write("03 02", "19 46", "19 50")
    assert bench.read(0x19) == 0x46


def test_both_bytes_of_a_temperature_are_of_one_conversion(bench: Bench) -> None:
    bench.write("17 24", "18 00")
    high = bench.read(0x01)
    bench.chip_c = 30.0
    bench.now_s += 1.0
    low = bench.read(0x10)
    assert high * 8 + (low >> 5) == pytest.approx(60 * 8, abs=8)
    assert bench.external_c() == pytest.approx(30.0, abs=1.0)


def test_the_variant_for_which_the_board_was_drawn_has_another_product_id() -> None:
    part = Emc2101(look=lambda at_s: Surroundings(25.0, 25.0, 0.0), drive=lambda *_: None, seed=1, product="EMC2101-R")
    assert part.write_read(bytes((0xFD,)), 1, 1.0) == b"\x28"


def test_a_forced_temperature_drives_the_table_for_a_test(bench: Bench) -> None:
    bench.write("4B 00", *TABLE, "0C 42", "4A 40")
    bench.wait(0.1)
    assert bench.duty == 1.0
    bench.write("0C 10")
    bench.wait(0.1)
    assert bench.duty == pytest.approx(0x12 / 46)

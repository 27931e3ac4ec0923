"""The diode thermometer as an I2C target: where registers are read and written, ranges, limits, and one shot."""

from __future__ import annotations

import pytest

from emulator.parts.tmp451 import Tmp451, Warmth


class Bench:
    def __init__(self) -> None:
        self.warmth = Warmth(35.0, 60.0)
        self.now_s = 1.0
        self.looks = 0
        self.part = Tmp451(look=self.look, seed=1)

    def look(self, at_s: float) -> Warmth:
        self.looks += 1
        return self.warmth

    def read(self, register: int) -> int:
        answer = self.part.write_read(bytes([register]), 1, self.now_s)
        assert answer is not None
        return answer[0]

    def write(self, *writes: str) -> None:
        for one in writes:
            assert self.part.write(bytes.fromhex(one), self.now_s)

    def remote_c(self, seconds: float = 0.1) -> float:
        self.now_s += seconds
        return self.read(0x01) + self.read(0x10) / 256

    def local_c(self, seconds: float = 0.1) -> float:
        self.now_s += seconds
        return self.read(0x00) + self.read(0x15) / 256


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_reset_values_are_those_of_the_part(bench: Bench) -> None:
    expected = {
        0x02: 0x00,
        0x03: 0x00,
        0x04: 0x08,
        0x05: 0x55,
        0x06: 0x00,
        0x07: 0x55,
        0x08: 0x00,
        0x11: 0x00,
        0x12: 0x00,
        0x19: 0x6C,
        0x20: 0x55,
        0x21: 0x0A,
        0x23: 0x00,
        0xFE: 0x55,
    }
    assert {register: bench.read(register) for register in expected} == expected


@pytest.mark.parametrize(("write", "read"), [(0x09, 0x03), (0x0A, 0x04), (0x0B, 0x05), (0x0C, 0x06), (0x0E, 0x08)])
def test_what_is_written_elsewhere_cannot_be_written_where_it_is_read(bench: Bench, write: int, read: int) -> None:
    before = bench.read(read)
    bench.write(f"{read:02X} 04")
    assert bench.read(read) == before
    bench.write(f"{write:02X} 04")
    assert bench.read(read) == 0x04


def test_unused_bits_and_read_only_registers_stay(bench: Bench) -> None:
    bench.write("09 BF", "0A FF", "12 FF", "FE 00", "01 00")
    assert [bench.read(register) for register in (0x03, 0x04, 0x12, 0xFE)] == [0xA4, 0x0F, 0xF0, 0x55]


def test_both_temperatures_are_sixteenths_in_the_standard_range(bench: Bench) -> None:
    assert bench.remote_c() == pytest.approx(60.0, abs=0.4)
    assert bench.local_c() == pytest.approx(35.0, abs=0.4)
    bench.warmth = Warmth(-10.0, 140.0)
    assert bench.remote_c() == 127.9375
    assert bench.local_c() == 0.0


def test_the_extended_range_is_64_more(bench: Bench) -> None:
    bench.write("09 04")
    assert bench.remote_c() == pytest.approx(124.0, abs=0.4)
    bench.warmth = Warmth(-25.0, -80.0)
    assert bench.local_c() == pytest.approx(39.0, abs=0.4)
    assert bench.remote_c() == 0.0


def test_an_offset_moves_the_remote_one_alone(bench: Bench) -> None:
    bench.write("11 F9", "12 80")
    assert bench.remote_c() == pytest.approx(53.5, abs=0.4)
    assert bench.local_c() == pytest.approx(35.0, abs=0.4)


def test_an_ideality_that_does_not_fit_bends_the_remote_one(bench: Bench) -> None:
    bench.write("23 15")  # n = 0.998
    assert bench.remote_c() == pytest.approx(60.0 + 333.15 * 21 / 2088, abs=0.4)


def test_the_low_byte_is_that_of_the_high_byte_before_it(bench: Bench) -> None:
    bench.remote_c()
    high = bench.read(0x01)
    bench.warmth = Warmth(35.0, 80.0)
    bench.now_s += 0.1
    assert high + bench.read(0x10) / 256 == pytest.approx(60.0, abs=0.4)
    assert bench.read(0x01) == pytest.approx(80, abs=1)


@pytest.mark.parametrize(("rate", "period_s"), [(0x04, 1.0), (0x08, 0.0625), (0x09, 0.03125), (0x0F, 0.03125)])
def test_it_measures_as_often_as_its_rate_says(bench: Bench, rate: int, period_s: float) -> None:
    bench.write(f"0A {rate:02X}")
    bench.now_s = 100.0 + period_s / 8
    bench.read(0x00)
    bench.looks = 0
    for _ in range(40):
        bench.now_s += period_s / 4
        bench.read(0x00)
    assert bench.looks == 10


def test_asleep_it_measures_once_when_it_is_told_to_and_is_busy_meanwhile(bench: Bench) -> None:
    bench.remote_c()
    bench.write("09 40")
    bench.warmth = Warmth(35.0, 80.0)
    assert bench.remote_c(5.0) == pytest.approx(60.0, abs=0.4)
    bench.write("0F 00")
    assert bench.read(0x02) & 0x80
    assert bench.remote_c(0.02) == pytest.approx(60.0, abs=0.4)
    assert bench.remote_c(0.02) == pytest.approx(80.0, abs=0.4)
    assert not bench.read(0x02) & 0x80
    bench.warmth = Warmth(35.0, 90.0)
    assert bench.remote_c(5.0) == pytest.approx(80.0, abs=0.4)


def test_awake_one_shot_does_nothing(bench: Bench) -> None:
    bench.write("0F 00")
    assert not bench.read(0x02) & 0x80


@pytest.mark.parametrize(
    ("warmth", "status"),
    [
        (Warmth(35.0, 60.0), 0x00),
        (Warmth(35.0, 90.0), 0x10),
        (Warmth(90.0, 60.0), 0x41),
        (Warmth(35.0, 112.0), 0x12),
        (Warmth(-5.0, -5.0), 0x28),
    ],
)
@pytest.mark.parametrize("extended", [False, True])
def test_limits_are_told_in_either_range(bench: Bench, warmth: Warmth, status: int, extended: bool) -> None:
    if extended:  # the limits are in the same format
        bench.write("09 04", "0B 95", "0C 40", "0D 95", "0E 40", "19 AC", "20 95")
    bench.read(0x02)
    bench.warmth = warmth
    bench.now_s += 0.1
    assert bench.read(0x02) == status
    bench.warmth = Warmth(35.0, 60.0)
    bench.now_s += 0.1
    assert bench.read(0x02) == 0x00


def test_an_event_stays_until_it_is_read_and_therm_until_it_is_cooler_by_the_hysteresis(bench: Bench) -> None:
    bench.read(0x02)
    bench.warmth = Warmth(35.0, 112.0)
    bench.remote_c()
    bench.warmth = Warmth(35.0, 100.0)
    bench.remote_c()
    assert bench.read(0x02) == 0x12
    assert bench.read(0x02) == 0x02
    bench.warmth = Warmth(35.0, 97.0)
    bench.remote_c()
    assert bench.read(0x02) & 0x02 == 0x00


def test_an_open_diode_sets_its_bit_and_shows_what_it_showed(bench: Bench) -> None:
    before = bench.remote_c()
    bench.part.diode = "open"
    bench.warmth = Warmth(35.0, 100.0)
    assert bench.remote_c() == before
    assert bench.read(0x02) & 0x04
    assert bench.read(0x02) & 0x04
    bench.part.diode = "ok"
    bench.remote_c()
    bench.read(0x02)
    assert not bench.read(0x02) & 0x04


def test_a_shorted_diode_is_as_cold_as_can_be_shown(bench: Bench) -> None:
    bench.part.diode = "short"
    assert bench.remote_c() == 0.0
    assert not bench.read(0x02) & 0x04

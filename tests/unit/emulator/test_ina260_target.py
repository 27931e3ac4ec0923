"""The power meter as an I2C target: words high byte first, measured in its own time."""

from __future__ import annotations

import statistics

import pytest

from emulator.parts.ina260 import Ina260, Line


class Bench:
    def __init__(self) -> None:
        self.line = Line(5.0, 2.0)
        self.looks = 0
        self.now_s = 1.0
        self.part = Ina260(look=self.look, seed=1)

    def look(self, at_s: float) -> Line:
        self.looks += 1
        return self.line

    def word(self, register: int, *, signed: bool = False) -> int:
        answer = self.part.write_read(bytes([register]), 2, self.now_s)
        assert answer is not None
        return int.from_bytes(answer, "big", signed=signed)

    def write(self, hex_bytes: str) -> None:
        assert self.part.write(bytes.fromhex(hex_bytes), self.now_s)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_reset_values_and_identity_are_those_of_the_part(bench: Bench) -> None:
    expected = {0x00: 0x6127, 0x07: 0x0000, 0xFE: 0x5449, 0xFF: 0x2270}
    assert {register: bench.word(register) for register in expected} == expected


def test_before_the_first_measurement_is_over_there_is_nothing_to_read(bench: Bench) -> None:
    bench.now_s = 0.0021
    assert [bench.word(register) for register in (1, 2, 3)] == [0, 0, 0]
    bench.now_s = 0.0022
    assert bench.word(2) == pytest.approx(4000, abs=5)
    assert bench.word(1) == pytest.approx(1600, rel=0.01)
    assert bench.word(3) == pytest.approx(1000, rel=0.01)


def test_one_measurement_is_repeated_until_the_next_is_over(bench: Bench) -> None:
    first = [bench.word(register) for register in (1, 2, 3)]
    bench.line = Line(4.0, 1.0)
    assert [bench.word(register) for register in (1, 2, 3)] == first
    assert bench.looks == 1
    bench.now_s += 0.0023
    assert bench.word(2) == pytest.approx(3200, abs=5)


def test_current_has_a_sign_and_power_has_none(bench: Bench) -> None:
    bench.line = Line(5.0, -2.0)
    assert bench.word(1, signed=True) == pytest.approx(-1600, rel=0.01)
    assert bench.word(3) == pytest.approx(1000, rel=0.01)


def test_what_is_beyond_the_registers_stands_at_their_end(bench: Bench) -> None:
    bench.line = Line(50.0, 60.0)
    assert [bench.word(register) for register in (1, 2, 3)] == [0x7FFF, 0x7FFF, 0xFFFF]
    assert bench.word(0x06) == 0x000C


def test_in_power_down_the_last_words_stay_and_a_trigger_gives_one_more(bench: Bench) -> None:
    before = bench.word(2)
    bench.write("00 61 20")
    assert bench.word(0) == 0x6120
    bench.line = Line(4.0, 1.0)
    bench.now_s += 5.0
    assert bench.word(2) == before
    bench.write("00 61 23")
    bench.now_s += 0.0023
    assert bench.word(2) == pytest.approx(3200, abs=5)
    bench.line = Line(6.0, 1.0)
    bench.now_s += 5.0
    assert bench.word(2) == pytest.approx(3200, abs=5)


def test_only_what_is_switched_on_is_measured(bench: Bench) -> None:
    bench.word(1)
    bench.write("00 61 25")
    bench.line = Line(4.0, 1.0)
    bench.now_s += 0.01
    assert bench.word(1) == pytest.approx(800, rel=0.01)
    assert bench.word(2) == pytest.approx(4000, abs=5)


def test_averages_take_longer_and_are_quieter(bench: Bench) -> None:
    def spread() -> float:
        found = []
        for _ in range(60):
            bench.now_s += 0.3
            found.append(bench.word(2))
        return statistics.pstdev(found)

    loud = spread()
    bench.write("00 69 27")  # 64 of them, 141 ms
    assert spread() < loud / 3
    before = bench.looks
    bench.now_s += 0.1
    bench.word(2)
    assert bench.looks <= before + 1


def test_fixed_bits_do_not_change_and_a_reset_takes_all_back(bench: Bench) -> None:
    bench.write("00 7F FF")
    assert bench.word(0) == 0x6FFF
    bench.write("06 FF FF")
    bench.write("07 12 34")
    assert bench.word(7) == 0x1234
    bench.write("00 80 00")
    assert [bench.word(register) for register in (0, 6, 7)] == [0x6127, 0, 0]


def test_reading_06_takes_the_ready_flag_away_until_the_next_measurement(bench: Bench) -> None:
    assert bench.word(6) == 0x0008
    assert bench.word(6) == 0x0000
    bench.now_s += 0.0023
    assert bench.word(6) == 0x0008


def test_identity_and_measurements_cannot_be_written_and_the_pointer_stays(bench: Bench) -> None:
    before = bench.word(2)
    for write in ("02 00 00", "FE 00 00", "02"):
        bench.write(write)
    assert bench.word(0xFE) == 0x5449
    bench.write("02")
    assert bench.part.read(2, bench.now_s) == before.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("channel", "register", "shown", "word"),
    [
        ("input_v", 2, 4.5, 3600),
        ("input_v", 2, 1600.0, 0xFFFF),
        ("input_v", 2, -183.0, 0x8000),
        ("input_v", 2, 80.88, 64704),
        ("input_a", 1, -0.5, 0xFE70),
        ("input_w", 3, 12.0, 1200),
    ],
)
def test_a_false_reading_is_shown_in_the_format_of_the_part(
    bench: Bench, channel: str, register: int, shown: float, word: int
) -> None:
    others = {1, 2, 3} - {register}
    before = {other: bench.word(other) for other in others}
    bench.part.tap = lambda name, value: shown if name == channel else value
    assert bench.word(register) == word
    assert {other: bench.word(other) for other in others} == before

"""The GPIO expander as an I2C target: what it takes to move a pin."""

from __future__ import annotations

import pytest

from emulator.parts.fxl6408 import Fxl6408
from tests.vectors import params, rows


class Bench:
    def __init__(self) -> None:
        self.outside: dict[int, bool] = {}
        self.moves: list[tuple[int, bool | None, float]] = []
        self.part = Fxl6408(
            drive=lambda pin, level, at_s: self.moves.append((pin, level, at_s)),
            outside=lambda pin, at_s: self.outside.get(pin),
        )

    def write(self, *writes: str, at_s: float = 1.0) -> None:
        for one in writes:
            assert self.part.write(bytes.fromhex(one), at_s)

    def read(self, register: int) -> int:
        answer = self.part.write_read(bytes([register]), 1, 1.0)
        assert answer is not None
        return answer[0]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("row", params(rows("peripherals", "reset_register")))
def test_reset_values_are_those_of_the_vectors(bench: Bench, row: dict[str, object]) -> None:
    assert bench.read(int(str(row["in"]), 16)) == int(str(row["out"]), 16)


def test_it_says_who_made_it_and_once_that_it_was_reset(bench: Bench) -> None:
    assert [bench.read(0x01), bench.read(0x01)] == [0xA2, 0xA0]
    bench.write("01 01")
    assert bench.read(0x01) == 0xA2


def test_a_pin_is_driven_when_it_is_an_output_and_not_high_impedance(bench: Bench) -> None:
    bench.write("05 02", "03 03")
    assert bench.moves == []
    bench.write("07 FC", at_s=2.0)
    assert bench.moves == [(0, False, 2.0), (1, True, 2.0)]
    bench.write("05 01", at_s=3.0)
    assert bench.moves[2:] == [(0, True, 3.0), (1, False, 3.0)]
    bench.write("03 01", at_s=4.0)
    assert bench.moves[4:] == [(1, None, 4.0)]


def test_a_reset_lets_go_of_every_pin(bench: Bench) -> None:
    bench.write("05 FF", "03 FF", "07 00")
    bench.moves.clear()
    bench.write("01 01", at_s=5.0)
    assert bench.moves == [(pin, None, 5.0) for pin in range(8)]
    assert bench.read(0x05) == 0x00
    assert bench.read(0x0F) == 0x00


def test_a_pin_that_is_not_driven_is_what_the_board_makes_of_it_or_the_pull(bench: Bench) -> None:
    bench.outside = {0: True, 1: False}
    bench.write("0D 0A")
    assert bench.read(0x0F) == 0b0000_1001
    bench.write("0B F7")
    assert bench.read(0x0F) == 0b0000_0001
    bench.write("03 02", "05 02", "07 FD")
    assert bench.read(0x0F) == 0b0000_0011


def test_unknown_registers_and_longer_writes_change_nothing(bench: Bench) -> None:
    bench.write("03 FF FF", "0F FF", "13 FF", "40 FF", "05")
    assert [bench.read(register) for register in (0x03, 0x0F, 0x13, 0x40)] == [0, 0, 0, 0]
    bench.write("07")
    assert bench.part.read(1, 1.0) == b"\xff"

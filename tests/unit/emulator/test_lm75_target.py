"""LM75 and its kin as I2C targets: bits, times, and the little that tells them apart."""

from __future__ import annotations

import pytest

from emulator.parts.lm75 import PRODUCTS, Lm75


class Bench:
    def __init__(self, product: str) -> None:
        self.celsius = 40.3
        self.now_s = 1.0
        self.looks = 0
        self.part = Lm75(look=self.look, seed=1, product=product, address=0x48)

    def look(self, at_s: float) -> float:
        self.looks += 1
        return self.celsius

    def read(self, pointer: int, count: int = 2) -> bytes:
        answer = self.part.write_read(bytes([pointer]), count, self.now_s)
        assert answer is not None
        return answer


@pytest.mark.parametrize("product", PRODUCTS)
def test_after_power_up_it_measures_and_its_limits_are_75_and_80(product: str) -> None:
    bench = Bench(product)
    assert bench.read(0x01, 1) == b"\x00"
    assert bench.read(0x02) == b"\x4b\x00"
    assert bench.read(0x03) == b"\x50\x00"
    assert bench.read(0x07, 1) == (b"\xa1" if product == "LM75A" else b"\xff")
    assert int.from_bytes(bench.read(0x00), "big", signed=True) / 256 == pytest.approx(40.3, abs=0.5)


@pytest.mark.parametrize(("product", "unused"), [("LM75", 0x7F), ("LM75A", 0x7F), ("LM75B", 0x1F), ("TMP75", 0x7F)])
def test_bits_that_the_part_has_not_are_zero(product: str, unused: int) -> None:
    bench = Bench(product)
    words = []
    for _ in range(20):
        bench.celsius += 0.07
        bench.now_s += 1.0
        words.append(int.from_bytes(bench.read(0x00), "big"))
    assert not any(word & unused for word in words)
    assert any(word & unused + 1 for word in words)


def test_a_tmp75_has_nine_bits_until_it_is_told_to_have_more_and_takes_longer_then() -> None:
    bench = Bench("TMP75")
    for configuration, unused, conversion_s in ((0x00, 0x7F, 0.0275), (0x20, 0x3F, 0.055), (0x60, 0x0F, 0.22)):
        bench.part.write(bytes([0x01, configuration]), bench.now_s)
        assert bench.read(0x01, 1)[0] == configuration
        bench.now_s = round(bench.now_s / conversion_s + 1) * conversion_s + conversion_s / 8
        bench.read(0x00)
        bench.looks = 0
        for _ in range(40):
            bench.now_s += conversion_s / 4
            assert not int.from_bytes(bench.read(0x00), "big") & unused
        assert bench.looks == 10


def test_asleep_the_last_temperature_stays() -> None:
    bench = Bench("LM75B")
    before = bench.read(0x00)
    bench.part.write(b"\x01\x01", bench.now_s)
    bench.celsius = 90.0
    bench.now_s += 100.0
    assert bench.read(0x00) == before
    bench.part.power_up()
    assert bench.read(0x00) != before


def test_it_ends_where_its_bits_end_and_off_the_bus_all_is_ones() -> None:
    bench = Bench("LM75")
    bench.celsius = 200.0
    assert bench.read(0x00) == b"\x7f\x80"
    bench.celsius, bench.now_s = -200.0, 2.0
    assert bench.read(0x00) == b"\x80\x00"
    bench.part.off_the_bus = True
    assert bench.read(0x00) == b"\xff\xff"


def test_the_configuration_of_an_lm75_has_five_bits_and_limits_nine() -> None:
    bench = Bench("LM75")
    bench.part.write(b"\x01\xff", bench.now_s)
    assert bench.read(0x01, 1) == b"\x1f"
    bench.part.write(b"\x03\x55\xff", bench.now_s)
    assert bench.read(0x03) == b"\x55\x80"

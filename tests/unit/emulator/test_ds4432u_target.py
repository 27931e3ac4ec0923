"""The current DAC as an I2C target: two bytes, two currents, and the regulator behind them."""

from __future__ import annotations

import pytest

from emulator.parts.ds4432u import BITAXE, EMBERONE, Divider, Ds4432u


class Bench:
    def __init__(self) -> None:
        self.driven: list[tuple[int, float, float]] = []
        self.part = Ds4432u(
            drive=lambda output, amps, at_s: self.driven.append((output, amps, at_s)), full_scale_ohm=(80e3, 160e3)
        )


def test_after_power_up_no_current_flows() -> None:
    bench = Bench()
    assert bench.driven == [(0, 0.0, 0.0), (1, 0.0, 0.0)]
    assert bench.part.write_read(b"\xf8", 1, 0.0) == bench.part.write_read(b"\xf9", 1, 0.0) == b"\x00"


@pytest.mark.parametrize(
    ("write", "output", "ua"), [("F8 FF", 0, 98.92), ("F8 7F", 0, -98.92), ("F9 FF", 1, 49.46), ("F8 AA", 0, 32.714)]
)
def test_the_current_follows_the_byte_and_the_resistor_of_its_output(write: str, output: int, ua: float) -> None:
    bench = Bench()
    bench.driven.clear()
    assert bench.part.write(bytes.fromhex(write), 3.0)
    [(driven, amps, at_s)] = bench.driven
    assert (driven, at_s) == (output, 3.0)
    assert amps == bench.part.sourced_a(output) == pytest.approx(ua * 1e-6, abs=5e-9)
    assert bench.part.sourced_a(1 - output) == 0.0


def test_only_a_change_of_current_is_told() -> None:
    bench = Bench()
    bench.driven.clear()
    for write in ("F8 80", "F8 00", "00 FF", "F8", "F8 FF FF"):
        assert bench.part.write(bytes.fromhex(write), 1.0)
    assert bench.driven == []
    bench.part.write(b"\xf8\x81", 1.0)
    bench.part.power_up(2.0)
    assert [amps for _, amps, _ in bench.driven] == [pytest.approx(0.779e-6, abs=1e-9), 0.0, 0.0]


def test_a_read_without_a_register_is_that_of_the_last_one_and_others_are_ones() -> None:
    part = Bench().part
    part.write(b"\xf9\x12", 0.0)
    assert part.read(1, 0.0) == b"\x12"
    assert part.write_read(b"\x00", 1, 0.0) == b"\xff"


@pytest.mark.parametrize(
    ("divider", "sourced_ua", "volts"),
    [
        (BITAXE, 0.0, 1.4584),
        (BITAXE, 98.92, 0.9886),
        (BITAXE, -98.92, 1.9283),
        (EMBERONE, 0.0, 3.6),
        (BITAXE, 1000.0, 0.0),
    ],
)
def test_a_regulator_balances_its_feedback_pin_and_never_gives_less_than_nothing(
    divider: Divider, sourced_ua: float, volts: float
) -> None:
    assert divider.output_v(sourced_ua * 1e-6) == pytest.approx(volts, abs=1e-4)

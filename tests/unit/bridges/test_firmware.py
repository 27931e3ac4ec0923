"""The table of bridge firmwares: what a USB descriptor says, and volts."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.bridges.firmware import BITAXE_BONANZA, BITAXE_RAW, BONANZA_BRIDGE, EMBERONE, Release, emberone
from drivers.errors import UsageError
from tests.vectors import params, rows

Row = dict[str, Any]
DIALECT_OF = {"V0": "A", "V1": "C"}


@pytest.mark.parametrize("row", params(rows("bridge", "bcdDevice")))
def test_the_descriptor_says_board_firmware_and_dialect(row: Row) -> None:
    bcd_device, out = int(row["in"], 16), row["out"]
    assert Release.of(bcd_device) == Release(out["hw"], out["minor"], out["patch"])
    assert emberone(bcd_device).dialect == DIALECT_OF[out["framing"]]
    assert emberone(bcd_device).pins == EMBERONE.pins


@pytest.mark.parametrize("bcd_device", [-1, 0x10000])
def test_a_descriptor_that_cannot_be_is_refused(bcd_device: int) -> None:
    with pytest.raises(UsageError, match="bcdDevice"):
        emberone(bcd_device)


@pytest.mark.parametrize("row", params(rows("bridge", "adc")))
def test_counts_are_volts_at_the_pin(row: Row) -> None:
    assert EMBERONE.adc_step_v is not None
    assert row["in"] * EMBERONE.adc_step_v == pytest.approx(row["out"]["pin_V"], abs=5e-5)
    assert row["in"] * EMBERONE.adc_step_v * 2 == pytest.approx(row["out"]["vdd_V_if_half_divider"], abs=5e-5)


@pytest.mark.parametrize("firmware", [BITAXE_RAW, EMBERONE, BITAXE_BONANZA, BONANZA_BRIDGE], ids=lambda each: each.name)
def test_each_name_is_one_pin_and_each_pin_one_name(firmware: Any) -> None:
    assert len({pin.name for pin in firmware.pins}) == len({pin.number for pin in firmware.pins}) == len(firmware.pins)
    for pin in firmware.pins:
        assert firmware.pin(pin.name) is pin
    for name in ("pwr_en", "", "VCC"):
        with pytest.raises(UsageError, match=f"allowed: the pins of {firmware.name}: "):
            firmware.pin(name)
        with pytest.raises(UsageError, match=f"allowed: the channels of {firmware.name}: "):
            firmware.channel(name)


def test_only_an_emberone_lets_its_chips_run_after_power_up() -> None:
    high = {
        (firmware.name, pin.name)
        for firmware in (BITAXE_RAW, EMBERONE, BITAXE_BONANZA, BONANZA_BRIDGE)
        for pin in firmware.pins
        if pin.high_at_power_up
    }
    assert high == {("emberone-usbserial-fw", "ASIC_RESETN")}

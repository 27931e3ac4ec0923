"""emberone-usbserial-fw: its pins, pages, limits and baud rates, as far as they are not those of bitaxe-raw."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.units import Volts
from emulator.device import Burst
from emulator.firmware.bitaxe_raw import BitaxeRaw
from emulator.firmware.profiles import EMBERONE, emberone, pl011
from emulator.parts import I2cBus
from tests.unit.emulator.bridge_rig import Memory, Rig
from tests.vectors import frame, params, rows

Row = dict[str, Any]

OUTPUTS = (("ASIC_RESETN", True), ("PWR_EN", False), ("IO_PWR_EN", False))
TEXTS = {0x20: b"I2C Write Error", 0x30: b"I2C Read Error", 0x40: b"I2C WriteRead Error"}
MADE = {row["case"]: row for row in rows("bridge", "request")}
ANSWERED = [
    row
    for row in rows("bridge", "reply")
    if row["dialect"] in "AC"
    and row["case"].startswith(("i2c.setfreq", "gpio.", "adc.", "led."))
    and "pgood" not in row["name"]
]


@pytest.fixture
def rig() -> Rig:
    return Rig(EMBERONE)


def test_at_power_up_the_chips_are_not_in_reset_and_nothing_is_powered(rig: Rig) -> None:
    assert rig.at_power_up == OUTPUTS
    assert rig.ask("06 00 00 00 06 00") == "01 00 00 01"
    assert rig.ask("06 00 00 00 06 01", 2.0) == "01 00 00 00"
    assert rig.ask("06 00 00 00 06 02", 3.0) == "01 00 00 00"


@pytest.mark.parametrize("row", params(ANSWERED))
def test_a_published_request_is_answered_as_published(row: Row) -> None:
    assert Rig(emberone(dialect=row["dialect"])).ask(MADE[row["case"]]["hex"]) == row["hex"]


@pytest.mark.parametrize("dialect", ["A", "C"])
@pytest.mark.parametrize("command", TEXTS)
def test_errors_have_the_same_bytes_in_both_dialects(dialect: str, command: int) -> None:
    rest = {0x20: "4F DE", 0x30: "4F 01", 0x40: "4F FE 02"}[command]
    body = bytes.fromhex(f"42 00 05 {command:02X} {rest}")
    answer = Rig(emberone(dialect=dialect)).ask((bytes((len(body) + 2, 0)) + body).hex())
    text = TEXTS[command]
    assert bytes.fromhex(answer) == bytes((4 + len(text), 0, 0x42, 0xFF)) + text


@pytest.mark.parametrize("dialect", ["A", "C"])
@pytest.mark.parametrize(
    "request_hex",
    [
        "06 00 07 00 06 03",  # an input of an unmerged branch
        "06 00 07 00 06 7F",
        "06 00 07 00 07 52",
        "07 00 07 00 07 50 00",
        "08 00 07 00 08 10 FF 00",
        "09 00 07 00 08 11 FF 00 FF",
        "0A 00 07 00 09 01 DE AD BE EF",  # no page 09 on main
        "06 00 07 00 00 01",
        "05 00 07 00 05",
    ],
)
def test_what_main_does_not_have_is_refused_under_id_ff(dialect: str, request_hex: str) -> None:
    assert Rig(emberone(dialect=dialect)).ask(request_hex) == "04 00 FF 11"


def test_each_output_is_driven_by_its_own_command_and_any_level_but_0_is_high(rig: Rig) -> None:
    for number, (name, _) in enumerate(OUTPUTS):
        rig.driven.clear()
        for level, at_s in (("00", 1.0), ("80", 2.0), ("01", 3.0), ("00", 4.0)):
            assert rig.ask(f"07 00 01 00 06 {number:02X} {level}", at_s) == f"01 00 01 {level != '00':02X}"
        driven = [(pin, high) for pin, high, _ in rig.driven]
        assert driven[-2:] == [(name, True), (name, False)]
        assert {pin for pin, _ in driven} == {name}


def test_the_inputs_of_the_branch_are_read_and_never_set() -> None:
    rig = Rig(emberone(inputs=True))
    assert rig.at_power_up == OUTPUTS
    for number, name in enumerate(("PGOOD", "THERM_N", "SMB_ALRT_N"), start=3):
        assert rig.ask(f"06 00 00 00 06 {number:02X}", number) == "01 00 00 00"
        rig.inputs[name] = True
        assert rig.ask(f"06 00 00 00 06 {number:02X}", number + 0.5) == "01 00 00 01"
        assert rig.ask(f"07 00 00 00 06 {number:02X} 00", number + 0.7) == "04 00 FF 11"
    assert rig.driven == []


@pytest.mark.parametrize("row", params(rows("bridge", "adc")))
def test_the_adc_counts_4096_to_3_3_volts(row: Row) -> None:
    rig = Rig(EMBERONE)
    rig.pin_v["VDD"] = row["out"]["pin_V"]
    answer = bytes.fromhex(rig.ask("06 00 00 00 07 50"))
    assert answer == bytes((2, 0, 0)) + row["in"].to_bytes(2, "little")
    rig.pin_v["VIN"] = 5.0
    assert rig.ask("06 00 00 00 07 51", 2.0) == "02 00 00 FF 0F"


def test_the_led_takes_its_colour_and_is_dark_after_power_up(rig: Rig) -> None:
    assert rig.firmware.led_rgb == (0, 0, 0)
    rig.ask("09 00 00 00 08 10 FF 00 80")
    assert rig.firmware.led_rgb == (0xFF, 0x00, 0x80)
    rig.firmware.power_up(2.0)
    assert rig.firmware.led_rgb == (0, 0, 0)


def test_reserved_addresses_are_refused_whoever_is_there(rig: Rig) -> None:
    parts = [Memory(address) for address in range(0x01, 0x80)]
    rig.firmware.bus = I2cBus(parts, rig.faults.bus)
    for address in (*range(0x01, 0x08), *range(0x78, 0x80), 0x80, 0xCC, 0xFF):
        for request in (f"08 00 01 00 05 20 {address:02X} DE", f"07 00 01 00 05 20 {address:02X}"):
            assert bytes.fromhex(rig.ask(request, float(address)))[4:] == b"I2C Write Error"
    assert not any(part.written for part in parts)
    assert rig.ask("08 00 01 00 05 20 08 DE", 300.0) == "01 00 01 01"
    assert rig.ask("08 00 01 00 05 20 77 DE", 301.0) == "01 00 01 01"


@pytest.mark.parametrize(("hertz", "made"), [(1_144, False), (1_145, True), (1_000_000, True), (1_000_001, False)])
def test_the_clock_of_the_bus_has_limits(rig: Rig, hertz: int, made: bool) -> None:
    wanted = hertz.to_bytes(4, "little")
    answer = bytes.fromhex(rig.ask((b"\x0a\x00\x05\x00\x05\x10" + wanted).hex()))
    assert answer == (b"\x04\x00\x05" + wanted if made else b"\x1b\x00\x05\xffI2C Set Frequency Error")


@pytest.mark.parametrize("hazard", [*(row["hex"] for row in rows("bridge", "hazard")), "0A 00 01 00 05 10 00 00 00 00"])
def test_what_halts_it_freezes_its_outputs(rig: Rig, hazard: str) -> None:
    rig.ask("07 00 00 00 06 01 01")
    rig.driven.clear()
    assert rig.ask(hazard, 2.0) == ""
    assert rig.ask("07 00 00 00 06 01 00", 3.0) == ""
    assert rig.driven == []
    rig.firmware.data.receive(Burst(115_200, b"x"), 4.0)
    assert rig.chip.heard == []


def test_a_write_of_nothing_wedges_the_control_port_alone(rig: Rig) -> None:
    assert rig.ask(MADE["hazard.zero_write"]["hex"].replace("4F", "4C")) == ""
    assert rig.ask("06 00 00 00 06 00", 2.0) == ""
    rig.firmware.data.receive(Burst(115_200, b"x"), 3.0)
    assert len(rig.chip.heard) == 1


def test_two_requests_in_a_packet_are_one_request(rig: Rig) -> None:
    data = frame(rows("bridge", "stream")[0]).hex(" ")
    assert rig.ask(data) == "01 00 01 01"


def test_in_dialect_c_59_bytes_are_the_longest_read() -> None:
    rig = Rig(emberone(dialect="C"))
    assert len(bytes.fromhex(rig.ask("08 00 01 00 05 30 4C 3B"))) == 63
    assert rig.ask("08 00 02 00 05 30 4C 3D", 2.0) == ""
    assert rig.ask("08 00 03 00 05 30 4C 3C", 3.0) == "", "64 bytes: the host keeps them back"
    assert bytes.fromhex(rig.ask("06 00 04 00 06 00", 4.0))[:4] == bytes((64, 0, 3, 0))


# --- the system page, of an unmerged branch


class Port:
    """A port that the firmware hangs up."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def hang_up(self) -> None:
        self.said.append("gone")

    def replug_later(self, after_s: float) -> None:
        self.said.append(f"back in {after_s:g} s")


def rebooting() -> tuple[Rig, Port]:
    rig, port = Rig(emberone(reboot=True)), Port()
    rig.faults.ports["control"] = port  # type: ignore[assignment]
    rig.ask("07 00 00 00 06 00 00")
    rig.ask("07 00 00 00 06 01 01", 2.0)
    rig.driven.clear()
    return rig, port


def test_a_reboot_puts_the_pins_back_and_is_not_answered() -> None:
    rig, port = rebooting()
    rig.send(MADE["system.reboot"]["hex"], 3.0)
    rig.send("06 00 01 00 06 01", 3.0)  # waits behind it, and is forgotten
    assert rig.answers(3.1) == ""
    assert [(pin, high) for pin, high, _ in rig.driven] == list(OUTPUTS)
    assert port.said == ["gone", "back in 1 s"]
    assert rig.ask("06 00 00 00 06 01", 4.0) == "01 00 00 00"


def test_the_uf2_loader_drives_no_pin_and_is_no_serial_port() -> None:
    rig, port = rebooting()
    assert rig.ask(MADE["system.bootloader"]["hex"], 3.0) == ""
    assert [(pin, high) for pin, high, _ in rig.driven] == [(name, None) for name, _ in OUTPUTS]
    assert port.said == ["gone"]
    assert rig.ask("06 00 00 00 06 01", 4.0) == ""
    rig.firmware.data.receive(Burst(115_200, b"x"), 4.0)
    rig.chip.says.append(Burst(115_200, b"y"))
    assert rig.firmware.data.wakes_at() is None
    assert (rig.firmware.data.transmit(4.1), rig.chip.heard) == ([], [])
    rig.firmware.power_up(5.0)
    assert rig.ask("06 00 00 00 06 01", 6.0) == "01 00 00 00"


@pytest.mark.parametrize(
    "request_hex",
    ["06 00 00 00 09 01", "0A 00 00 00 09 01 B0 07 10 AD", "0A 00 00 00 09 03 DE AD BE EF", "07 00 00 00 09 10 32"],
)
def test_without_its_magic_it_does_not_reboot(request_hex: str) -> None:
    rig, port = rebooting()
    assert rig.ask(request_hex, 3.0) == "04 00 FF 11"
    assert (rig.driven, port.said) == ([], [])


# --- the data port


@pytest.mark.parametrize("row", params(rows("bridge", "baud")))
def test_the_uart_makes_the_published_rates(row: Row) -> None:
    assert pl011(row["in"]) == round(row["out"]["actual"])


def test_the_fastest_rate_is_a_sixteenth_of_the_clock() -> None:
    assert pl011(3_000_000) == 2_994_012
    assert pl011(7_812_500) == pl011(12_000_000) == 7_812_500
    assert pl011(1) == 119


def test_the_chips_hear_what_the_uart_makes_of_the_rate(rig: Rig) -> None:
    data = rig.firmware.data
    assert data.baud == 9600, "what Linux sets before anybody opens the port"
    data.line_rate_changed(1_500_000, 1.0)
    data.receive(Burst(1_500_000, b"\x55\xaa"), 1.0, 115_200)
    assert rig.chip.heard == [(Burst(1_501_502, b"\x55\xaa"), 115_207)]
    data.line_rate_changed(0, 2.0)
    assert rig.faults.panicked


def test_while_it_stands_still_64_bytes_of_the_chips_are_kept_and_the_rest_is_lost(rig: Rig) -> None:
    data = rig.firmware.data
    data.transmit(0.5)
    rig.faults.stalled_until_s = 2.0
    rig.chip.says += [Burst(115_200, bytes(range(50))), Burst(115_200, bytes(range(50, 100)))]
    assert data.transmit(1.0) == []
    assert b"".join(burst.data for burst in data.transmit(2.0)) == bytes(range(64))
    rig.chip.says.append(Burst(115_200, bytes(100)))
    assert data.transmit(3.0) == [Burst(115_200, bytes(100))]


def test_the_mcu_without_power_drives_nothing(rig: Rig) -> None:
    rig.ask("07 00 00 00 06 01 01")
    rig.driven.clear()
    rig.firmware.power_down(2.0)
    assert rig.driven == [(name, None, 2.0) for name, _ in OUTPUTS]
    assert rig.ask("06 00 00 00 06 01", 3.0) == ""
    rig.firmware.power_up(4.0)
    assert rig.ask("06 00 00 00 06 01", 5.0) == "01 00 00 00"


def test_inputs_need_somebody_who_says_their_level(rig: Rig) -> None:
    bus, chip, faults = rig.firmware.bus, rig.chip, rig.faults
    with pytest.raises(ValueError, match="has inputs"):
        BitaxeRaw(
            bus,
            chip,
            faults,
            drive=lambda pin, high, at_s: None,
            pin_v=lambda channel, at_s: Volts(0.0),
            profile=emberone(inputs=True),
        )
